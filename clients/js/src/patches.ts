// Patches (RFC 6902: add, remove and replace), which make the state of a session that a client holds a newer one.

import type { Meta, Patch, PatchMeta, SessionData } from "./join-session.js";

export interface State {
  readonly data: SessionData;
  readonly meta: Meta;
}

type Operation = { op: "add" | "replace" | "remove"; path: string; value?: unknown };

/** The state after a patch; null if the patch does not start at `held`, or does not fit it. */
export function patched(held: State | null, patch: Patch, { from, ...changed }: PatchMeta): State | null {
  if (held === null || held.meta.epoch !== changed.epoch || held.meta.version !== from) return null;
  try {
    return { data: applyPatch(held.data, patch), meta: { ...held.meta, ...changed } };
  } catch {
    return null;
  }
}

/** The document after the operations. The given one stays as it is; what no operation touches is shared with it. */
export function applyPatch<Document>(document: Document, operations: readonly Operation[]): Document {
  return operations.reduce<unknown>((state, { op, path, value }) => {
    const names = path.split("/").slice(1);
    return change(state, names.map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~")), op, value);
  }, document) as Document;
}

function change(state: unknown, [name, ...rest]: string[], op: Operation["op"], value: unknown): unknown {
  if (name === undefined) return value;
  if (typeof state !== "object" || state === null) throw new RangeError(`nothing at ${name}`);
  const adds = op === "add" && rest.length === 0;
  if (Array.isArray(state)) {
    const index = name === "-" ? state.length : /^(0|[1-9]\d*)$/.test(name) ? Number(name) : Infinity;
    if (index >= state.length + (adds ? 1 : 0)) throw new RangeError(`no index: ${name}`);
    const list = [...state];
    if (rest.length > 0) list[index] = change(list[index], rest, op, value);
    else list.splice(index, adds ? 0 : 1, ...(op === "remove" ? [] : [value]));
    return list;
  }
  if (!adds && !Object.prototype.hasOwnProperty.call(state, name)) throw new RangeError(`nothing at ${name}`);
  const fields: Record<string, unknown> = { ...state };
  if (rest.length > 0) fields[name] = change(fields[name], rest, op, value);
  else if (op === "remove") delete fields[name];
  else fields[name] = value;
  return fields;
}
