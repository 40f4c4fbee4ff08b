// One movie at a time: the same cards, of which one is shown. A swipe to the right likes it, one to the left does not; a
// rating goes on to the next one.

import { find, paint, say } from "./dom.js";
import { browser } from "./storage.js";

const KEY = "join-session:one-by-one";
const TIME_TO_SEE = 450;
// Pixels from which a swipe counts, and from which it is a strong one.
const SWIPE = 80;
const FAR = 190;

export class Cards {
  #on;
  #movies = [];
  #current = null;
  #going = 0;

  // `on` has rated(movieID) and choose(node, rating).
  constructor(on) {
    this.#on = on;
    find("cards-toggle").addEventListener("click", () => this.#toggle());
    find("card-previous").addEventListener("click", () => this.#move(-1));
    find("card-next").addEventListener("click", () => this.#move(1));
    const list = find("movies");
    list.addEventListener("pointerdown", (event) => this.#isOn && event.isPrimary && this.#drag(event));
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  get #isOn() {
    return browser.read(KEY, false);
  }

  get #node() {
    return [...find("movies").children].find((node) => node.dataset.id === this.#current);
  }

  forget() {
    this.#current = null;
    clearTimeout(this.#going);
  }

  render(movies) {
    this.#movies = movies;
    const isOn = this.#isOn && movies.length > 0;
    find("rate").classList.toggle("cards", isOn);
    find("cards-toggle").setAttribute("aria-pressed", String(isOn));
    find("card-nav").hidden = !isOn;
    const index = movies.findIndex(({ id }) => id === this.#current);
    if (index < 0) this.#current = (movies.find(({ id }) => !this.#on.rated(id)) ?? movies[0])?.id ?? null;
    for (const node of find("movies").children) node.classList.toggle("current", node.dataset.id === this.#current);
    if (!isOn) return;
    const position = movies.findIndex(({ id }) => id === this.#current);
    say(find("card-position"), `${position + 1} of ${movies.length}`);
    find("card-previous").disabled = position === 0;
    find("card-next").disabled = position === movies.length - 1;
  }

  // After a rating, when one has seen it.
  goOn() {
    if (!this.#isOn) return;
    clearTimeout(this.#going);
    this.#going = setTimeout(() => {
      const position = this.#movies.findIndex(({ id }) => id === this.#current);
      const behind = [...this.#movies.slice(position + 1), ...this.#movies.slice(0, position)];
      const next = behind.find(({ id }) => !this.#on.rated(id));
      if (next) this.#show(next.id);
    }, TIME_TO_SEE);
  }

  #toggle() {
    browser.write(KEY, !this.#isOn);
    this.render(this.#movies);
  }

  #move(by) {
    const position = this.#movies.findIndex(({ id }) => id === this.#current);
    const next = this.#movies[position + by];
    if (next) this.#show(next.id);
  }

  #show(id) {
    const hadFocus = this.#node?.contains(document.activeElement);
    clearTimeout(this.#going);
    this.#current = id;
    this.render(this.#movies);
    if (hadFocus) (this.#node.querySelector("input:checked") ?? this.#node.querySelector("input")).focus();
  }

  #key(event) {
    if (!this.#isOn || event.altKey || event.ctrlKey || event.metaKey) return;
    // Where somebody writes, or where arrows have a meaning of their own.
    if (event.target.closest("input, textarea, select, dialog, summary") || find("rate").offsetParent === null) return;
    if (event.key === "ArrowLeft") this.#move(-1);
    else if (event.key === "ArrowRight") this.#move(1);
    else if (/^[1-5]$/.test(event.key) && this.#node) this.#on.choose(this.#node, Number(event.key));
    else return;
    event.preventDefault();
  }

  #drag(start) {
    const node = this.#node;
    if (!node?.contains(start.target) || start.target.closest("label, button, input, a")) return;
    let meant = null;
    const moved = (event) => {
      const by = event.clientX - start.clientX;
      paint(node, "swipe", `${Math.round(by)}px`);
      meant = by > FAR ? 5 : by > SWIPE ? 4 : by < -SWIPE ? 2 : null;
      node.dataset.swipe = meant ? ["Meh", "", "Good", "Love"][meant - 2] : "";
    };
    const ended = (event) => {
      removeEventListener("pointermove", moved);
      removeEventListener("pointerup", ended);
      removeEventListener("pointercancel", ended);
      node.style.removeProperty("--swipe");
      delete node.dataset.swipe;
      if (event.type === "pointerup" && meant) this.#on.choose(node, meant);
    };
    addEventListener("pointermove", moved);
    addEventListener("pointerup", ended);
    addEventListener("pointercancel", ended);
  }
}
