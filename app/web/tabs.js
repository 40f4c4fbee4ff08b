// On a phone one part of the session at a time; on a wide screen all of them are in view.

import { find } from "./dom.js";

const buttons = [...document.querySelectorAll(".tabs [data-tab]")];

// `focus`: the ID of what is focused then.
export function showTab(name, { focus = null } = {}) {
  find("room").dataset.tab = name;
  for (const button of buttons) {
    if (button.dataset.tab === name) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
  if (focus) find(focus).focus({ preventScroll: true });
}

for (const button of buttons) button.addEventListener("click", () => showTab(button.dataset.tab));
find("leaders").addEventListener("click", () => showTab("ranking", { focus: "ranking-heading" }));
