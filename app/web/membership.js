// Being in a session: the stock client, joining with the token after every connection that is not the old one
// continued, and the state of the connection in one word.

import { io } from "./vendor/socket.io.esm.min.js";

import { setClock } from "./clock.js";
import { dropIdentity, keepIdentity, rememberTab } from "./identities.js";
import { forgetChanges, Outbox } from "./outbox.js";
import { patched } from "./patch.js";

const PATIENCE = 5000;

export class Membership {
  #socket = io({ autoConnect: false });
  #outbox = new Outbox(
    () => this.#whenIn(),
    (event, payload) => this.#ask(event, payload),
    (event, payload) => this.#on.done(event, payload),
  );
  #arrivals = [];
  #in = false;
  #joining = false;
  #held = null;
  #options;
  #on;

  identity;
  participantID = null;
  state = "connecting";
  latency = null;
  offset = null;

  // `options` are those of the first join: name, passcode. `on` has joined(ack), refused(ack), updated(data, meta),
  // done(event, payload), rated(votes), expiring(expiresAt), ended(reason), changed().
  constructor(identity, options, on) {
    this.identity = identity;
    this.#options = options;
    this.#on = on;
    const socket = this.#socket;
    socket.on("connect", () => (socket.recovered && this.participantID !== null ? this.#arrived() : this.#join()));
    socket.on("disconnect", (reason) => {
      this.#in = false;
      this.#become(navigator.onLine ? "reconnecting" : "offline");
      // The stock client comes back by itself unless it was told to go.
      if (reason === "io server disconnect") setTimeout(() => this.state !== "ended" && socket.connect(), 500);
    });
    socket.on("connect_error", () => this.#become("offline"));
    socket.on("session-update", (data, meta, offset) => {
      const lost = this.#held !== null && this.#held.meta.epoch !== meta.epoch;
      this.#hold({ data, meta }, offset);
      // The database has lost changes, perhaps ours: joining again tells what there is.
      if (lost && this.#in) this.#join();
    });
    socket.on("session-patch", (operations, meta, offset) => {
      const state = patched(this.#held, operations, meta);
      // The answer to joining again is the whole state.
      if (state === null) this.#join();
      else this.#hold(state, offset);
    });
    socket.on("own-votes", ({ votes }) => this.#on.rated(votes));
    socket.on("session-expiring", ({ expiresAt }) => this.#on.expiring(expiresAt));
    socket.on("session-ended", ({ sessionID, reason }) => {
      if (sessionID !== this.code) return;
      if (reason !== "replaced") forgetChanges(this.identity.key);
      this.close();
      this.#on.ended(reason);
    });
    socket.io.on("open", () => socket.io.engine.on("upgrade", () => this.#on.changed()));
    socket.connect();
  }

  get code() {
    return this.identity.code;
  }

  get transport() {
    return this.#socket.io.engine?.transport?.name ?? "none";
  }

  get recovered() {
    return this.#socket.recovered;
  }

  // The acknowledgement of a change, sent as soon as it can be; undefined if the membership ended before.
  change(event, payload, options) {
    return this.#outbox.add(event, payload, options);
  }

  // The payload of the newest change with this key that has no answer yet.
  pending(key) {
    return this.#outbox.pending(key);
  }

  close() {
    this.#in = false;
    this.#become("ended");
    this.#outbox.close();
    for (const arrival of this.#arrivals.splice(0)) arrival();
    this.#socket.disconnect();
  }

  #hold(state, offset) {
    this.#held = state;
    this.offset = offset;
    setClock(state.meta.now);
    this.#on.updated(state.data, state.meta);
  }

  async #join() {
    if (this.#joining) return;
    this.#joining = true;
    const ack = await this.#joinAsBefore();
    this.#joining = false;
    if (this.state === "ended") return;
    if (ack === undefined || ack.retryable) {
      // Without a connection the next one joins.
      const wait = 1000 * (ack?.retryAfter ?? Math.random() + 0.5);
      setTimeout(() => this.#socket.connected && this.state !== "ended" && this.#join(), wait);
      return;
    }
    if (!ack.ok) {
      this.close();
      this.#on.refused(ack);
      return;
    }
    this.participantID = ack.participantID ?? null;
    if (ack.token) this.#keep({ participantID: ack.participantID, token: ack.token });
    this.#outbox.belongTo(this.identity.key);
    this.#on.joined(ack);
    this.#arrived();
  }

  // Who created the session is its host again by the host token, whoever was promoted meanwhile. A token that is no good
  // was renewed or given up, or is that of an earlier session with this code.
  async #joinAsBefore() {
    for (const kind of ["hostToken", "token"]) {
      const token = this.identity[kind];
      if (token === null) continue;
      const ack = await this.#joinWith({ token });
      if (ack?.code !== "unauthorized") return ack;
      this.#keep({ [kind]: null });
    }
    dropIdentity(this.identity);
    return this.#joinWith({});
  }

  #joinWith(options) {
    return this.#ask("join-session", this.code, { patches: true, ...this.#options, ...options });
  }

  #keep(changed) {
    this.identity = { ...this.identity, ...changed };
    keepIdentity(this.identity);
    rememberTab(this.identity);
  }

  async #ask(event, ...args) {
    const start = performance.now();
    const ack = await this.#socket
      .timeout(PATIENCE)
      .emitWithAck(event, ...args)
      .catch(() => undefined);
    if (ack === undefined) return undefined;
    this.latency = performance.now() - start;
    if (ack.code === "not-joined") {
      this.#in = false;
      this.#join();
    }
    this.#on.changed();
    return ack;
  }

  #arrived() {
    this.#in = true;
    this.#become("connected");
    for (const arrival of this.#arrivals.splice(0)) arrival();
  }

  #whenIn() {
    return this.#in ? Promise.resolve() : new Promise((arrival) => this.#arrivals.push(arrival));
  }

  #become(state) {
    if (this.state === "ended") return;
    this.state = state;
    this.#on.changed();
  }
}
