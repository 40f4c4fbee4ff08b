// The view of a session one is in: it owns the newest state, and its parts draw what came.

import { showCode } from "./code.js";
import { Countdown } from "./countdown.js";
import { DecisionView } from "./decision.js";
import { renderDetails } from "./details.js";
import { closeAll } from "./dialogs.js";
import { find, say } from "./dom.js";
import { HostControls } from "./host.js";
import { dropIdentity, dropSession, forgetTab, isKept } from "./identities.js";
import { renderLobby } from "./lobby.js";
import { Membership } from "./membership.js";
import { Movies } from "./movies.js";
import { announce } from "./news.js";
import { tell } from "./notice.js";
import { People } from "./people.js";
import { renderRanking } from "./ranking.js";
import { prepareSharing } from "./sharing.js";
import { showTab } from "./tabs.js";

const STATES = {
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  offline: "Offline",
};

export class Room {
  #membership = null;
  #movies = new Movies(this);
  #people = new People(this);
  #host = new HostControls(this);
  #countdown = new Countdown(this);
  #decision = new DecisionView(this);
  #on;

  data = null;
  meta = null;

  // `on` has entered(), refused(ack), ended(reason), left(identity, title).
  constructor(on) {
    this.#on = on;
    find("leave").addEventListener("click", () => this.#leave());
    for (const event of ["online", "offline"]) {
      addEventListener(event, () => this.#membership && this.#showConnection());
    }
  }

  get code() {
    return this.#membership?.code ?? null;
  }

  // On the way in.
  get isComing() {
    return this.state !== "ended" && this.participantID === null;
  }

  get participantID() {
    return this.#membership?.participantID ?? null;
  }

  get token() {
    return this.#membership?.identity.token ?? null;
  }

  get isHost() {
    return this.data?.participants.some(({ id, role }) => id === this.participantID && role === "host") ?? false;
  }

  get state() {
    const state = this.#membership?.state ?? "ended";
    // The socket notices it later.
    return state !== "ended" && !navigator.onLine ? "offline" : state;
  }

  enter(identity, options) {
    this.data = this.meta = null;
    this.#movies.forget();
    this.#people.forget();
    this.#host.forget();
    this.#decision.forget();
    find("expiring").hidden = true;
    showCode(find("room-code"), identity.code);
    this.#membership = new Membership(identity, options, {
      joined: (ack) => {
        this.#movies.own(ack.votes);
        this.#render();
      },
      updated: (data, meta) => this.#updated(data, meta),
      done: (event, payload) => this.#movies.done(event, payload),
      rated: (votes) => {
        this.#movies.own(votes);
        this.#render();
      },
      refused: (ack) => this.#refused(ack),
      expiring: (expiresAt) => this.#warn(expiresAt),
      ended: (reason) => this.#ended(reason),
      changed: () => this.#showConnection(),
    });
    showTab("rate");
    this.#showConnection();
  }

  // The acknowledgement of a change, or undefined if the session was over before.
  change(event, payload, options = {}) {
    // Ratings show it in their place.
    if (this.state !== "connected" && !options.key) tell("We'll send this when you're back online.");
    return this.#membership.change(event, payload, options);
  }

  // The newest change with this key that has no answer yet.
  pending(key) {
    return this.#membership.pending(key);
  }

  // Stops trying to get in.
  abandon() {
    this.#membership.close();
    forgetTab();
  }

  #updated(data, meta) {
    const [before, metaBefore, listedAll, wasHost] = [this.data, this.meta, this.#listsAll, this.isHost];
    this.data = data;
    this.meta = meta;
    announce(before, data, this.participantID, listedAll && this.#listsAll);
    if (before !== null && this.isHost && !wasHost) tell("You are the host now.");
    this.#render();
    this.#decision.announce(metaBefore);
  }

  // In a large session only some are listed, and another one is when one of them leaves.
  get #listsAll() {
    return (this.meta?.people ?? 0) <= (this.data?.participants.length ?? 0);
  }

  // Nothing to draw before there is a state, and who we are in it.
  #render() {
    const { data, meta } = this;
    if (data === null || this.participantID === null) return;
    const title = meta.title ?? "Movie session";
    say(find("room-heading"), title);
    document.title = `${title} – join-session`;
    find("room-locked").hidden = !meta.locked;
    prepareSharing(this.code, title);
    renderLobby(data, this.participantID);
    this.#movies.render();
    this.#people.render();
    this.#host.render();
    this.#decision.render();
    this.#countdown.render();
    renderRanking(data, meta);
    this.#showConnection();
    if (find("room").hidden) this.#on.entered();
  }

  #refused(ack) {
    closeAll();
    forgetTab();
    if (this.data !== null && ack.code === "session-not-found") this.#on.ended("gone");
    else this.#on.refused(ack);
  }

  #ended(reason) {
    const { identity } = this.#membership;
    const leftElsewhere = reason === "kicked" && !isKept(identity);
    if (reason === "kicked") dropIdentity(identity);
    else if (reason !== "replaced") dropSession(this.code);
    if (reason !== "replaced") forgetTab();
    closeAll();
    this.#on.ended(leftElsewhere ? "left" : reason);
  }

  #showConnection() {
    const { state } = this;
    // Why it has ended is for the view to come to say.
    if (state === "ended") return;
    const shown = find("connection");
    shown.dataset.state = state;
    say(shown, STATES[state]);
    renderDetails(this.#membership, STATES[state], this.meta ?? {});
    if (this.data && this.participantID) this.#movies.render();
  }

  #warn(expiresAt) {
    say(
      find("expiring"),
      `This session ends at ${new Date(expiresAt).toLocaleTimeString()}, its maximum length.`,
    );
    find("expiring").hidden = false;
  }

  #leave() {
    const { identity } = this.#membership;
    const { title } = this.meta;
    closeAll();
    forgetTab();
    this.#membership.close();
    this.#on.left(identity, title);
  }
}
