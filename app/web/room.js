// The view of a session one is in: it has the newest snapshot, and its parts draw what came.

import { forgetChanges, keptChanges } from "./changes.js";
import { showCode } from "./code.js";
import { Countdown } from "./countdown.js";
import { DecisionView } from "./decision.js";
import { renderDetails } from "./details.js";
import { closeAll } from "./dialogs.js";
import { find, say } from "./dom.js";
import { HostControls } from "./host.js";
import { dropIdentity, dropSession, forgetTab, isKept, keepIdentity, keepName, rememberTab } from "./identities.js";
import { renderLobby } from "./lobby.js";
import { Movies } from "./movies.js";
import { announce } from "./news.js";
import { tell } from "./notice.js";
import { People } from "./people.js";
import { renderRanking } from "./ranking.js";
import { prepareSharing } from "./sharing.js";
import { showTab } from "./tabs.js";
import { joinSession } from "./vendor/client.js";

const STATES = {
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  offline: "Offline",
};

const QUIET = new Set(["vote", "withdraw-vote"]);

export class Room {
  #identity = null;
  #session = null;
  #snapshot = null;
  #movies = new Movies(this);
  #people = new People(this);
  #host = new HostControls(this);
  #countdown = new Countdown(this);
  #decision = new DecisionView(this);
  #on;

  // `on` has entered(), refused(ack), ended(reason), left(identity, title).
  constructor(on) {
    this.#on = on;
    find("leave").addEventListener("click", () => this.#leave());
  }

  get code() {
    return this.#identity?.code ?? null;
  }

  // On the way in.
  get isComing() {
    return this.#snapshot?.status === "joining";
  }

  get data() {
    return this.#snapshot?.data ?? null;
  }

  get meta() {
    return this.#snapshot?.meta ?? null;
  }

  get participantID() {
    return this.#snapshot.participantID;
  }

  get token() {
    return this.#snapshot.token;
  }

  get hostToken() {
    return this.#snapshot.hostToken;
  }

  get isHost() {
    return this.#snapshot.isHost;
  }

  get state() {
    return this.#snapshot.connection;
  }

  // One's own ratings by movie, and the changes that have no answer yet.
  get votes() {
    return this.#snapshot.votes;
  }

  get waiting() {
    return this.#snapshot.waiting;
  }

  get now() {
    return this.#session.now();
  }

  enter(identity, options) {
    this.#movies.forget();
    this.#people.forget();
    this.#host.forget();
    this.#decision.forget();
    find("expiring").hidden = true;
    showCode(find("room-code"), identity.code);
    showTab("rate");
    this.#identity = identity;
    this.#snapshot = null;
    const { token, hostToken } = identity;
    this.#session = joinSession(identity.code, { ...options, token, hostToken, keep: keptChanges(identity) });
    const { socket } = this.#session;
    this.#session.subscribe((snapshot) => this.#take(snapshot));
    socket.io.on("open", () => socket.io.engine.on("upgrade", () => this.#showConnection()));
  }

  // What came of a change.
  change(event, payload, options = {}) {
    // Ratings show it in their place.
    if (this.state !== "connected" && !QUIET.has(event)) tell("We'll send this when you're back online.");
    return this.#session.change(event, payload, options);
  }

  // A new name of one's own, also for the next time.
  async rename(name) {
    const outcome = await this.change("rename-participant", { name });
    if (!outcome.ok) return outcome;
    this.#identity = { ...this.#identity, name };
    keepIdentity(this.#identity);
    keepName(name);
    return outcome;
  }

  // Stops trying to get in.
  abandon() {
    this.#session.close();
    forgetTab();
  }

  #take(snapshot) {
    const before = this.#snapshot;
    this.#snapshot = snapshot;
    this.#keepIdentity(snapshot);
    const { status, data, meta, end, expiring } = snapshot;
    if (status === "over") this.#over(end, before);
    else if (status === "joined" && (data !== before?.data || meta !== before.meta)) this.#updated(before);
    if (expiring !== (before?.expiring ?? null)) this.#warn(expiring);
    this.#showConnection();
  }

  // The tokens are those of the newest join.
  #keepIdentity({ token, hostToken, participantID }) {
    const before = this.#identity;
    if (before.token === token && before.hostToken === hostToken) return;
    this.#identity = { ...before, token, hostToken, participantID: participantID ?? before.participantID };
    if (!token && !hostToken) return dropIdentity(this.#identity);
    keepIdentity(this.#identity);
    rememberTab(this.#identity);
  }

  #updated(before) {
    const listedAll = listsAll(before);
    announce(before?.data ?? null, this.data, this.participantID, listedAll && listsAll(this.#snapshot));
    if (before?.data && this.isHost && !before.isHost) tell("You are the host now.");
    this.#render();
    this.#decision.announce(before?.meta ?? null);
  }

  #render() {
    const { data, meta } = this;
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
    if (find("room").hidden) this.#on.entered();
  }

  #over(end, before) {
    closeAll();
    if (end.code === "session-over") this.#ended(end.reason);
    else this.#refused(end, before);
  }

  #refused(ack, before) {
    forgetTab();
    if (before?.data && ack.code === "session-not-found") this.#on.ended("gone");
    else this.#on.refused(ack);
  }

  #ended(reason) {
    // By this page, which knows.
    if (reason === "closed") return;
    const identity = this.#identity;
    const leftElsewhere = reason === "kicked" && !isKept(identity);
    if (reason === "kicked") dropIdentity(identity);
    else if (reason !== "replaced") dropSession(this.code);
    if (reason !== "replaced") {
      forgetTab();
      forgetChanges(identity);
    }
    this.#on.ended(leftElsewhere ? "left" : reason);
  }

  #showConnection() {
    const { state } = this;
    // Why it has ended is for the view to come to say.
    if (state === "closed") return;
    const shown = find("connection");
    shown.dataset.state = state;
    say(shown, STATES[state]);
    renderDetails(this.#session.socket, this.#snapshot, STATES[state]);
    if (this.data) this.#movies.render();
  }

  #warn(expiresAt) {
    say(
      find("expiring"),
      `This session ends at ${new Date(expiresAt).toLocaleTimeString()}, its maximum length.`,
    );
    find("expiring").hidden = false;
  }

  #leave() {
    const { title } = this.meta;
    forgetTab();
    this.#session.close();
    this.#on.left(this.#identity, title);
  }
}

// In a large session only some are listed, and another one is when one of them leaves.
const listsAll = (snapshot) => (snapshot?.meta?.people ?? 0) <= (snapshot?.data?.participants.length ?? 0);
