import { type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import type { Answer, ChangeArguments, ChangeEvent } from "./changes.js";
import { type Outcome } from "./failures.js";
import type { AcknowledgedEvents, Joined, ServerToClientEvents, SessionID } from "./join-session.js";
import { type Keep } from "./outbox.js";
import { type Snapshot } from "./snapshot.js";
export interface JoinSessionOptions {
    /** Where the service is, as `https://sessions.example`; by default where the page comes from. */
    url?: string;
    /** `Guest N` by default. */
    name?: string;
    passcode?: string;
    /** The participant's token of an earlier join, `snapshot.token`: comes back as the same participant. */
    token?: string | null;
    /** From `createSession`: comes back as the host. */
    hostToken?: string | null;
    /** Only watches, as no participant. */
    observe?: boolean;
    /** Where changes without an answer are kept, for example over a reload. */
    keep?: Keep;
    /** Options of the stock client, for example `transports` or `withCredentials`. */
    socket?: Partial<ManagerOptions & SocketOptions>;
}
export type SessionSocket = Socket<ServerToClientEvents, AcknowledgedEvents>;
/** A session as this client sees it: a store for React's `useSyncExternalStore` and Svelte, and what changes it. */
export interface Session {
    /** Calls the listener with the snapshot, now and after each change; returns what ends that. */
    readonly subscribe: (listener: (snapshot: Snapshot) => void) => () => void;
    /** The newest snapshot: the same object until something changes. */
    readonly getSnapshot: () => Snapshot;
    /** Settles when the session is joined and its state there, or when it cannot be joined. */
    readonly joined: Promise<Outcome<Joined>>;
    /**
     * Makes a change, which counts once however often it has to be sent: as soon as the client is in the session, after
     * the changes before it. Settles with its acknowledgement, or with the end of the session.
     */
    readonly change: <Event extends ChangeEvent>(event: Event, ...args: ChangeArguments<Event>) => Promise<Outcome<Answer<Event>>>;
    /** The time by the service's clock in milliseconds, for countdowns. */
    readonly now: () => number;
    /** Disconnects. A participant is away then, and leaves after the grace time; `change("leave-session")` leaves at once. */
    readonly close: () => void;
    /** The stock client underneath, for whatever is not here. */
    readonly socket: SessionSocket;
}
/** Joins a session, and stays in it over reconnects until it is over. */
export declare function joinSession(sessionID: SessionID, options?: JoinSessionOptions): Session;
