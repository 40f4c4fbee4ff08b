export type { Answer, Change, ChangeEvent, ChangeOptions, Payload } from "./changes.js";
export type { Failure, Outcome, Over, OverReason, Unreachable } from "./failures.js";
export type * from "./join-session.js";
export type { Keep } from "./outbox.js";
export { applyPatch } from "./patches.js";
export { randomID } from "./random-id.js";
export { createSession, findSession, readResultTable, request, type RequestOptions, type Service } from "./requests.js";
export { joinSession, type JoinSessionOptions, type Session, type SessionSocket } from "./session.js";
export type { Connection, Snapshot } from "./snapshot.js";
