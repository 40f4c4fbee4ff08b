// The one line at the bottom: what happened, what was refused, and what can still be undone.

import { find, say } from "./dom.js";

const TIME_TO_READ = 6000;
const TIME_TO_UNDO = 5000;

let fading = 0;
let pending = null;

export function tell(text, kind = "") {
  settle();
  show(text, kind);
  // An error stays until it is read.
  if (text && !kind) fading = setTimeout(() => show(""), TIME_TO_READ);
}

// Shows why a change was refused, if it was.
export function refuse(outcome) {
  // How a session ends has a view of its own.
  if (!outcome.ok && outcome.code !== "session-over") tell(outcome.message, "error");
}

// Does something in five seconds, unless it is undone before. It is not put off any longer when the page is left or
// when there is something else to tell.
export function undoable(text, act, undo) {
  settle();
  pending = { act, undo };
  show(text, "undo");
  fading = setTimeout(settle, TIME_TO_UNDO);
}

function settle() {
  const { act } = pending ?? {};
  pending = null;
  clearTimeout(fading);
  if (!act) return;
  show("");
  act();
}

function show(text, kind = "") {
  clearTimeout(fading);
  say(find("notice-text"), text);
  find("notice").dataset.kind = text ? kind || "plain" : "";
  find("notice-close").hidden = text === "" || kind === "undo";
  find("notice-undo").hidden = kind !== "undo";
}

find("notice-close").addEventListener("click", () => {
  show("");
  focusHeading();
});
find("notice-undo").addEventListener("click", () => {
  const { undo } = pending ?? {};
  pending = null;
  show("");
  focusHeading();
  undo?.();
});
addEventListener("pagehide", settle);

function focusHeading() {
  const headings = [...document.querySelectorAll("h1")].filter((heading) => heading.offsetParent !== null);
  headings[0]?.focus();
}
