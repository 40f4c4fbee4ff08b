// Patches (RFC 6902: add, remove and replace), which make the state of a session that a client holds a newer one.

// The state after a patch: {data, meta}; null if the patch does not start at `held`, or does not fit it.
export function patched(held, operations, meta) {
  if (held === null || held.meta.epoch !== meta.epoch || held.meta.version !== meta.from) return null;
  const { from, ...changed } = meta;
  try {
    return { data: applyPatch(held.data, operations), meta: { ...held.meta, ...changed } };
  } catch {
    return null;
  }
}

// The document after the operations. The given one stays as it is; what no operation touches is shared with it.
export function applyPatch(document, operations) {
  return operations.reduce((state, { op, path, value }) => {
    const names = path.split("/").slice(1);
    return change(state, names.map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~")), op, value);
  }, document);
}

function change(state, [name, ...rest], op, value) {
  if (name === undefined) return value;
  const isList = Array.isArray(state);
  const key = isList && name === "-" ? String(state.length) : name;
  const adds = op === "add" && rest.length === 0;
  if (isList && !(/^(0|[1-9]\d*)$/.test(key) && Number(key) <= state.length)) throw new RangeError(`no index: ${key}`);
  if (!adds && !Object.prototype.hasOwnProperty.call(state, key)) throw new RangeError(`nothing at ${key}`);
  const changed = isList ? [...state] : { ...state };
  if (rest.length > 0) changed[key] = change(state[key], rest, op, value);
  else if (isList && op !== "replace") changed.splice(key, ...(adds ? [0, value] : [1]));
  else if (op === "remove") delete changed[key];
  else changed[key] = value;
  return changed;
}
