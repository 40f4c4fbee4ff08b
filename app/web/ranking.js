// The ranking, which moves calmly; and its top, which is always in view on a phone.

import { decidedRanking } from "./decision.js";
import { element, find, keyed, paint, plural, say } from "./dom.js";
import { titleOf } from "./titles.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const LEADERS = 3;

const isRated = ({ count, vetoes }) => (count ?? 0) + (vetoes ?? 0) > 0;

// The rated movies, best first, then the others; empty before the first rating and while totals are hidden.
export function ranked(movies) {
  if (!movies.some(isRated)) return [];
  return [...movies].sort((one, other) => one.rank - other.rank);
}

export function renderRanking(data, { reveal, decision }) {
  const list = decision ? decidedRanking(data, decision) : ranked(data.movies);
  const empty =
    reveal === "decided" && !decision
      ? "The ranking is hidden until the decision."
      : "Rate a movie to start the ranking.";
  find("ranking-empty").hidden = list.length > 0;
  find("ranking").hidden = list.length === 0;
  say(find("ranking-empty"), empty);
  renderList(find("ranking"), list, decision ? null : data.participants.length);
  renderLeaders(list, empty);
  // Always there, so that nothing moves under a finger with the first rating.
  find("leaders").hidden = data.movies.length === 0;
}

// `people`: how many could have rated; null says nothing of them.
export function renderList(node, movies, people = null) {
  const before = new Map([...node.children].map((child) => [child, child.offsetTop]));
  keyed(node, movies, make, (child, movie) => update(child, movie, people));
  if (calm.matches) return;
  for (const [child, top] of before) {
    const moved = child.isConnected ? top - child.offsetTop : 0;
    if (moved !== 0 && child.animate)
      child.animate({ transform: [`translateY(${moved}px)`, "none"] }, { duration: 350, easing: "ease-out" });
  }
}

function renderLeaders(list, empty) {
  const leaders = list.filter(isRated).slice(0, LEADERS);
  find("leaders-empty").hidden = leaders.length > 0;
  say(find("leaders-empty"), empty);
  keyed(
    find("leaders-list"),
    leaders,
    () =>
      element(
        "span",
        { className: "leader" },
        element("span", { className: "place" }),
        element("bdi", { className: "leader-title" }),
        element("strong", { className: "percent" }),
      ),
    (node, movie) => {
      say(node.querySelector(".place"), String(movie.rank));
      say(node.querySelector(".leader-title"), movie.title);
      say(node.querySelector(".percent"), `${movie.compatibility}\u00a0%`);
    },
  );
}

function make() {
  const bar = element("span", { className: "meter" }, element("span", { className: "fill" }));
  bar.setAttribute("aria-hidden", "true");
  return element(
    "li",
    {},
    element("span", { className: "place" }),
    element(
      "div",
      { className: "ranked" },
      element(
        "div",
        { className: "ranked-head" },
        element("bdi", { className: "ranked-title" }),
        element("strong", { className: "percent" }),
      ),
      bar,
      element("p", { className: "small dim counts" }),
    ),
  );
}

function update(node, movie, people) {
  say(node.querySelector(".place"), String(movie.rank));
  say(node.querySelector(".ranked-title"), titleOf(movie));
  const total = movie.count + movie.vetoes;
  say(node.querySelector(".percent"), total > 0 ? `${movie.compatibility}\u00a0%` : "–");
  paint(node.querySelector(".fill"), "part", movie.compatibility / 100);
  const vetoes = movie.vetoes > 0 ? `, ${plural(movie.vetoes, "veto", "vetoes")}` : "";
  const ratings = people !== null && total < people ? `${total} of ${people} rated` : plural(total, "rating");
  say(node.querySelector(".counts"), total > 0 ? ratings + vetoes : "not rated yet");
  node.classList.toggle("vetoed", movie.vetoes > 0);
}
