// The big screen: how to come in, who is there and how the ranking stands, by an observer who takes part in nothing.

import { clockText, secondsUntil } from "./clock.js";
import { linkTo, showCode } from "./code.js";
import { progressOf, progressText } from "./countdown.js";
import { decidedRanking, reasonOf } from "./decision.js";
import { find, keyed, plural, say } from "./dom.js";
import { face } from "./faces.js";
import { drawQR } from "./qr.js";
import { ranked, renderList } from "./ranking.js";
import { titleOf } from "./titles.js";
import { joinSession } from "./vendor/client.js";

// As many as fit the screen.
const MOST_MOVIES = 7;
const MOST_BELOW_DECISION = 4;
const MOST_FACES = 30;
const TICK = 250;

export class BigScreen {
  #code;
  #session;
  #data = null;
  #meta = null;
  #on;

  // `on` has entered(), refused(ack), ended(reason).
  constructor(code, options, on) {
    this.#code = code;
    this.#on = on;
    this.#session = joinSession(code, { observe: true, ...options });
    const ticking = setInterval(() => this.#tick(), TICK);
    this.#session.subscribe(({ status, data, meta, end }) => {
      if (status === "over") clearInterval(ticking);
      if (end?.code === "session-over") on.ended(end.reason);
      else if (end) on.refused(end);
      else if (data !== this.#data || meta !== this.#meta) this.#updated(data, meta);
    });
  }

  #updated(data, meta) {
    const isFirst = this.#data === null;
    const isFresh = !isFirst && !this.#meta.decision && Boolean(meta.decision);
    this.#data = data;
    this.#meta = meta;
    this.#render(isFresh);
    if (isFirst) this.#on.entered();
  }

  #render(isFresh) {
    const [data, meta] = [this.#data, this.#meta];
    const decision = meta.decision ?? null;
    const title = meta.title ?? "Movie session";
    document.title = title;
    say(find("tv-heading"), title);
    showCode(find("tv-code"), this.#code);
    say(find("tv-host"), location.host);
    drawQR(find("tv-qr"), linkTo(this.#code));
    const people = meta.people ?? data.participants.length;
    say(find("tv-people"), people === 0 ? "Waiting for people…" : plural(people, "person", "people"));
    keyed(find("tv-faces"), data.participants.slice(0, MOST_FACES), (person) => face(person), () => {});
    say(find("tv-progress"), decision ? "" : progressText(progressOf(data, meta)));
    const list = decision ? decidedRanking(data, decision) : ranked(data.movies);
    renderList(find("tv-ranking"), list.slice(0, decision ? MOST_BELOW_DECISION : MOST_MOVIES), decision ? null : data.participants.length);
    find("tv-empty").hidden = list.length > 0;
    say(find("tv-empty"), emptyText(data, meta));
    find("tv-decision").hidden = decision === null;
    if (decision) {
      const winner = data.movies.find(({ id }) => id === decision.movieID);
      say(find("tv-winner"), winner ? titleOf(winner) : "");
      say(find("tv-why"), reasonOf(decision));
      if (isFresh) find("tv-decision").classList.add("fresh");
    } else find("tv-decision").classList.remove("fresh");
    this.#tick();
  }

  #tick() {
    const { decideAt, decision } = this.#meta ?? {};
    find("tv-countdown").hidden = !decideAt || Boolean(decision);
    if (decideAt) say(find("tv-time"), clockText(secondsUntil(decideAt, this.#session.now())));
  }
}

function emptyText({ movies }, { reveal }) {
  if (movies.length === 0) return "Add movies on your phone.";
  const listed = `${plural(movies.length, "movie")} in the list.`;
  return reveal === "decided" ? `${listed} The ranking is hidden until the decision.` : `${listed} Rate them on your phone.`;
}
