// Small pieces of DOM. Whatever people write goes in as text, never as markup.

export const find = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// Changes text only where it differs, so that nothing is announced or selected anew without a reason.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Makes the children of `list` those of `items`, by their ids: nodes stay, and so do focus and selection in them.
// `make(item)` builds a node, `update(node, item)` fills it. If the focused node goes, `refuge` is focused.
export function keyed(list, items, make, update, refuge) {
  const known = new Map([...list.children].map((node) => [node.dataset.id, node]));
  const wanted = new Set(items.map((item) => item.id));
  for (const [id, node] of known) {
    if (wanted.has(id)) continue;
    if (node.contains(document.activeElement)) refuge?.focus();
    node.remove();
  }
  let next = list.firstElementChild;
  for (const item of items) {
    let node = known.get(item.id);
    if (node === undefined) {
      node = make(item);
      node.dataset.id = item.id;
    }
    if (node === next) next = next.nextElementSibling;
    else list.insertBefore(node, next);
    update(node, item);
  }
}

// The value of a CSS variable, which a policy without inline styles allows.
export const paint = (node, name, value) => node.style.setProperty(`--${name}`, String(value));

// What people take for the first character of a text, in capitals; older browsers know code points only.
export function initial(text) {
  const [first] = Intl.Segmenter ? new Intl.Segmenter().segment(text.trim()) : Array.from(text.trim(), (segment) => ({ segment }));
  return first?.segment.toUpperCase() ?? "?";
}

export const plural = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;
