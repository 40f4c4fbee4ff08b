import type { Refused, SessionEnded } from "./join-session.js";
export type Outcome<Answer> = (Answer & {
    ok: true;
}) | Failure;
export type Failure = Refused | Unreachable | Over;
/** No answer came over HTTP: the service, or the way to it, is down. */
export interface Unreachable {
    ok: false;
    code: "unreachable";
    message: string;
}
/** The session is over for this client; a change that was waiting may or may not have been made. */
export interface Over {
    ok: false;
    code: "session-over";
    reason: OverReason;
    message: string;
}
/** `left` by `leave-session`; `closed` by `close()`; the others are the service's. */
export type OverReason = SessionEnded["reason"] | "left" | "closed";
export declare const over: (reason: OverReason) => Over;
export declare const unreachable: () => Unreachable;
