// Changes that wait for an answer, kept over a reload: those that nobody has to look at when they are refused.

import { browser } from "./storage.js";

const KEPT = new Set(["vote", "withdraw-vote", "add-movie", "remove-movie"]);
const KEY = "join-session:outbox:";

// Where the client keeps those of an identity.
export const keptChanges = ({ key }) => ({
  read: () => browser.read(KEY + key, []),
  write(changes) {
    const kept = changes.filter(({ event }) => KEPT.has(event));
    if (kept.length === 0) browser.remove(KEY + key);
    else browser.write(KEY + key, kept);
  },
});

// Whose changes they were is not coming back.
export const forgetChanges = ({ key }) => browser.remove(KEY + key);
