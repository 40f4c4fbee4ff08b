// What others did, in a sentence for those who do not see it; some together, so that it does not chatter.

import { find, plural } from "./dom.js";

const GATHER = 1200;

let waiting = [];
let timer = null;

// `listsAll`: who is not listed is not in the session.
export function announce(before, after, participantID, listsAll) {
  if (before === null) return;
  const [then, now] = [byID(before.participants), byID(after.participants)];
  for (const [id, person] of now) {
    const was = then.get(id);
    if (id === participantID) continue;
    if (was === undefined && listsAll) waiting.push(`${person.name} joined.`);
    else if (was !== undefined && was.connected !== person.connected)
      waiting.push(`${person.name} is ${person.connected ? "back" : "away"}.`);
    if (was?.role === "member" && person.role === "host") waiting.push(`${person.name} is the host now.`);
  }
  for (const [id, person] of then) if (listsAll && !now.has(id)) waiting.push(`${person.name} left.`);
  const known = new Set(before.movies.map((movie) => movie.id));
  const added = after.movies.filter((movie) => !known.has(movie.id) && movie.addedBy !== participantID);
  if (added.length > 0)
    waiting.push(added.length === 1 ? `${added[0].title} was added.` : `${plural(added.length, "movie")} were added.`);
  if (waiting.length > 0) timer ??= setTimeout(tell, GATHER);
}

function tell() {
  timer = null;
  const shown = waiting.slice(0, 3);
  if (waiting.length > 3) shown.push(`And ${plural(waiting.length - 3, "more change")}.`);
  waiting = [];
  find("news").textContent = shown.join(" ");
}

const byID = (people) => new Map(people.map((person) => [person.id, person]));
