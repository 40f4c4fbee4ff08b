// The live ranking: nothing in it can be focused, so that its lines may move.

import { element, find, keyed, plural, say } from "./dom.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function renderRanking({ movies }) {
  const list = find("ranking");
  const isRated = movies.some((movie) => movie.count + movie.vetoes > 0);
  const ranked = isRated ? movies.toSorted((one, other) => one.rank - other.rank) : [];
  find("ranking-empty").hidden = isRated;
  const before = new Map([...list.children].map((node) => [node, node.offsetTop]));
  keyed(list, ranked, make, update);
  if (calm.matches) return;
  for (const [node, top] of before) {
    const moved = node.isConnected ? top - node.offsetTop : 0;
    if (moved !== 0)
      node.animate({ transform: [`translateY(${moved}px)`, "none"] }, { duration: 250, easing: "ease-out" });
  }
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

function update(node, movie) {
  say(node.querySelector(".place"), String(movie.rank));
  say(node.querySelector(".ranked-title"), movie.year ? `${movie.title} (${movie.year})` : movie.title);
  const total = movie.count + movie.vetoes;
  say(node.querySelector(".percent"), total > 0 ? `${movie.compatibility} %` : "–");
  node.querySelector(".fill").style.setProperty("--part", String(movie.compatibility / 100));
  const vetoes = movie.vetoes > 0 ? `, ${plural(movie.vetoes, "veto", "vetoes")}` : "";
  say(node.querySelector(".counts"), total > 0 ? plural(total, "rating") + vetoes : "not rated yet");
  node.classList.toggle("vetoed", movie.vetoes > 0);
}
