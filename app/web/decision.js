// What was decided: the winner, why it won, and the ways to tell others and to decide again.

import { close, open } from "./dialogs.js";
import { element, find, keyed, plural, say } from "./dom.js";
import { refuse, tell } from "./notice.js";
import { share } from "./sharing.js";
import { showTab } from "./tabs.js";
import { poster, titleOf } from "./titles.js";
import { readResultTable } from "./vendor/client.js";

// The movies as they stood when it was decided, best first.
export function decidedRanking({ movies }, { ranking }) {
  const known = new Map(movies.map((movie) => [movie.id, movie]));
  return ranking.filter(({ movieID }) => known.has(movieID)).map((entry) => ({ ...known.get(entry.movieID), ...entry }));
}

// "Drawn by lot from 3 movies at 75 %."
export function reasonOf({ by, tied, ranking, movieID }) {
  const won = ranking.find((entry) => entry.movieID === movieID);
  const percent = won && won.count > 0 ? ` at ${won.compatibility}\u00a0%` : "";
  if (by === "lot") return `Drawn by lot from ${plural(tied.length, "movie")}${percent}.`;
  if (by === "host") return "Chosen by the host.";
  return `The top of the ranking${percent}.`;
}

export function resultText(title, data, decision) {
  const ranking = decidedRanking(data, decision);
  const winner = data.movies.find(({ id }) => id === decision.movieID);
  const others = ranking.filter(({ id, count }) => id !== decision.movieID && count > 0).slice(0, 3);
  const behind = others.map((movie) => `${titleOf(movie)} ${movie.compatibility}\u00a0%`).join(", ");
  return `${title}: we're watching ${titleOf(winner)}. ${reasonOf(decision)}${behind && ` Then: ${behind}.`}`;
}

export class DecisionView {
  #room;
  #shown = null;

  // `room` has change(event, payload), code, token, hostToken, isHost, and the newest data and meta.
  constructor(room) {
    this.#room = room;
    find("decision-share").addEventListener("click", () => {
      const { data, meta } = room;
      share(resultText(meta.title ?? "Movie session", data, meta.decision));
    });
    find("decision-table").addEventListener("click", () => this.#saveTable());
    find("decision-again").addEventListener("click", () => open("again"));
    find("decide-open").addEventListener("click", () => this.#ask());
    find("decide-top").addEventListener("click", () => this.#decide({}));
    find("decide-chosen").addEventListener("click", () => this.#decide({ movieID: find("decide-movie").value }));
    for (const button of document.querySelectorAll("[data-again]")) {
      button.addEventListener("click", () => this.#reopen(button.dataset.again));
    }
  }

  forget() {
    this.#shown = null;
  }

  render() {
    const { data, meta, isHost } = this.#room;
    const decision = meta.decision ?? null;
    find("room").dataset.phase = decision ? "decided" : "voting";
    find("decision").hidden = decision === null;
    find("decision-again").hidden = !isHost;
    find("decide-open").hidden = !isHost || decision !== null || !meta.phase || data.movies.length === 0;
    say(find("tab-rate"), decision ? "Result" : "Rate");
    if (decision === null || decision.decidedAt === this.#shown?.decidedAt) {
      if (decision === null && this.#shown !== null) find("decision").classList.remove("fresh");
      this.#shown = decision;
      return;
    }
    this.#show(data, decision);
  }

  // Whether the decision came while one was there, and not before.
  announce(before) {
    if (!before?.phase || before.decision || !this.#room.meta.decision) return;
    for (const id of ["adding", "deciding", "manage"]) close(id);
    tell("");
    find("decision").classList.add("fresh");
    showTab("rate", { focus: "decision-heading" });
  }

  #show(data, decision) {
    this.#shown = decision;
    const winner = data.movies.find(({ id }) => id === decision.movieID);
    const picture = poster(winner);
    // Without a picture the title is enough.
    find("decision-poster").replaceChildren(...(picture.tagName === "IMG" ? [picture] : []));
    say(find("decision-heading"), titleOf(winner));
    say(find("decision-why"), reasonOf(decision));
    const tied = decision.tied.map((id) => data.movies.find((movie) => movie.id === id)).filter(Boolean);
    keyed(
      find("decision-tied"),
      tied,
      () => element("li", {}, element("bdi")),
      (node, movie) => {
        say(node.firstChild, movie.title);
        node.classList.toggle("drawn", movie.id === decision.movieID);
      },
    );
  }

  #ask() {
    const { movies } = this.#room.data;
    const listed = [...movies].sort((one, other) => (one.rank ?? 0) - (other.rank ?? 0));
    find("decide-movie").replaceChildren(
      ...listed.map((movie) => element("option", { value: movie.id, textContent: titleOf(movie) })),
    );
    open("deciding");
  }

  // A link would carry no token, which a session with a passcode asks for.
  async #saveTable() {
    const { code, token, hostToken } = this.#room;
    const outcome = await readResultTable(code, { token: token ?? hostToken });
    if (!outcome.ok) return refuse(outcome);
    const href = URL.createObjectURL(new Blob([outcome.table], { type: "text/csv" }));
    element("a", { href, download: `session-${code}.csv` }).click();
    URL.revokeObjectURL(href);
  }

  async #decide(payload) {
    close("deciding");
    refuse(await this.#room.change("decide", payload));
  }

  async #reopen(clear) {
    close("again");
    refuse(await this.#room.change("reopen", clear ? { clear } : {}));
  }
}
