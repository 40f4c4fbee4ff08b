// Hosts any number of stock Socket.IO clients, driven by JSON lines:
//   stdin   {"id": 1, "do": "connect", "client": "c1", ...}   one command a line
//   stdout  {"id": 1, "result": ..., "at": 1700000000.123} or {"id": 1, "error": "..."}
//           {"client": "c1", "event": "joined-session", "args": [...], "at": 1700000000.123}
// Besides the events of the server there are connect, disconnect and connect_error, and :upgrade, :reconnect_attempt
// and, where asked for, :frame, whose colon no event of a server begins with.
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import jsonpatch from "fast-json-patch";
import { io } from "socket.io-client";

const clients = new Map();
const patching = process.env.TEST_PATCHES === "true";
const bareFetch = globalThis.fetch;
// Standard output is for the lines; what the seed's flow says is told as events.
console.log = console.error = () => {};

const now = () => (performance.timeOrigin + performance.now()) / 1000;
const write = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const commands = {
  connect({ client, url, options, frames, digest }) {
    watch(client, io(url, { forceNew: true, ...options }), frames, digest);
  },

  // The seed's flow as a page at `url` runs it: relative URLs, and io() without an argument.
  async flow({ client, url, sessionID, digest }) {
    globalThis.location = new URL(url);
    globalThis.fetch = (path, init) => bareFetch(new URL(path, url), init);
    const { joinSession } = await import("./build/seed-flow.js");
    const { socket, sessionData } = await joinSession(sessionID);
    watch(client, socket, false, digest);
    return sessionData;
  },

  emit({ client, event, args, ack, timeout }) {
    const socket = clients.get(client);
    if (!ack) return void socket.emit(event, ...args);
    return socket.timeout(timeout * 1000).emitWithAck(event, ...args);
  },

  open: ({ client }) => void clients.get(client).connect(),
  disconnect: ({ client }) => void clients.get(client).disconnect(),
  // What a lost network does: the transport is gone, no goodbye was said, the client comes back by itself.
  drop({ client }) {
    const { transport } = clients.get(client).io.engine;
    if (transport.ws) transport.ws.terminate();
    else transport.onClose();
  },
  auth: ({ client, auth }) => void (clients.get(client).auth = auth),

  close({ client }) {
    clients.get(client).removeAllListeners().offAny().disconnect();
    clients.delete(client);
  },
};

function watch(client, socket, frames, digest) {
  clients.set(client, socket);
  const tell = (event, ...args) => write({ client, event, args, at: now(), ...state(socket) });

  let held = null;
  socket.onAny((event, ...args) => {
    if (event === "session-patch" && patching) [event, args] = ["session-update", patched(held, ...args)];
    if (event === "session-update") held = args;
    tell(event, ...(digest && event === "session-update" ? digested(args) : args));
  });
  socket.on("connect", () => tell("connect"));
  socket.on("disconnect", (reason) => tell("disconnect", reason));
  socket.on("connect_error", (error) => tell("connect_error", error.message, error.data ?? null));
  socket.io.on("reconnect_attempt", (attempt) => tell(":reconnect_attempt", attempt));
  const watched = new WeakSet();
  const watchEngine = () => {
    const { engine } = socket.io;
    if (!engine || watched.has(engine)) return;
    watched.add(engine);
    engine.on("upgrade", (transport) => tell(":upgrade", transport.name));
    if (!frames) return;
    engine.on("packet", ({ type, data }) => tell(":frame", "in", type, data ?? null));
    engine.on("packetCreate", ({ type, data }) => tell(":frame", "out", type, data ?? null));
  };
  watchEngine();
  socket.io.on("open", watchEngine);
}

// The update that a patch stands for. One that starts elsewhere is told as it is, which no update looks like.
function patched(held, patch, { from, ...changed }, offset) {
  const [data, meta] = held ?? [];
  if (meta?.epoch !== changed.epoch || meta.version !== from) return [patch, { from, ...changed }, offset];
  return [jsonpatch.applyPatch(data, patch, false, false).newDocument, { ...meta, ...changed }, offset];
}

// For long runs: instead of the state its hash, the secret words in it and who takes part.
function digested([data, ...rest]) {
  const text = JSON.stringify(data);
  return [
    {
      hash: createHash("sha256").update(text).digest("hex"),
      words: [...new Set(text.match(/secret-\w+/g))],
      people: data.participants.map(({ id }) => id),
    },
    ...rest,
  ];
}

function state(socket) {
  return {
    connected: socket.connected,
    id: socket.id ?? null,
    recovered: Boolean(socket.recovered),
    transport: socket.io.engine?.transport?.name ?? null,
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[command.do](command))
    .then((result) => write({ id: command.id, result: result ?? null, at: now() }))
    .catch((error) => write({ id: command.id, error: error.message }));
}
// Nobody asks for more: say goodbye, and leave once that is out, or soon in any case.
for (const socket of clients.values()) socket.disconnect();
setTimeout(() => process.exit(0), 500).unref();
