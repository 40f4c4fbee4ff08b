// Being in a session: the stock client, joining with the token after every connection that is not the old one continued,
// and the newest state as a store.

import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";

import type { Answer, Change, ChangeArguments, ChangeEvent } from "./changes.js";
import { over, type Outcome, type Over } from "./failures.js";
import type { AcknowledgedEvents, Joined, JoinOptions, Refused, ServerToClientEvents, SessionID } from "./join-session.js";
import { makeOutbox, pauseAfter, type Acknowledgement, type Keep } from "./outbox.js";
import { patched, type State } from "./patches.js";
import { snapshotOf, type Connection, type Snapshot } from "./snapshot.js";

const ANSWER_TIMEOUT = 5000;
const RECONNECT_PAUSE = 500;

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
  readonly change: <Event extends ChangeEvent>(
    event: Event,
    ...args: ChangeArguments<Event>
  ) => Promise<Outcome<Answer<Event>>>;
  /** The time by the service's clock in milliseconds, for countdowns. */
  readonly now: () => number;
  /** Disconnects. A participant is away then, and leaves after the grace time; `change("leave-session")` leaves at once. */
  readonly close: () => void;
  /** The stock client underneath, for whatever is not here. */
  readonly socket: SessionSocket;
}

interface Emitter {
  emitWithAck(event: string, ...args: unknown[]): Promise<unknown>;
}

