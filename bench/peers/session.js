// What the peers in JavaScript do: the work of the service in small. A join writes a participant and a vote changes a
// tally, by one Lua script each; every change is sent to all members as a whole snapshot that ends in its version.
import { createHash, randomBytes, randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import Redis from "ioredis";

const LIFETIME = 7_200_000;
const LISTED_PARTICIPANTS = 200;
const FOUND = "Session found. You can now connect via WebSocket.";
const NOT_FOUND = { error: "Session not found" };

const prelude = script("_prelude");
const SCRIPTS = Object.fromEntries(["join", "gone", "vote"].map((name) => [name, hashed(prelude + script(name))]));

export const redis = () => new Redis(Number(process.env.REDIS_PORT), "127.0.0.1");
export const isCode = (code) => typeof code === "string" && /^\d{6}$/.test(code);

/** The answers of the HTTP routes: [status, body]. */
export class Routes {
  constructor(db) {
    this.db = db;
  }

  async create({ capacity = 100, movies = [] }) {
    let code;
    do code = String(randomInt(100_000, 1_000_000));
    while (await this.db.exists(key(code)));
    const created = Date.now();
    const fields = { created, epoch: randomBytes(8).toString("hex"), version: 1, capacity, order: 0 };
    movies.forEach(({ id, ...details }, index) => {
      fields[`m:${id}`] = `${index}|${created}|${JSON.stringify(details)}`;
      fields[`t:${index}`] = "0 0 0";
    });
    await this.db.hset(key(code), fields);
    return [201, { sessionID: code, hostToken: "-" }];
  }

  async join({ sessionID }) {
    if (!isCode(sessionID)) return [400, { error: "sessionID is required" }];
    const fields = await this.db.call("HGETALL", key(sessionID));
    if (!fields.length) return [404, NOT_FOUND];
    return [200, { sessionID, message: FOUND, sessionData: snapshot(sessionID, fields).data }];
  }
}

/** The events of one Socket.IO server. With `coalescing`, bursts of changes become one update, at the service's pace. */
export class Sessions {
  constructor(db, io, coalescing) {
    this.db = db;
    this.io = io;
    this.coalescing = coalescing;
    this.rooms = new Map();
  }

  connected(socket) {
    let me, code;
    socket.on("join-session", async (asked, ...rest) => {
      const ack = rest.find((argument) => typeof argument === "function");
      const id = randomBytes(8).toString("hex");
      if (!isCode(asked)) return socket.emit("error", NOT_FOUND);
      await socket.join(asked);
      const reply = await this.run("join", asked, id);
      if (!reply) {
        socket.leave(asked);
        return socket.emit("error", NOT_FOUND);
      }
      [me, code] = [id, asked];
      socket.emit("joined-session", { sessionID: asked });
      const version = this.committed(asked, reply);
      ack?.({ ok: true, version, participantID: id });
    });
    socket.on("vote", async (vote, ack) => {
      const { movieID, rating } = vote ?? {};
      const valid = typeof movieID === "string" && Number.isInteger(rating) && rating >= 1 && rating <= 5;
      const reply = code && valid && (await this.run("vote", code, me, movieID, rating));
      ack?.(reply ? { ok: true, version: this.committed(code, reply) } : { ok: false });
    });
    socket.on("disconnect", async () => {
      const reply = code && (await this.run("gone", code, me));
      if (reply) this.committed(code, reply);
    });
  }

  async run(name, code, ...values) {
    const { text, hash } = SCRIPTS[name];
    const rest = [2, key(code), `${key(code)}:votes`, this.coalescing ? "1" : "0", ...values];
    try {
      return await this.db.evalsha(hash, ...rest);
    } catch (error) {
      if (!String(error).includes("NOSCRIPT")) throw error;
      return this.db.eval(text, ...rest);
    }
  }

  committed(code, reply) {
    if (!this.coalescing) return this.send(snapshot(code, reply));
    const version = Number(reply[1]);
    const room = this.rooms.get(code) ?? { next: 0, timer: null, busy: false, sent: 0, wanted: 0 };
    this.rooms.set(code, room);
    room.wanted = Math.max(room.wanted, version);
    if (!room.timer && !room.busy) this.schedule(code, room);
    return version;
  }

  schedule(code, room) {
    const wait = room.next - Date.now();
    if (wait > 0) room.timer = setTimeout(() => this.flush(code, room), wait);
    else this.flush(code, room);
  }

  async flush(code, room) {
    room.timer = null;
    room.busy = true;
    const fields = await this.db.call("HGETALL", key(code));
    const shown = snapshot(code, fields);
    room.sent = this.send(shown);
    room.busy = false;
    const members = this.io.sockets.adapter.rooms.get(code)?.size ?? 0;
    // About the bytes of the snapshot, times its members.
    const bytes = (shown.data.participants.length + 2 * shown.data.movies.length) * 120 * members;
    room.next = Date.now() + Math.min(2000, Math.max(50, bytes / 50_000));
    if (room.wanted > room.sent) this.schedule(code, room);
    else if (!members) this.rooms.delete(code);
  }

  send({ code, data, meta, offset }) {
    this.io.to(code).emit("session-update", data, meta, offset);
    return meta.version;
  }
}

function snapshot(code, flat) {
  const fields = new Map();
  for (let i = 0; i < flat.length; i += 2) fields.set(flat[i], flat[i + 1]);
  const [people, movies] = [[], []];
  for (const [name, value] of fields) {
    if (name.startsWith("p:")) people.push(participant(name.slice(2), value, fields));
    else if (name.startsWith("m:")) movies.push(movie(name.slice(2), value, fields));
  }
  people.sort((a, b) => a.order - b.order);
  movies.sort((a, b) => a.order - b.order);
  rank(movies);
  const [version, epoch] = [Number(fields.get("version")), fields.get("epoch")];
  const data = {
    createdAt: time(fields.get("created")),
    movies: movies.map(({ shown }) => shown),
    participants: people.slice(0, LISTED_PARTICIPANTS).map(({ shown }) => shown),
  };
  const [capacity, count] = [Number(fields.get("capacity")), people.length];
  const expiresAt = time(Date.now() + LIFETIME);
  const meta = { sessionID: code, epoch, version, title: null, locked: false, capacity, people: count, expiresAt };
  return { code, data, meta, offset: `${epoch}-${version}` };
}

function participant(id, value, fields) {
  const [order, joined, name] = value.split("|");
  const role = order === "1" ? "host" : "member";
  return { order: Number(order), shown: { id, name, role, connected: !fields.has(`d:${id}`), joinedAt: time(joined) } };
}

function movie(id, value, fields) {
  const [order, added, ...details] = value.split("|");
  const [count, vetoes, points] = fields.get(`t:${order}`).split(" ").map(Number);
  const mean = count ? points / count : 0;
  const compatibility = count ? Math.floor(mean * (count / (count + vetoes)) ** 3.5 + 0.5) : 0;
  const standing = { count, vetoes, score: Math.round(mean * 100) / 100, compatibility, rank: 0 };
  const shown = { id, ...JSON.parse(details.join("|")), addedBy: null, addedAt: time(added), ...standing };
  return { order: Number(order), shown };
}

function rank(movies) {
  const ranked = movies.slice().sort(
    ({ shown: a, order }, { shown: b, order: other }) =>
      b.compatibility - a.compatibility || a.vetoes - b.vetoes || b.count - a.count || order - other,
  );
  ranked.forEach(({ shown }, index) => (shown.rank = index + 1));
}

function key(code) {
  return `s:{${code}}`;
}

function time(milliseconds) {
  return new Date(Number(milliseconds)).toISOString();
}

function script(name) {
  return readFileSync(new URL(`scripts/${name}.lua`, import.meta.url), "utf8");
}

function hashed(text) {
  return { text, hash: createHash("sha1").update(text).digest("hex") };
}
