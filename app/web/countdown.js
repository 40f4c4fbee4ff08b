// The time until the decision, by the service's clock; and who is still rating.

import { clockText, secondsUntil } from "./clock.js";
import { find, say } from "./dom.js";
import { namesOf } from "./faces.js";
import { refuse } from "./notice.js";

const TICK = 250;
const MOST_NAMES = 2;

// Who has rated every movie; null where that cannot be known.
export function progressOf({ movies, participants }, { people = participants.length }) {
  if (movies.length === 0 || people > participants.length || participants.some(({ rated }) => rated === undefined)) return null;
  const waiting = participants.filter(({ rated }) => rated < movies.length);
  return { done: participants.length - waiting.length, people: participants.length, waiting };
}

// "5 of 8 have rated everything, waiting for Cy"; nothing while one is alone.
export function progressText(progress) {
  if (progress === null || progress.people < 2) return "";
  const { done, people, waiting } = progress;
  if (waiting.length === 0) return "Everyone has rated everything";
  const names = done > 0 && waiting.length <= MOST_NAMES + 1 ? `, waiting for ${namesOf(waiting, MOST_NAMES)}` : "";
  return `${done} of ${people} ${done === 1 ? "has" : "have"} rated everything${names}`;
}

export class Countdown {
  #room;

  constructor(room) {
    this.#room = room;
    find("countdown-now").addEventListener("click", async () => refuse(await room.change("decide")));
    find("countdown-stop").addEventListener("click", () => this.#stop());
    setInterval(() => !find("countdown").hidden && this.#tick(), TICK);
  }

  render() {
    const { data, meta, isHost } = this.#room;
    const progress = progressOf(data, meta);
    say(find("progress"), meta.phase === "decided" ? "" : progressText(progress));
    find("countdown").hidden = !meta.decideAt || meta.phase === "decided";
    if (find("countdown").hidden) return;
    find("countdown-now").hidden = find("countdown-stop").hidden = !isHost;
    say(find("countdown-text"), this.#byAllRated(progress) ? "Everyone has rated. Deciding in" : "Deciding in");
    this.#tick();
  }

  #byAllRated(progress) {
    return this.#room.meta.decideWhen === "all-rated" && progress?.waiting.length === 0;
  }

  #tick() {
    const { decideAt } = this.#room.meta ?? {};
    if (!decideAt) return;
    const seconds = secondsUntil(decideAt, this.#room.now);
    say(find("countdown-time"), clockText(seconds));
    find("countdown").classList.toggle("soon", seconds <= 10);
  }

  async #stop() {
    const { data, meta } = this.#room;
    const when = this.#byAllRated(progressOf(data, meta)) ? { decideWhen: "host" } : {};
    refuse(await this.#room.change("update-session", { decideInSeconds: null, ...when }));
  }
}
