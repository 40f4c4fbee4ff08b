// Who this browser is in which session: one entry for each participant, with the tokens. A session is known by its code
// and the time it was created, because codes are used again.

import { browser, tab } from "./storage.js";
import { randomID } from "./vendor/client.js";

const KEY = "join-session:identities";
const TAB = "join-session:tab";
const NAME = "join-session:name";
const MOST = 20;

const all = () => browser.read(KEY, []);
const isSame = (one, other) => one.key === other.key;

// An entry has code, createdAt, name, participantID, token and, for the creator, hostToken. `key` is its own, since the
// participant's ID is known only after joining.
export function keepIdentity(identity) {
  browser.write(KEY, [identity, ...all().filter((other) => !isSame(other, identity))].slice(0, MOST));
}

export function dropIdentity(identity) {
  browser.write(KEY, all().filter((other) => !isSame(other, identity)));
}

export const isKept = (identity) => all().some((other) => isSame(other, identity));

export const dropSession = (code) => browser.write(KEY, all().filter((identity) => identity.code !== code));

export const identitiesOf = (code, createdAt) =>
  all().filter((identity) => identity.code === code && identity.createdAt === createdAt);

export function newIdentity(fields) {
  return { key: randomID(), participantID: null, token: null, hostToken: null, ...fields };
}

// Of somebody in a session with this code: it lets a screen of this browser watch without the passcode.
export const tokenOf = (code) => all().find((identity) => identity.code === code && identity.token)?.token ?? null;

// Who this tab is, so that a reload goes on as the same person.
export function identityOfTab(code) {
  const key = tab.read(TAB, null);
  return all().find((identity) => identity.key === key && identity.code === code) ?? null;
}
export const rememberTab = (identity) => tab.write(TAB, identity.key);
export const forgetTab = () => tab.remove(TAB);

export const lastName = () => browser.read(NAME, "");
export const keepName = (name) => browser.write(NAME, name);
