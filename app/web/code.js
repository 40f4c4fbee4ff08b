// Session codes as people type and paste them, and the addresses that hold them.

import { settings } from "./settings.js";

// The code in a fragment: a fragment is in no server's log. `#123456` is a session, `#123456/tv` its big screen.
export function target(hash = location.hash) {
  let fragment = hash.slice(1);
  try {
    fragment = decodeURIComponent(fragment);
  } catch {
    // Not a link of ours; the service says so.
  }
  const [, code, view = ""] = /^(.*?)(?:\/(tv))?$/s.exec(fragment.trim());
  return { code: typedCode(code), view };
}

// Takes spaces and dashes out, and a code out of a pasted link.
export function typedCode(text) {
  const pasted = /#([^/]*)/.exec(text)?.[1] ?? text;
  const plain = pasted.replace(/[\s-]/g, "");
  return settings.digits ? plain : plain.toUpperCase();
}

export const isWhole = (code) => code.length === settings.codeLength;

export const linkTo = (code, view = "") =>
  `${location.origin}${location.pathname}#${encodeURIComponent(code)}${view && `/${view}`}`;

export function showInAddress(code) {
  history.replaceState(null, "", code ? linkTo(code) : location.pathname);
}

// In groups of three, as people read them out. The gap is a margin, so that a copied code has none.
export function showCode(node, code) {
  if (node.textContent === code) return;
  const groups = code.match(/.{1,3}/gsu) ?? [];
  node.replaceChildren(
    ...groups.map((group) => Object.assign(document.createElement("span"), { textContent: group, className: "group" })),
  );
}
