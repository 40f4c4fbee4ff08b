// What can go wrong, told apart by `code`.

import type { Refused, SessionEnded } from "./join-session.js";

// What a request or change leads to: the answer, with `ok: true`, or why there is none.
export type Outcome<Answer> = (Answer & { ok: true }) | Failure;

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

const MESSAGES: Record<OverReason, string> = {
  ended: "The host has ended the session",
  expired: "The session has expired",
  kicked: "You have been removed from the session",
  replaced: "The session was opened elsewhere",
  lost: "The session has been lost",
  left: "You have left the session",
  closed: "The session was closed",
};

export const over = (reason: OverReason): Over => ({
  ok: false,
  code: "session-over",
  reason,
  message: MESSAGES[reason],
});

export const unreachable = (): Unreachable => ({
  ok: false,
  code: "unreachable",
  message: "The service cannot be reached",
});
