// Lives through a session by what the client guide shows, and prints what came of it as one line of JSON.
//   node client-guide-run.mjs ADDRESS
import { isDeepStrictEqual } from "node:util";
import { io } from "socket.io-client";

const address = process.argv[2];
const bareFetch = globalThis.fetch;
globalThis.location = new URL(address);
globalThis.fetch = (path, init) => bareFetch(new URL(path, address), init);
const kept = new Map();
globalThis.sessionStorage = {
  getItem: (name) => kept.get(name) ?? null,
  setItem: (name, value) => kept.set(name, value),
  removeItem: (name) => kept.delete(name),
};

const guide = await import("./build/client-guide.js");
let lines;
const session = await guide.rateTogether("Ada", (rendered) => (lines = rendered));
while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
const packaged = lines;
session.close();

const created = await guide.create({ title: "Friday", movies: [{ id: "m1", title: "Alien" }] });
const code = created.sessionID;
const connect = () => io(address, { forceNew: true, transports: ["websocket"] });

let state;
let news = () => {};
const seen = (condition) =>
  new Promise((resolve) => {
    news = () => state && condition(state) && resolve(state);
    news();
  });
const render = (data, meta) => {
  state = { ...data, version: meta.version };
  news();
};

const socket = connect();
const ended = new Promise((resolve) => guide.stay(socket, "Ada", code, resolve));
guide.show(socket, render);
let warned;
guide.warn(socket, (end) => (warned = end));
const chosen = new Promise((resolve) => guide.awaitDecision(socket, () => {}, resolve));
const { participants } = await seen(({ participants }) => participants.length === 1);

const first = await guide.readIfChanged(code);
const unchanged = await guide.readIfChanged(code);
await guide.addMovies(socket, ["Heat", "Ran"]);
const changed = await guide.readIfChanged(code);

// The network goes; the rating is given while nobody is there to take it.
socket.io.engine.transport.ws.terminate();
const voted = await guide.vote(socket, "m1", 5);
await seen(({ movies }) => movies[0].compatibility === 100);
const recovered = socket.recovered;

// A page that was reloaded, and one whose token is of another time.
const reloaded = connect();
const again = await guide.joinAs("Ada", code, reloaded);
reloaded.disconnect();
const ownToken = kept.get(code);

// Another socket that asks for patches holds the same states.
const patching = connect();
let patched;
await guide.joinWithPatches(patching, code, ownToken, (data, meta) => {
  patched = { ...data, version: meta.version };
  news();
});
await guide.vote(socket, "m1", 4);
const same = await seen((state) => state.movies[0].compatibility === 75 && isDeepStrictEqual(patched, state));
patching.disconnect();
const everybody = await guide.everybody(code, ownToken);
const renewed = await guide.renewHostToken(code, socket);
const decided = await guide.decide(socket);
const hostToken = kept.get(`host:${code}`);
kept.set(`host:${code}`, created.hostToken);
kept.set(code, "p.of.another.AAAAAAAAAAAAAAAAAAAAAA");
const stranger = connect();
const newcomer = await guide.joinAs("Bob", code, stranger);
stranger.disconnect();
const nowhere = await guide.joinAs("Ada", `${code}x`, connect()).catch((error) => error.message);

await fetch(`/api/session/${code}`, { method: "DELETE", headers: { Authorization: `Bearer ${hostToken}` } });
const { reason } = await ended;
const result = {
  packaged: [...packaged, ...lines],
  role: participants[0].role,
  read: first.sessionData.movies.length,
  unchanged: unchanged === undefined,
  changed: changed.sessionData.movies.map(({ title }) => title),
  voted: voted.ok,
  recovered,
  renewed: renewed.ok && hostToken !== created.hostToken,
  same: again.participantID === participants[0].id && again.token === ownToken,
  votes: again.votes,
  stranger: newcomer.participantID !== participants[0].id,
  decided: [decided.decision?.movieID, (await chosen).title],
  patched: same.movies.length,
  everybody: everybody.map(({ name }) => name),
  nowhere,
  reason,
  warned: warned > new Date(),
};
process.stdout.write(JSON.stringify(result) + "\n", () => process.exit(0));
