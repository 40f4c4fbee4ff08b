// The rules of join-session-client, against a service of some replicas whose grace time is one second.
//   node --test session-client.mjs, with the addresses in ADDRESSES
import assert from "node:assert/strict";
import { test as rule } from "node:test";

import { createSession, findSession, joinSession, request } from "join-session-client";
import { useSnapshot } from "join-session-client/react";
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { get } from "svelte/store";

const addresses = process.env.ADDRESSES.split(",");
const [url] = addresses;
// None takes longer, but for a machine that is busy.
const test = (name, body) => rule(name, { timeout: 15_000 }, body);
const MOVIES = [
  { id: "m1", title: "Alien" },
  { id: "m2", title: "Heat" },
];

let next = 0;
const elsewhere = () => addresses[next++ % addresses.length];

// A session that was just created, its host and who is closed with the test.
async function opened(t, body = {}) {
  const created = await createSession({ movies: MOVIES, ...body }, { url });
  assert.equal(created.ok, true);
  const { sessionID, hostToken } = created;
  const join = (options) => {
    const socket = { transports: ["websocket"], reconnectionDelay: 50, reconnectionDelayMax: 100, ...options?.socket };
    const session = joinSession(sessionID, { url: elsewhere(), ...options, socket });
    session.sent = [];
    session.socket.onAnyOutgoing((event, payload) => session.sent.push([event, payload]));
    t.after(session.close);
    return session;
  };
  const host = join({ hostToken, name: "Ada" });
  assert.equal((await host.joined).ok, true);
  return { sessionID, hostToken, host, join };
}

function until(session, holds) {
  return new Promise((resolve, reject) => {
    const shown = () => JSON.stringify(session.getSnapshot());
    const timer = setTimeout(() => reject(new Error(`never so: ${holds}\n${shown()}`)), 10_000);
    const stop = session.subscribe((snapshot) => {
      if (!holds(snapshot)) return;
      clearTimeout(timer);
      queueMicrotask(() => stop());
      resolve(snapshot);
    });
  });
}

const cut = ({ socket }) => socket.io.engine.transport.ws.terminate();
const named = ({ sent }, event) => sent.filter(([name]) => name === event);

// After `delay` ms, or when an acknowledgement comes before that, which is then not read.
function cutBeforeAnswer(session, delay) {
  const { ws } = session.socket.io.engine.transport;
  const timer = setTimeout(() => ws.terminate(), delay);
  const { onmessage } = ws;
  ws.onmessage = (message) => {
    if (!String(message.data).startsWith("43")) return onmessage(message);
    clearTimeout(timer);
    ws.terminate();
  };
}

// Away until `back` is called.
function away(session) {
  session.socket.io.reconnection(false);
  cut(session);
  return () => {
    session.socket.io.reconnection(true);
    session.socket.connect();
  };
}

test("those who join see each other, on whichever replica", async (t) => {
  const { sessionID, host, join } = await opened(t, { title: "Friday" });
  const bob = join({ name: "Bob" });
  const joined = await bob.joined;
  assert.equal(joined.sessionID, sessionID);
  const snapshot = bob.getSnapshot();
  assert.equal(snapshot.status, "joined");
  assert.equal(snapshot.connection, "connected");
  assert.equal(snapshot.meta.title, "Friday");
  assert.equal(snapshot.me.name, "Bob");
  assert.equal(snapshot.isHost, false);
  assert.equal(snapshot.participantID, joined.participantID);
  assert.equal(snapshot.token, joined.token);
  assert.equal((await until(host, ({ data }) => data.participants.length === 2)).isHost, true);
  bob.close();
  await until(host, ({ data }) => data.participants[1]?.connected === false || data.participants.length === 1);
  assert.deepEqual([bob.getSnapshot().status, bob.getSnapshot().end.reason], ["over", "closed"]);
});

test("a code may be written as people write it", async (t) => {
  const { sessionID } = await opened(t);
  const session = joinSession(sessionID.replace(/(...)/, "$1 "), { url, socket: { transports: ["websocket"] } });
  t.after(session.close);
  assert.equal((await session.joined).ok, true);
  assert.equal(session.getSnapshot().sessionID, sessionID);
});

