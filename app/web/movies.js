// The movies in the order they came, each with one's own rating: they do not move under the pointer.

import { AddMovies } from "./add.js";
import { Cards } from "./cards.js";
import { element, find, keyed, say } from "./dom.js";
import { refuse, tell, undoable } from "./notice.js";
import { ratingControl } from "./rating.js";
import { browser } from "./storage.js";
import { poster, titleOf } from "./titles.js";

// Time to pass over others on the way to the one meant, with the arrow keys.
const SECOND_THOUGHTS = 300;
const TIP = "join-session:tip-read";
const VETO = "join-session:veto-explained";

export class Movies {
  #room;
  #removed = new Set();
  #controls = new WeakMap();
  #cards;

  // `room` has change(event, payload, options), state, isHost, and the newest data, meta, participantID, votes, waiting.
  constructor(room) {
    this.#room = room;
    new AddMovies(room);
    this.#cards = new Cards({
      rated: (id) => this.ratingOf(id) !== null,
      choose: (node, rating) => this.#controls.get(node).choose(rating),
    });
    find("tip-close").addEventListener("click", () => {
      browser.write(TIP, true);
      this.render();
      find("movies-heading").focus();
    });
  }

  forget() {
    this.#removed.clear();
    this.#cards.forget();
  }

  // One's own rating, also while it is on its way; null without one.
  ratingOf(movieID) {
    return this.#room.votes[movieID] ?? null;
  }

  render() {
    const movies = this.#room.data.movies.filter(({ id }) => !this.#removed.has(id));
    const rated = movies.filter(({ id }) => this.ratingOf(id) !== null).length;
    const none = movies.length === 0;
    find("movies-empty").hidden = !none;
    find("movies-keys").hidden = find("cards-toggle").hidden = none;
    find("tip").hidden = none || browser.read(TIP, false);
    say(
      find("tip-privacy"),
      this.#room.meta.reveal === "decided"
        ? "Your ratings are private; the totals are shown after the decision."
        : "Others see totals, not names.",
    );
    say(find("movies-count"), none ? "" : `${rated} of ${movies.length} rated`);
    find("tab-rate-count").hidden = none || rated === movies.length || Boolean(this.#room.meta.decision);
    say(find("tab-rate-count"), String(movies.length - rated));
    keyed(
      find("movies"),
      movies,
      (movie) => this.#make(movie),
      (node, movie) => this.#update(node, movie),
      find("movies-heading"),
    );
    this.#cards.render(movies);
  }

  #make(movie) {
    const control = ratingControl(movie.id, (rating) => this.#rate(movie.id, rating));
    const remove = element(
      "button",
      { type: "button", className: "quiet remove" },
      element("span", { className: "cross" }),
      element("span", { className: "hidden" }),
    );
    remove.addEventListener("click", () => this.#remove(movie));
    const node = element(
      "li",
      { className: "card movie" },
      poster(movie),
      element(
        "div",
        { className: "movie-head" },
        element("h3", {}, element("bdi", { className: "title" }), element("span", { className: "year" })),
        element("p", { className: "dim small by" }),
        element("p", { className: "small unsent", hidden: true, textContent: "Not sent yet" }),
      ),
      element("div", { className: "movie-tools" }, control.clear, remove),
      element("p", { className: "small overview" }, movie.overview ?? ""),
      control.group,
    );
    this.#controls.set(node, control);
    return node;
  }

  #update(node, movie) {
    const { data, participantID, isHost, state, waiting } = this.#room;
    const adder = data.participants.find((person) => person.id === movie.addedBy);
    say(node.querySelector(".title"), movie.title);
    say(node.querySelector(".year"), movie.year ? ` ${movie.year}` : "");
    say(
      node.querySelector(".by"),
      movie.addedBy === participantID ? "added by you" : adder ? `added by ${adder.name}` : "",
    );
    const remove = node.querySelector(".remove");
    remove.hidden = !isHost && movie.addedBy !== participantID;
    say(remove.lastChild, `Remove ${movie.title}`);
    const rating = this.ratingOf(movie.id);
    this.#controls.get(node).update(movie.title, rating);
    node.classList.toggle("rated", rating !== null);
    const isWaiting = waiting.some(({ payload }) => payload.movieID === movie.id);
    node.querySelector(".unsent").hidden = state === "connected" || !isWaiting;
  }

  async #rate(movieID, rating) {
    const [event, payload] = rating === null ? ["withdraw-vote", { movieID }] : ["vote", { movieID, rating }];
    const outcome = this.#room.change(event, payload, { delay: SECOND_THOUGHTS });
    if (rating === 1) this.#explainVeto(movieID);
    if (rating !== null) this.#cards.goOn();
    refuse(await outcome);
  }

  // Once. The tip stays: nothing moves under a finger.
  #explainVeto(movieID) {
    if (browser.read(VETO, false)) return;
    browser.write(VETO, true);
    const movie = this.#room.data.movies.find(({ id }) => id === movieID);
    tell(`Vetoed: ${movie.title}. A veto sinks a movie, even if everyone else loves it.`);
  }

  #remove(movie) {
    this.#removed.add(movie.id);
    this.render();
    undoable(
      `Removed ${titleOf(movie)}.`,
      async () => {
        const ack = await this.#room.change("remove-movie", { movieID: movie.id });
        this.#removed.delete(movie.id);
        refuse(ack);
        if (this.#room.data) this.render();
      },
      () => {
        this.#removed.delete(movie.id);
        this.render();
      },
    );
  }
}
