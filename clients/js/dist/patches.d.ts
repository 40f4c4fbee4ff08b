import type { Meta, Patch, PatchMeta, SessionData } from "./join-session.js";
export interface State {
    readonly data: SessionData;
    readonly meta: Meta;
}
type Operation = {
    op: "add" | "replace" | "remove";
    path: string;
    value?: unknown;
};
/** The state after a patch; null if the patch does not start at `held`, or does not fit it. */
export declare function patched(held: State | null, patch: Patch, { from, ...changed }: PatchMeta): State | null;
/** The document after the operations. The given one stays as it is; what no operation touches is shared with it. */
export declare function applyPatch<Document>(document: Document, operations: readonly Operation[]): Document;
export {};
