import type { Change } from "./changes.js";
import type { Over } from "./failures.js";
import type { Joined, Meta, Participant, Refused, SessionData } from "./join-session.js";
import type { State } from "./patches.js";
/**
 * `offline`: an attempt to connect has failed, or the browser says so. The client goes on trying, also while it is
 * `reconnecting`, until the session is over: `closed`.
 */
export type Connection = "connecting" | "connected" | "reconnecting" | "offline" | "closed";
/** Told apart by `status`. A snapshot never changes; the next one is another object. */
export type Snapshot = Known & (Joining | InSession | Ended);
interface Joining {
    readonly status: "joining";
    readonly data: null;
    readonly meta: null;
    readonly end: null;
}
interface InSession {
    readonly status: "joined";
    /** The movies and participants. */
    readonly data: SessionData;
    readonly meta: Meta;
    readonly end: null;
}
interface Ended {
    readonly status: "over";
    /** As they were last, if they were there. */
    readonly data: SessionData | null;
    readonly meta: Meta | null;
    /** Why the session is over for this client, or could not be joined. */
    readonly end: Over | Refused;
}
interface Known {
    readonly sessionID: string;
    readonly connection: Connection;
    /** Null before joining, and for who only watches. */
    readonly participantID: string | null;
    /** Oneself; null also where a large session does not list one. */
    readonly me: Participant | null;
    readonly isHost: boolean;
    /** Keep it to come back as the same participant; null for who only watches. */
    readonly token: string | null;
    readonly hostToken: string | null;
    /** One's own ratings by movie, with those on their way. */
    readonly votes: Readonly<Record<string, number>>;
    /** Changes without an answer, in order. */
    readonly waiting: readonly Change[];
    /** When the session ends, once that is near and cannot be put off. */
    readonly expiring: string | null;
    /** Milliseconds that the last answer took. */
    readonly latency: number | null;
}
interface Sources {
    sessionID: string;
    connection: Connection;
    joinedAs: Joined | null;
    held: State | null;
    votes: Record<string, number>;
    expiring: string | null;
    latency: number | null;
    end: Over | Refused | null;
    token: string | null;
    hostToken: string | null;
    waiting: readonly Change[];
}
export declare function snapshotOf({ joinedAs, held, end, connection, votes, waiting, ...others }: Sources): Snapshot;
export {};
