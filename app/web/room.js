// The view of a session one is in: it owns the newest state, and its parts draw what came.

import { find, say } from "./dom.js";
import { HostControls } from "./host.js";
import { Membership } from "./membership.js";
import { Movies } from "./movies.js";
import { announce } from "./news.js";
import { People } from "./people.js";
import { renderRanking } from "./ranking.js";
import { dropHostTicket, dropTicket } from "./tickets.js";

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
  #on;

  data = null;
  meta = null;

  // `on` has entered(), refused(ack), ended(reason), left(), tell(text, kind).
  constructor(on) {
    this.#on = on;
    find("leave").addEventListener("click", () => this.#leave());
    find("share-copy").addEventListener("click", () => this.#copy());
    find("share-link").addEventListener("focus", ({ target }) => target.select());
    for (const button of document.querySelectorAll("[data-jump]")) {
      button.addEventListener("click", () => find(button.dataset.jump).focus());
    }
    addEventListener("online", () => this.#membership && this.#showConnection());
    addEventListener("offline", () => this.#membership && this.#showConnection());
  }

  get code() {
    return this.#membership?.code ?? null;
  }

  get participantID() {
    return this.#membership?.participantID ?? null;
  }

  get isHost() {
    return this.data?.participants.some(({ id, role }) => id === this.participantID && role === "host") ?? false;
  }

  get state() {
    return this.#membership?.state ?? "ended";
  }

  enter(code, name) {
    this.data = this.meta = null;
    this.#movies.forget();
    this.#people.forget();
    this.#host.forget();
    find("expiring").hidden = true;
    say(find("room-code"), code);
    find("share-link").value = `${location.origin}${location.pathname}#${code}`;
    this.#membership = new Membership(code, name, {
      joined: (ack) => {
        this.#movies.own(ack.votes);
        this.#render();
      },
      updated: (data, meta) => this.#updated(data, meta),
      refused: (ack) => this.#refused(ack),
      expiring: (expiresAt) => this.#warn(expiresAt),
      ended: (reason) => {
        if (reason !== "replaced") dropTicket(code);
        if (!["replaced", "kicked"].includes(reason)) dropHostTicket(code);
        this.#closed();
        this.#on.ended(reason);
      },
      changed: () => this.#showConnection(),
    });
    this.#showConnection();
  }

  // The acknowledgement of a change, or undefined if the session was over before.
  change(event, payload, options = {}) {
    // Ratings show it in their place.
    if (this.state !== "connected" && !options.key) this.tell("We'll send this when you're back online.");
    return this.#membership.change(event, payload, options);
  }

  // Stops trying to get in.
  abandon() {
    this.#membership.close();
  }

  // Shows why a change was refused, if it was.
  refuse(ack) {
    if (ack && !ack.ok) this.#on.tell(ack.message, "error");
  }

  tell(text) {
    this.#on.tell(text);
  }

  #updated(data, meta) {
    const [before, listedAll, wasHost] = [this.data, this.#listsAll, this.isHost];
    this.data = data;
    this.meta = meta;
    announce(before, data, this.participantID, listedAll && this.#listsAll);
    if (before !== null && this.isHost && !wasHost) this.#on.tell("You are the host now.");
    this.#render();
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
    this.#movies.render();
    this.#people.render();
    this.#host.render();
    renderRanking(data);
    this.#showDetails();
    if (find("room").hidden) this.#on.entered();
  }

  #refused(ack) {
    this.#closed();
    if (this.data !== null && ack.code === "session-not-found") this.#on.ended("gone");
    else this.#on.refused(ack);
  }

  #showConnection() {
    // Why it has ended is for the view to come to say.
    if (this.state === "ended") return;
    const shown = find("connection");
    const state = this.state === "reconnecting" && !navigator.onLine ? "offline" : this.state;
    shown.dataset.state = state;
    say(shown, STATES[state]);
    this.#showDetails();
    if (this.data && this.participantID) this.#movies.render();
  }

  #showDetails() {
    const { epoch, version, expiresAt } = this.meta ?? {};
    const membership = this.#membership;
    if (!membership) return;
    const rows = {
      State: STATES[membership.state],
      Transport: membership.transport,
      Recovered: membership.recovered ? "yes" : "no",
      Epoch: epoch ?? "–",
      Version: version ?? "–",
      Offset: membership.offset ?? "–",
      "Last answer": membership.latency === null ? "–" : `${membership.latency.toFixed(0)} ms`,
      Expires: expiresAt ? new Date(expiresAt).toLocaleTimeString() : "–",
    };
    const list = find("details-list");
    for (const [name, value] of Object.entries(rows)) {
      let shown = list.querySelector(`[data-name="${name}"]`);
      if (shown === null) {
        const term = Object.assign(document.createElement("dt"), { textContent: name });
        shown = document.createElement("dd");
        shown.dataset.name = name;
        list.append(term, shown);
      }
      say(shown, String(value));
    }
  }

  #warn(expiresAt) {
    say(
      find("expiring"),
      `This session ends at ${new Date(expiresAt).toLocaleTimeString()}, its maximum length.`,
    );
    find("expiring").hidden = false;
  }

  async #leave() {
    const { code } = this.#membership;
    // Who is offline need not wait: the grace time does the rest.
    if (this.state === "connected") await this.#membership.change("leave-session");
    dropTicket(code);
    this.#membership.close();
    this.#closed();
    this.#on.left();
  }

  #closed() {
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  }

  async #copy() {
    const link = find("share-link");
    try {
      await navigator.clipboard.writeText(link.value);
      this.#on.tell("Link copied.");
    } catch {
      link.focus();
      link.select();
      this.#on.tell("Copy the selected link.");
    }
  }
}