test("the store is one for React and for Svelte as it is", async (t) => {
  const { host } = await opened(t);
  const { subscribe, getSnapshot } = host;
  assert.equal(getSnapshot(), getSnapshot());
  assert.equal(get(host), getSnapshot());
  const seen = [];
  const stop = subscribe((snapshot) => seen.push(snapshot));
  assert.deepEqual(seen, [getSnapshot()]);
  const before = structuredClone(getSnapshot());
  await host.change("vote", { movieID: "m1", rating: 5 });
  await until(host, ({ data }) => data.movies[0].compatibility === 100);
  assert.deepEqual(seen[0], before);
  assert.equal(seen.at(-1), getSnapshot());
  stop();
  const count = seen.length;
  await host.change("update-session", { title: "Friday" });
  await until(host, ({ meta }) => meta.title === "Friday");
  assert.equal(seen.length, count);
  const Title = () => useSnapshot(host).meta.title;
  assert.equal(renderToString(createElement(Title)), "Friday");
});

test("a token brings the same person back, and one that is void a new one", async (t) => {
  const { join } = await opened(t);
  const bob = join({ name: "Bob" });
  const { token, participantID } = await bob.joined;
  await bob.change("vote", { movieID: "m2", rating: 2 });
  bob.close();
  const again = join({ token });
  assert.equal((await again.joined).participantID, participantID);
  assert.deepEqual(again.getSnapshot().votes, { m2: 2 });
  assert.equal(again.getSnapshot().me.name, "Bob");
  const other = join({ token: "p.of.another.AAAAAAAAAAAAAAAAAAAAAA", hostToken: "h.AAAAAAAAAAAAAAAAAAAAAA", name: "Cy" });
  assert.notEqual((await other.joined).participantID, participantID);
  assert.equal(other.getSnapshot().me.name, "Cy");
  assert.equal(other.getSnapshot().hostToken, null);
});

test("a passcode is asked for, and opens", async (t) => {
  const { join } = await opened(t, { passcode: "open sesame" });
  for (const [passcode, code] of [[undefined, "passcode-required"], ["open barley", "passcode-wrong"]]) {
    const refused = join({ passcode });
    assert.equal((await refused.joined).code, code);
    assert.equal(refused.getSnapshot().status, "over");
    assert.equal(refused.getSnapshot().end.code, code);
  }
  assert.equal((await join({ passcode: "open sesame" }).joined).ok, true);
});

test("what goes wrong is told apart by its code", async (t) => {
  const { sessionID, join } = await opened(t, { capacity: 1 });
  assert.equal((await findSession(sessionID, { url })).sessionData.movies.length, 2);
  assert.equal((await findSession("nowhere", { url })).code, "session-not-found");
  assert.equal((await findSession("", { url })).code, "session-id-required");
  assert.equal((await findSession("1", { url: "http://127.0.0.1:1" })).code, "unreachable");
  assert.equal((await createSession({ title: 5 }, { url })).field, "title");
  assert.equal((await join({ name: "Bob" }).joined).code, "session-full");
  const route = "DELETE /api/session/{sessionID}/movies/{movieID}";
  const refused = await request(route, { url, params: { sessionID, movieID: "m1" } });
  assert.deepEqual([refused.ok, refused.code], [false, "unauthorized"]);
});

test("a route is called by its name", async (t) => {
  const { sessionID, host } = await opened(t);
  const { token } = host.getSnapshot();
  const route = "GET /api/session/{sessionID}/participants";
  const page = await request(route, { url, token, params: { sessionID }, query: { cursor: "0" } });
  assert.deepEqual(page.participants.map(({ name }) => name), ["Ada"]);
  const params = { sessionID, movieID: "m1" };
  const idempotencyKey = "once";
  const vote = "PUT /api/session/{sessionID}/movies/{movieID}/vote";
  const first = await request(vote, { url, token, params, body: { rating: 3 }, idempotencyKey });
  assert.deepEqual(await request(vote, { url, token, params, body: { rating: 3 }, idempotencyKey }), first);
  await until(host, ({ votes }) => votes.m1 === 3);
});