/** Joins a session, and stays in it over reconnects until it is over. */
export function joinSession(sessionID: SessionID, options: JoinSessionOptions = {}): Session {
  const { passcode, observe = false, keep } = options;
  const tokens = { hostToken: options.hostToken ?? null, token: options.token ?? null };
  const listeners = new Set<(snapshot: Snapshot) => void>();
  const arrivals: Array<() => void> = [];
  let name = options.name;
  let connection: Connection = "connecting";
  let isIn = false;
  let joining = false;
  let joinedAs: Joined | null = null;
  let held: State | null = null;
  let votes: Record<string, number> = {};
  let expiring: string | null = null;
  let latency: number | null = null;
  let end: Over | Refused | null = null;
  let ahead = 0;
  let settleJoined!: (outcome: Outcome<Joined>) => void;
  const joined = new Promise<Outcome<Joined>>((resolve) => (settleJoined = resolve));

  const socketOptions = { ...options.socket, autoConnect: false };
  const socket: SessionSocket = options.url === undefined ? io(socketOptions) : io(options.url, socketOptions);
  const outbox = makeOutbox(
    {
      ready: () => (isIn || end ? Promise.resolve() : new Promise((resolve) => arrivals.push(resolve))),
      send: ({ event, payload }) => ask<Acknowledgement>(event, payload),
      done,
      changed: () => publish(),
    },
    keep,
  );
  let snapshot = take();

  socket.on("connect", () => (socket.recovered && joinedAs ? arrive() : void join()));
  socket.on("disconnect", (reason) => {
    isIn = false;
    become("reconnecting");
    // The stock client comes back by itself unless it was told to go.
    if (reason === "io server disconnect") setTimeout(() => !end && socket.connect(), RECONNECT_PAUSE);
  });
  socket.on("connect_error", () => become("offline"));
  socket.on("session-update", (data, meta) => {
    const lost = held !== null && held.meta.epoch !== meta.epoch;
    hold({ data, meta }, meta.now);
    // The database has lost changes, perhaps ours: joining again tells what there is.
    if (lost && isIn) void join();
  });
  socket.on("session-patch", (patch, meta) => {
    const state = patched(held, patch, meta);
    // The answer to joining again is the whole state.
    if (state === null) void join();
    else hold(state, meta.now);
  });
  socket.on("own-votes", (own) => {
    votes = own.votes;
    publish();
  });
  socket.on("session-expiring", ({ expiresAt }) => {
    expiring = expiresAt;
    publish();
  });
  socket.on("session-ended", (ended) => finish(over(ended.reason)));
  // The browser knows it before the socket does.
  const watchNetwork = (isOn: boolean): void => {
    for (const event of ["online", "offline"]) {
      if (isOn) globalThis.addEventListener?.(event, publish);
      else globalThis.removeEventListener?.(event, publish);
    }
  };
  watchNetwork(true);
  socket.connect();

  function take(): Snapshot {
    const known = { connection, joinedAs, held, votes, expiring, latency, end, ...tokens };
    return snapshotOf({ ...known, sessionID: joinedAs?.sessionID ?? String(sessionID), waiting: outbox.list() });
  }

  function publish(): void {
    snapshot = take();
    for (const listener of [...listeners]) listener(snapshot);
  }

  function become(state: Connection): void {
    if (end) return;
    connection = state;
    publish();
  }

  // `time`: by the service's clock; a patch has it only while there is something to count down to.
  function hold(state: State, time?: string): void {
    held = state;
    if (time) ahead = Date.parse(time) - Date.now();
    publish();
    if (joinedAs) settleJoined(joinedAs);
  }

  async function join(): Promise<void> {
    if (joining || end) return;
    joining = true;
    const acknowledgement = await joinByToken();
    joining = false;
    if (end) return;
    if (acknowledgement === undefined || (!acknowledgement.ok && acknowledgement.retryable)) {
      // Without a connection the next one joins.
      setTimeout(() => socket.connected && void join(), pauseAfter(acknowledgement));
      return;
    }
    if (!acknowledgement.ok) return finish(acknowledgement);
    joinedAs = acknowledgement;
    votes = acknowledgement.votes;
    if (acknowledgement.token) tokens.token = acknowledgement.token;
    arrive();
    if (held) settleJoined(acknowledgement);
  }

  // Who created the session is its host again by the host token, whoever was promoted meanwhile. A token that is no good
  // was renewed or given up, or is that of an earlier session with this code.
  async function joinByToken(): Promise<Joined | Refused | undefined> {
    for (const kind of ["hostToken", "token"] as const) {
      const token = tokens[kind];
      if (token === null) continue;
      const acknowledgement = await joinWith({ token, ...(joinedAs ? {} : { name }) });
      if (acknowledgement?.ok !== false || acknowledgement.code !== "unauthorized") return acknowledgement;
      tokens[kind] = null;
    }
    return joinWith({ name });
  }

  const joinWith = (more: JoinOptions): Promise<Joined | Refused | undefined> =>
    ask("join-session", sessionID, { passcode, observe, patches: true, ...more });

  async function ask<Acknowledged extends { ok: boolean }>(event: string, ...args: unknown[]): Promise<Acknowledged | undefined> {
    const start = performance.now();
    const emitter = socket.timeout(ANSWER_TIMEOUT) as unknown as Emitter;
    // An error is that of the time-out, or of the connection.
    const acknowledgement = await emitter.emitWithAck(event, ...args).catch(() => undefined);
    if (acknowledgement === undefined) return undefined;
    latency = performance.now() - start;
    if ((acknowledgement as Partial<Refused>).code !== "not-joined" || observe) return acknowledgement as Acknowledged;
    isIn = false;
    void join();
    return { ...(acknowledgement as Acknowledged), retryable: true };
  }

  function arrive(): void {
    isIn = true;
    become("connected");
    for (const arrival of arrivals.splice(0)) arrival();
  }

  function done({ event, payload }: Change, acknowledgement: Acknowledgement): void {
    if (!acknowledgement.ok) return;
    if (event === "vote") votes = { ...votes, [payload.movieID]: payload.rating };
    else if (event === "withdraw-vote") {
      const { [payload.movieID]: _, ...others } = votes;
      votes = others;
    } else if (event === "rename-participant") name = payload.name;
    else if ("hostToken" in acknowledgement) tokens.hostToken = acknowledgement.hostToken;
    else if (event === "leave-session") finish(over("left"));
  }

  function finish(why: Over | Refused): void {
    if (end) return;
    end = why;
    isIn = false;
    connection = "closed";
    outbox.close(why);
    for (const arrival of arrivals.splice(0)) arrival();
    watchNetwork(false);
    socket.disconnect();
    settleJoined(why);
    publish();
  }

  return {
    subscribe(listener) {
      listeners.add(listener);
      listener(snapshot);
      return () => void listeners.delete(listener);
    },
    getSnapshot: () => snapshot,
    joined,
    change: (event, ...[payload, changing]) => outbox.add(event, payload ?? {}, changing ?? {}) as never,
    now: () => Date.now() + ahead,
    close: () => finish(over("closed")),
    socket,
  };
}
