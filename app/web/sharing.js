// Inviting people: the code, a QR code and the link; and sharing of text, also where the page came by plain HTTP.

import { linkTo, showCode } from "./code.js";
import { open } from "./dialogs.js";
import { find, say } from "./dom.js";
import { tell } from "./notice.js";
import { drawQR } from "./qr.js";

let title = "";

export function prepareSharing(code, sessionTitle) {
  title = sessionTitle;
  const link = linkTo(code);
  showCode(find("share-code"), code);
  say(find("share-host"), location.host);
  find("share-link").value = link;
  find("share-tv").href = linkTo(code, "tv");
  find("share-native").hidden = !navigator.share;
  find("share-copy").classList.toggle("primary", !navigator.share);
}

// The block is in the empty room or in the dialog.
export function placeSharing(inRoom) {
  const place = find(inRoom ? "lobby-share" : "sharing-share");
  const block = find("share");
  if (block.parentElement !== place) place.append(block);
  if (inRoom) drawQR(find("share-qr"), find("share-link").value);
}

// Hands text to the system's share sheet, or copies it where there is none.
export async function share(text, url) {
  if (!navigator.share) return copy(url ? `${text} ${url}` : text, "Copied.");
  try {
    await navigator.share(url ? { text, url } : { text });
  } catch {
    // Closed by the person who opened it.
  }
}

async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    tell(done);
  } catch {
    if (copyBySelection(text)) tell(done);
    else tell(`Copy this: ${text}`, "error");
  }
}

// `navigator.clipboard` is for secure contexts only.
function copyBySelection(text) {
  const field = Object.assign(document.createElement("textarea"), { value: text, className: "hidden" });
  // A modal dialog keeps the focus within itself.
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  return copied;
}

find("share-open").addEventListener("click", () => {
  if (find("sharing-share").contains(find("share"))) open("sharing");
  else find("lobby").scrollIntoView({ block: "start" });
  drawQR(find("share-qr"), find("share-link").value);
});
find("share-native").addEventListener("click", () => share(`Pick a movie with us: ${title}`, find("share-link").value));
find("share-copy").addEventListener("click", () => copy(find("share-link").value, "Link copied."));
