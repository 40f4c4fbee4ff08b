// Small round pictures of people: the first letter on a colour of their own.

import { element, initial, paint, say } from "./dom.js";

// By the golden angle neighbours differ most, in the order in which this page came to know them.
const GOLDEN_ANGLE = 137.5;
const known = new Map();

export function face(person) {
  const node = element("span", { className: "face" });
  node.setAttribute("aria-hidden", "true");
  showFace(node, person);
  return node;
}

export function showFace(node, { id, name }) {
  if (!known.has(id)) known.set(id, known.size);
  paint(node, "hue", Math.round(250 + known.get(id) * GOLDEN_ANGLE) % 360);
  say(node, initial(name));
}

// "Ada", "Ada and Bo", "Ada, Bo and 3 others".
export function namesOf(people, most = 2) {
  const names = people.map(({ name }) => name);
  if (names.length <= 1) return names[0] ?? "";
  const shown = names.slice(0, names.length === most + 1 ? most + 1 : most);
  const others = names.length - shown.length;
  if (others > 0) return `${shown.join(", ")} and ${others} others`;
  return `${shown.slice(0, -1).join(", ")} and ${shown[shown.length - 1]}`;
}
