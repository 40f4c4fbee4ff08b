// How movies are written: what people type, what is shown, and their posters.

import { element, initial, paint } from "./dom.js";
import { settings } from "./settings.js";
import { randomID } from "./vendor/client.js";

export const titleOf = ({ title, year }) => (year ? `${title} (${year})` : title);

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

// The movies of `listed` that are meant by one of `typed`: the same title, whatever its case and signs, and no other year.
export function alreadyListed(typed, listed) {
  const wanted = new Map(typed.map((movie) => [plain(movie.title), movie.year]));
  return listed.filter(({ title, year }) => {
    const key = plain(title);
    if (!wanted.has(key)) return false;
    return !year || !wanted.get(key) || wanted.get(key) === year;
  });
}

const plain = (title) =>
  title
    .toLowerCase()
    .normalize("NFKD")
    .replace(/^(the|a|an) /u, "")
    .replace(/[^\p{L}\p{N}]/gu, "") || title;

// The poster where its host is one of the deployment's, else the first letter on a colour.
export function poster(movie) {
  if (isAllowed(movie.posterUrl)) {
    const image = element("img", { className: "poster", alt: "", loading: "lazy", referrerPolicy: "no-referrer" });
    image.decoding = "async";
    image.addEventListener("error", () => image.replaceWith(tile(movie)));
    image.src = movie.posterUrl;
    return image;
  }
  return tile(movie);
}

function tile({ title }) {
  const node = element("span", { className: "poster tile" });
  node.setAttribute("aria-hidden", "true");
  node.textContent = initial(title);
  let hue = 0;
  for (const character of title) hue = (hue * 31 + character.codePointAt(0)) % 360;
  paint(node, "hue", hue);
  return node;
}

function isAllowed(url) {
  try {
    const { protocol, hostname, port } = new URL(url);
    return protocol === "https:" && port === "" && settings.imageHosts.includes(hostname);
  } catch {
    return false;
  }
}
