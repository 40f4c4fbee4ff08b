// The movies in the order they came, each with one's own rating: they do not move under the pointer.

import { element, find, keyed, plural, say } from "./dom.js";
import { ratingControl } from "./rating.js";
import { randomID } from "./tickets.js";

// Time to pass over others on the way to the one meant, with the arrow keys.
const SECOND_THOUGHTS = 300;

export class Movies {
  #room;
  #votes = new Map();
  #unsent = new Map();
  #controls = new WeakMap();

  // `room` has change(event, payload, options), refuse(ack), state, and the newest data and participantID.
  constructor(room) {
    this.#room = room;
    const [form, title, year] = [find("add-form"), find("add-title"), find("add-year")];
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add(title, year);
    });
    title.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    title.addEventListener("input", () => showCount(title));
  }

  // One's own ratings, as the server has them.
  own(votes) {
    this.#votes = new Map(Object.entries(votes));
  }

  forget() {
    this.#votes.clear();
    this.#unsent.clear();
  }

  render() {
    const { movies } = this.#room.data;
    find("movies-empty").hidden = movies.length > 0;
    find("movies-keys").hidden = movies.length === 0;
    say(find("movies-count"), movies.length > 0 ? plural(movies.length, "movie") : "");
    keyed(
      find("movies"),
      movies,
      (movie) => this.#make(movie),
      (node, movie) => this.#update(node, movie),
      find("movies-heading"),
    );
  }

  #make(movie) {
    const control = ratingControl(movie.id, (rating) => this.#rate(movie.id, rating));
    const remove = element(
      "button",
      { type: "button", className: "quiet remove" },
      "Remove",
      element("span", { className: "hidden" }),
    );
    remove.addEventListener("click", async () =>
      this.#room.refuse(await this.#room.change("remove-movie", { movieID: movie.id })),
    );
    const node = element(
      "li",
      { className: "card movie" },
      element(
        "div",
        { className: "movie-head" },
        element(
          "div",
          {},
          element("h3", {}, element("bdi", { className: "title" }), element("span", { className: "year" })),
          element("p", { className: "dim small by" }),
        ),
        remove,
      ),
      control.group,
      element("p", { className: "small unsent", hidden: true, textContent: "Not sent yet" }),
    );
    this.#controls.set(node, control);
    return node;
  }

  #update(node, movie) {
    const { data, participantID, isHost } = this.#room;
    const adder = data.participants.find((person) => person.id === movie.addedBy);
    say(node.querySelector(".title"), movie.title);
    say(node.querySelector(".year"), movie.year ? ` ${movie.year}` : "");
    say(
      node.querySelector(".by"),
      movie.addedBy === participantID ? "added by you" : adder ? `added by ${adder.name}` : "",
    );
    const remove = node.querySelector(".remove");
    remove.hidden = !isHost && movie.addedBy !== participantID;
    say(remove.lastChild, ` ${movie.title}`);
    const unsent = this.#unsent.has(movie.id);
    const rating = unsent ? this.#unsent.get(movie.id).rating : this.#votes.get(movie.id);
    this.#controls.get(node).update(movie.title, rating ?? null);
    node.querySelector(".unsent").hidden = !unsent || this.#room.state === "connected";
  }

  async #rate(movieID, rating) {
    const wish = { rating };
    this.#unsent.set(movieID, wish);
    const [event, payload] = rating === null ? ["withdraw-vote", { movieID }] : ["vote", { movieID, rating }];
    if (this.#room.state !== "connected") this.render();
    const ack = await this.#room.change(event, payload, { key: movieID, delay: SECOND_THOUGHTS });
    // A newer wish has its own answer.
    if (this.#unsent.get(movieID) !== wish) return;
    this.#unsent.delete(movieID);
    if (ack?.ok && rating !== null) this.#votes.set(movieID, rating);
    else if (ack?.ok) this.#votes.delete(movieID);
    this.#room.refuse(ack);
    this.render();
  }

  async #add(title, year) {
    const movies = parseMovies(title.value, year.value);
    if (movies.length === 0) {
      title.focus();
      return;
    }
    if (title.readOnly) return;
    const waiting = (yes) => {
      title.readOnly = year.readOnly = yes;
      find("add-button").setAttribute("aria-disabled", String(yes));
    };
    waiting(true);
    const ack = await this.#room.change("add-movie", { movies });
    waiting(false);
    this.#room.refuse(ack);
    if (!ack?.ok) return;
    title.value = year.value = "";
    showCount(title);
  }
}

// "Alien (1979)", one a line; for a single one the year may come from its own field.
export function parseMovies(text, year) {
  const lines = text
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter(Boolean);
  return lines.map((line) => {
    const [, title, inLine] = /^(.+?)(?:\s*\((\d{4})\))?$/u.exec(line) ?? [null, line];
    const given = inLine ?? (lines.length === 1 && year.trim() ? year.trim() : undefined);
    return { id: randomID(), title, ...(given !== undefined && { year: Number(given) }) };
  });
}

function showCount(title) {
  const count = parseMovies(title.value, "").length;
  // For browsers without `field-sizing`.
  title.rows = Math.min(8, title.value.split("\n").length);
  find("add-year-field").hidden = count > 1;
  say(find("add-button"), count > 1 ? `Add ${count}` : "Add");
}