test("changes are made in order, and refusals say why", async (t) => {
  const { host } = await opened(t);
  const outcomes = await Promise.all([
    host.change("add-movie", { movies: [{ id: "m3", title: "Ran" }] }),
    host.change("remove-movie", { movieID: "m3" }),
    host.change("vote", { movieID: "m3", rating: 5 }),
    host.change("vote", { movieID: "m1", rating: 4 }),
    host.change("decide"),
    host.change("vote", { movieID: "m1", rating: 5 }),
  ]);
  assert.deepEqual(outcomes.map(({ ok, code }) => code ?? ok), [true, true, "movie-not-found", true, true, "session-decided"]);
  assert.deepEqual([outcomes[0].added, outcomes[4].decision.movieID], [["m3"], "m1"]);
  await until(host, ({ meta }) => meta.phase === "decided");
});

test("a change whose answer is lost is sent again and counts once", async (t) => {
  const { host } = await opened(t);
  const { onack } = host.socket;
  let lost = 0;
  host.socket.onack = function (packet) {
    if (lost++ > 0) return onack.call(this, packet);
    cut(host);
  };
  const before = host.getSnapshot().meta.version;
  const added = await host.change("add-movie", { movies: [{ id: "m3", title: "Ran" }] });
  assert.deepEqual([added.ok, added.added, added.version], [true, ["m3"], before + 1]);
  const mids = named(host, "add-movie").map(([, { mid }]) => mid);
  assert.equal(mids.length, 2);
  assert.equal(mids[0], mids[1]);
  const { data, waiting } = await until(host, ({ data }) => data.movies.length === 3);
  assert.deepEqual([data.movies[2].title, waiting], ["Ran", []]);
});

test("connections that are cut again and again lose nothing and repeat nothing", async (t) => {
  const { sessionID, host, join } = await opened(t);
  const guests = ["Bob", "Cy", "Di"].map((name) => join({ name }));
  await Promise.all(guests.map(({ joined }) => joined));
  // Before a change arrives, while it is made, when its answer is on the way; the next attempt gets through.
  for (const [number, delay] of [0, 2, 10_000].entries()) {
    const guest = guests[number];
    let sent = 0;
    guest.socket.onAnyOutgoing((event) => {
      if (event === "add-movie" && sent++ % 2 === 0) cutBeforeAnswer(guest, delay);
    });
  }
  const titles = guests.flatMap((_, guest) => [1, 2].map((number) => `${guest} ${number}`));
  const outcomes = await Promise.all(
    titles.map((title) => guests[title[0]].change("add-movie", { id: title, title })),
  );
  assert.deepEqual([...new Set(outcomes.map(({ ok }) => ok))], [true]);
  assert.deepEqual(outcomes.map(({ added }) => added), titles.map((title) => [title]));
  assert.deepEqual(guests.map((guest) => named(guest, "add-movie").length), [4, 4, 4]);
  for (const session of [host, ...guests]) await until(session, ({ data }) => data.movies.length === 8);
  const order = host.getSnapshot().data.movies.map(({ id }) => id);
  for (const guest of guests.keys()) assert.deepEqual(order.filter((id) => id[0] === String(guest)), titles.filter((title) => title[0] === String(guest)));
  const { sessionData } = await request("GET /api/session/{sessionID}", { url, params: { sessionID } });
  for (const session of [host, ...guests]) await until(session, ({ data }) => JSON.stringify(data.movies) === JSON.stringify(sessionData.movies));
});

test("a connection that is recovered needs no joining", async (t) => {
  const { host } = await opened(t);
  cut(host);
  await until(host, ({ connection }) => connection === "reconnecting");
  await until(host, ({ connection }) => connection === "connected");
  assert.equal(host.socket.recovered, true);
  assert.equal(named(host, "join-session").length, 1);
  await host.change("vote", { movieID: "m1", rating: 3 });
  await until(host, ({ data }) => data.movies[0].count === 1);
});

