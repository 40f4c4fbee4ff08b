// Dialogs, also in Safari before 15.4, which does not know them.

import { find } from "./dom.js";

export function open(id) {
  const dialog = find(id);
  if (dialog.open) return;
  if (dialog.showModal) dialog.showModal();
  else dialog.setAttribute("open", "");
}

export function close(id) {
  const dialog = find(id);
  if (dialog.close) dialog.close();
  else dialog.removeAttribute("open");
}

export const isOpen = (id) => find(id).hasAttribute("open");

export function closeAll() {
  for (const dialog of document.querySelectorAll("dialog[open]")) close(dialog.id);
}

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => close(button.dataset.close));
}
for (const dialog of document.querySelectorAll("dialog")) {
  // A press beside it closes it.
  dialog.addEventListener("click", (event) => event.target === dialog && close(dialog.id));
}
