// Adding movies: one or many, and what is there already is pointed out.

import { open } from "./dialogs.js";
import { find, say } from "./dom.js";
import { alreadyListed, parseMovies, titleOf } from "./titles.js";

const [title, year] = [find("add-title"), find("add-year")];

export class AddMovies {
  #room;

  // `room` has change(event, payload) and the newest data.
  constructor(room) {
    this.#room = room;
    find("add-open").addEventListener("click", () => {
      say(find("add-there"), "");
      this.#fail("");
      open("adding");
      title.focus();
    });
    find("add-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
    title.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#add();
    });
    for (const field of [title, year]) field.addEventListener("input", () => this.#look());
  }

  #look() {
    const movies = parseMovies(title.value, year.value);
    const there = alreadyListed(movies, this.#room.data.movies);
    // For browsers without `field-sizing`.
    title.rows = Math.min(8, title.value.split("\n").length);
    find("add-year-field").hidden = movies.length > 1;
    const verb = movies.length > 1 ? `Add ${movies.length}` : "Add";
    say(find("add-button"), there.length > 0 ? `${verb} anyway` : verb);
    say(find("add-there"), there.length > 0 ? `Already in the list: ${there.slice(0, 3).map(titleOf).join(", ")}` : "");
  }

  async #add() {
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
    this.#fail("");
    waiting(true);
    const ack = await this.#room.change("add-movie", { movies });
    waiting(false);
    if (!ack.ok) return this.#fail(ack.message);
    title.value = year.value = "";
    this.#look();
    say(find("add-there"), movies.length === 1 ? `Added ${titleOf(movies[0])}.` : `Added ${movies.length} movies.`);
    title.focus();
  }

  #fail(message) {
    find("add-error").hidden = message === "";
    say(find("add-error"), message);
    if (message) find("news").textContent = message;
  }
}