test("one that is not recovered joins with the token", async (t) => {
  const { join } = await opened(t);
  const bob = join({ name: "Bob" });
  const { participantID } = await bob.joined;
  // As clients do that know no recovery.
  bob.socket._pid = undefined;
  cut(bob);
  await until(bob, ({ connection }) => connection === "reconnecting");
  await until(bob, ({ connection }) => connection === "connected");
  assert.equal(bob.socket.recovered, false);
  assert.equal(named(bob, "join-session").length, 2);
  assert.equal(bob.getSnapshot().participantID, participantID);
});

test("who was away for longer than the grace time is the same person with the same ratings", async (t) => {
  const { host, join } = await opened(t);
  const bob = join({ name: "Bob" });
  const { participantID } = await bob.joined;
  await bob.change("vote", { movieID: "m1", rating: 4 });
  await until(host, ({ data }) => data.participants.length === 2);
  const back = away(bob);
  await until(bob, ({ connection }) => connection === "reconnecting");
  const voted = bob.change("vote", { movieID: "m2", rating: 1 });
  const { votes, waiting } = bob.getSnapshot();
  assert.deepEqual([votes, waiting.length], [{ m1: 4, m2: 1 }, 1]);
  await until(host, ({ data }) => data.participants.length === 1);
  back();
  assert.equal((await voted).ok, true);
  const after = await until(bob, ({ me }) => me !== null);
  assert.deepEqual([after.participantID, after.me.name, after.votes], [participantID, "Bob", { m1: 4, m2: 1 }]);
  await until(host, ({ data }) => data.movies[1].vetoes === 1 && data.participants.length === 2);
});

test("of the ratings of a movie that wait only the newest is sent", async (t) => {
  const { host } = await opened(t);
  const changes = [1, 2, 3].map((rating) => host.change("vote", { movieID: "m1", rating }, { delay: 50 }));
  changes.push(host.change("withdraw-vote", { movieID: "m1" }, { delay: 50 }));
  assert.deepEqual(host.getSnapshot().votes, {});
  changes.push(host.change("vote", { movieID: "m1", rating: 5 }, { delay: 50 }));
  assert.deepEqual(host.getSnapshot().votes, { m1: 5 });
  assert.equal(host.getSnapshot().waiting.length, 1);
  assert.equal(new Set(await Promise.all(changes)).size, 1);
  assert.equal(named(host, "vote").length, 1);
  assert.deepEqual(host.getSnapshot().votes, { m1: 5 });
  await host.change("withdraw-vote", { movieID: "m1" });
  assert.deepEqual(host.getSnapshot().votes, {});
});

test("what was kept over a reload is sent once", async (t) => {
  const { host, join } = await opened(t);
  let kept = "[]";
  const keep = { read: () => JSON.parse(kept), write: (changes) => (kept = JSON.stringify(changes)) };
  const bob = join({ name: "Bob", keep });
  const { token } = await bob.joined;
  const { onack } = bob.socket;
  bob.socket.onack = () => {};
  const waiting = bob.change("add-movie", { id: "m3", title: "Ran" });
  await until(host, ({ data }) => data.movies.length === 3);
  bob.close();
  assert.equal((await waiting).code, "session-over");
  bob.socket.onack = onack;
  const again = join({ token, keep });
  await again.joined;
  await until(again, ({ waiting }) => waiting.length === 0);
  assert.deepEqual(named(again, "add-movie"), named(bob, "add-movie"));
  assert.equal(kept, "[]");
  assert.equal(host.getSnapshot().data.movies.length, 3);
});

