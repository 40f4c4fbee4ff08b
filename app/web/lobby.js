// The empty room: how to come in, and who has.

import { element, find, keyed, say } from "./dom.js";
import { face, namesOf } from "./faces.js";
import { placeSharing } from "./sharing.js";

const MOST_FACES = 12;

export function renderLobby({ movies, participants }, participantID) {
  const isEmpty = movies.length === 0;
  find("lobby").hidden = !isEmpty;
  placeSharing(isEmpty);
  if (!isEmpty) return;
  const others = participants.filter(({ id }) => id !== participantID);
  keyed(find("lobby-faces"), others.slice(0, MOST_FACES), (person) => element("span", {}, face(person)), () => {});
  say(
    find("lobby-text"),
    others.length === 0 ? "Waiting for people…" : `${namesOf(others)} ${others.length === 1 ? "is" : "are"} here.`,
  );
}
