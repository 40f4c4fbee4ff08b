// A client that uses every event and some routes, by the types that the service gives out. Prints what it was told.
//   node full-client.js ADDRESS
import { io, type Socket } from "socket.io-client";
import type {
  AcknowledgedEvents,
  ClientToServerEvents,
  Joined,
  Refused,
  Routes,
  ServerToClientEvents,
  SessionData,
} from "../../docs/join-session.d.ts";
import { joinSession } from "./seed-flow.js";

type Member = Socket<ServerToClientEvents, ClientToServerEvents>;

declare const process: { argv: string[] };

const told: string[] = [];
const address = process.argv[2];
// What a page has by its own address: relative URLs, and io() without an argument.
const bareFetch = globalThis.fetch;
globalThis.fetch = (path, init) => bareFetch(new URL(String(path), address), init);
globalThis.location = new URL(address) as unknown as Location;
const print = console.log;
console.log = console.error = () => {};

async function create(body: Routes["POST /api/session/create"]["body"]) {
  const response = await fetch("/api/session/create", { method: "POST", body: JSON.stringify(body) });
  return (await response.json()) as Routes["POST /api/session/create"]["answer"];
}

function done<Ack extends { ok: boolean }>(ack: Ack): Exclude<Ack, Refused> {
  if (!ack.ok) throw new Error(JSON.stringify(ack));
  return ack as Exclude<Ack, Refused>;
}

function next<Event extends keyof ServerToClientEvents>(socket: Member, event: Event) {
  return new Promise<Parameters<ServerToClientEvents[Event]>>((resolve) => {
    const listener = (...args: unknown[]) => {
      told.push(event);
      resolve(args as Parameters<ServerToClientEvents[Event]>);
    };
    socket.once(event, listener as never);
  });
}

const created = await create({ title: "Friday", movies: [{ id: "m0", title: "Alien", year: 1979 }] });
const host: Socket<ServerToClientEvents, AcknowledgedEvents> = io(address, { forceNew: true });
const joined: Joined = done(
  await host.emitWithAck("join-session", created.sessionID, { name: "Ada", token: created.hostToken, patches: true }),
);

// The seed's own flow, seen by the types.
const flow: { socket: Member; sessionData: SessionData } = await joinSession(created.sessionID);
const guest = flow.socket;
const [[{ sessionID }], [data, meta, offset]] = await Promise.all([
  next(guest, "joined-session"),
  next(guest, "session-update"),
  next(guest, "session-expiring"),
]);
if (offset !== `${meta.epoch}-${meta.version}` || data.movies[0].title !== flow.sessionData.movies[0].title) {
  throw new Error(JSON.stringify([offset, meta, data]));
}
const me = data.participants.find(({ id }) => id !== joined.participantID)!.id;

const patched = next(host as unknown as Member, "session-patch");
done(await host.emitWithAck("add-movie", { movies: [{ id: "m1", title: "Heat", genres: ["crime"] }] }));
const added: string[] = done(await host.emitWithAck("add-movie", { id: "m2", title: "Ran", mid: "once" })).added;
const [operations, { from, version: to }] = await patched;
if (operations.length === 0 || from >= to) throw new Error(JSON.stringify([operations, from, to]));
const version: number = await new Promise((resolve, reject) => {
  guest.emit("vote", { movieID: "m1", rating: 5 }, (ack) => (ack.ok ? resolve(ack.version) : reject(ack)));
});
guest.emit("withdraw-vote", { movieID: "m1" });
const screen: Socket<ServerToClientEvents, AcknowledgedEvents> = io(address, { forceNew: true });
const watching: Joined = done(await screen.emitWithAck("join-session", created.sessionID, { observe: true }));
if (watching.participantID || watching.token) throw new Error(JSON.stringify(watching));
done(await screen.emitWithAck("leave-session"));
screen.close();
done(await host.emitWithAck("remove-movie", { movieID: "m2" }));
done(await host.emitWithAck("update-session", { title: null, capacity: 5, locked: false }));

done(await host.emitWithAck("rename-participant", { name: "Ann" }));

const twin: Member = io(address, { forceNew: true });
await new Promise((resolve) => twin.emit("join-session", sessionID, { token: joined.token }, resolve));
const rerated = next(twin, "own-votes");
done(await host.emitWithAck("vote", { movieID: "m1", rating: 4 }));
const [{ votes }] = await rerated;
const decided = next(guest, "session-decided");
const { decision } = done(await host.emitWithAck("decide", {}));
const [{ decision: news }] = await decided;
if (votes.m1 !== 4 || news.movieID !== "m1" || decision.ranking[0].compatibility !== 75) {
  throw new Error(JSON.stringify([votes, news, decision]));
}
done(await host.emitWithAck("reopen", {}));
twin.disconnect();

const refused = next(guest, "error");
guest.emit("end-session");
const [{ code }] = await refused;

done(await host.emitWithAck("transfer-host", { participantID: me }));
const kicked = next(host as unknown as Member, "session-ended");
guest.emit("kick-participant", { participantID: joined.participantID, ban: false });
const [{ reason }] = await kicked;

guest.emit("update-session", { ttlSeconds: 5 });
guest.emit("leave-session");
guest.emit("join-session", { sessionID, name: "Bob" });
await next(guest, "joined-session");
const ended = next(guest, "session-ended");
guest.emit("end-session", {});
const [end] = await ended;
host.disconnect();
guest.disconnect();
print(JSON.stringify({ told, added, version: version > meta.version, code, reason, end: end.reason }));

// What a compiler has to find.
export function mistakes(socket: Member) {
  // @ts-expect-error: no such event
  socket.emit("votes", { movieID: "m1", rating: 5 });
  // @ts-expect-error: a field is missing
  socket.emit("vote", { movieID: "m1" });
  // @ts-expect-error: an id is a string
  socket.emit("remove-movie", { movieID: 1 });
  // @ts-expect-error: no such field
  socket.emit("vote", { movieID: "m1", rating: 5 }, (ack) => ack.votes);
  // @ts-expect-error: the server says no such thing
  socket.on("session-updated", () => {});
  // @ts-expect-error: no such field
  socket.on("session-update", ({ members }) => members);
}