test("updates come as patches, and where one does not fit the whole state is asked for", async (t) => {
  const { sessionID, host } = await opened(t);
  const told = [];
  host.socket.onAny((event) => told.push(event));
  await host.change("vote", { movieID: "m1", rating: 5 });
  await until(host, ({ data }) => data.movies[0].count === 1);
  assert.ok(told.includes("session-patch"));
  const { epoch, version } = host.getSnapshot().meta;
  for (const [patch, meta] of [
    [[], { epoch, from: version - 1, version: version + 1 }],
    [[], { epoch: "another", from: version, version: version + 1 }],
    [[{ op: "remove", path: "/movies/9" }], { epoch, from: version, version: version + 1 }],
  ]) {
    told.length = 0;
    const before = named(host, "join-session").length;
    const whole = new Promise((resolve) => host.socket.once("session-update", resolve));
    host.socket.onevent({ data: ["session-patch", patch, meta, ""] });
    await whole;
    assert.equal(named(host, "join-session").length, before + 1);
  }
  const { sessionData } = await request("GET /api/session/{sessionID}", { url, params: { sessionID } });
  assert.deepEqual(host.getSnapshot().data.movies, sessionData.movies);
});

test("the end says why, and settles what waits", async (t) => {
  const { host, join } = await opened(t);
  const [bob, cy, di] = [join({ name: "Bob" }), join({ name: "Cy" }), join({ name: "Di" })];
  const { participantID } = await bob.joined;
  await Promise.all([cy.joined, di.joined]);
  await host.change("kick-participant", { participantID });
  assert.equal((await until(bob, ({ status }) => status === "over")).end.reason, "kicked");
  assert.equal((await bob.change("vote", { movieID: "m1", rating: 5 })).code, "session-over");
  assert.equal((await di.change("leave-session")).ok, true);
  assert.equal(di.getSnapshot().end.reason, "left");
  cy.socket.onack = () => {};
  const waiting = cy.change("vote", { movieID: "m1", rating: 5 });
  assert.equal((await host.change("end-session")).ok, true);
  assert.deepEqual([(await waiting).code, (await waiting).reason], ["session-over", "ended"]);
  const { status, connection, data, end } = cy.getSnapshot();
  assert.deepEqual([status, connection, end.reason, data.movies.length], ["over", "closed", "ended", 2]);
  await until(host, (snapshot) => snapshot.end?.reason === "ended");
  const late = join({});
  assert.equal((await late.joined).code, "session-not-found");
});

test("who only watches is nobody, and changes nothing", async (t) => {
  const { host, join } = await opened(t);
  const screen = join({ observe: true });
  await screen.joined;
  const { participantID, token, me, meta } = await until(screen, ({ meta }) => meta.observers === 1);
  assert.deepEqual([participantID, token, me, meta.people], [null, null, null, 1]);
  assert.equal((await screen.change("vote", { movieID: "m1", rating: 5 })).code, "not-joined");
  cut(screen);
  await host.change("update-session", { title: "Friday" });
  await until(screen, ({ meta }) => meta.title === "Friday");
  assert.equal(named(screen, "join-session").length, 1);
});

test("a renewed host token is the one to come back with", async (t) => {
  const { host, hostToken, join } = await opened(t);
  const renewed = await host.change("rotate-host-token");
  assert.notEqual(renewed.hostToken, hostToken);
  assert.equal(host.getSnapshot().hostToken, renewed.hostToken);
  host.close();
  const again = join({ hostToken: renewed.hostToken });
  await again.joined;
  assert.equal((await until(again, ({ isHost }) => isHost)).me.name, "Ada");
});

test("a new name is the one that stays", async (t) => {
  const { join } = await opened(t);
  const bob = join({ name: "Bob" });
  await bob.joined;
  assert.equal((await bob.change("rename-participant", { name: "Rob" })).ok, true);
  bob.socket._pid = undefined;
  cut(bob);
  await until(bob, ({ connection }) => connection === "reconnecting");
  await until(bob, ({ connection, me }) => connection === "connected" && me?.name === "Rob");
});

test("countdowns are by the clock of the service", async (t) => {
  const { host } = await opened(t);
  const { now } = Date;
  const hour = 3_600_000;
  t.after(() => (Date.now = now));
  Date.now = () => now() - hour;
  await host.change("update-session", { decideInSeconds: 600 });
  const { meta } = await until(host, ({ meta }) => meta.decideAt !== null);
  assert.ok(Math.abs(Date.parse(meta.decideAt) - host.now() - 600_000) < 5_000);
});
