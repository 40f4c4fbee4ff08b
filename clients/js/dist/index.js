// clients/js/src/patches.ts
function patched(held, patch, { from, ...changed }) {
  if (held === null || held.meta.epoch !== changed.epoch || held.meta.version !== from) return null;
  try {
    return { data: applyPatch(held.data, patch), meta: { ...held.meta, ...changed } };
  } catch {
    return null;
  }
}
function applyPatch(document, operations) {
  return operations.reduce((state, { op, path, value }) => {
    const names = path.split("/").slice(1);
    return change(state, names.map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~")), op, value);
  }, document);
}
function change(state, [name, ...rest], op, value) {
  if (name === void 0) return value;
  if (typeof state !== "object" || state === null) throw new RangeError(`nothing at ${name}`);
  const adds = op === "add" && rest.length === 0;
  if (Array.isArray(state)) {
    const index = name === "-" ? state.length : /^(0|[1-9]\d*)$/.test(name) ? Number(name) : Infinity;
    if (index >= state.length + (adds ? 1 : 0)) throw new RangeError(`no index: ${name}`);
    const list = [...state];
    if (rest.length > 0) list[index] = change(list[index], rest, op, value);
    else list.splice(index, adds ? 0 : 1, ...op === "remove" ? [] : [value]);
    return list;
  }
  if (!adds && !Object.prototype.hasOwnProperty.call(state, name)) throw new RangeError(`nothing at ${name}`);
  const fields = { ...state };
  if (rest.length > 0) fields[name] = change(fields[name], rest, op, value);
  else if (op === "remove") delete fields[name];
  else fields[name] = value;
  return fields;
}

// clients/js/src/random-id.ts
function randomID() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// clients/js/src/failures.ts
var MESSAGES = {
  ended: "The host has ended the session",
  expired: "The session has expired",
  kicked: "You have been removed from the session",
  replaced: "The session was opened elsewhere",
  lost: "The session has been lost",
  left: "You have left the session",
  closed: "The session was closed"
};
var over = (reason) => ({
  ok: false,
  code: "session-over",
  reason,
  message: MESSAGES[reason]
});
var unreachable = () => ({
  ok: false,
  code: "unreachable",
  message: "The service cannot be reached"
});

// clients/js/src/requests.ts
var request = (route, options) => send(route, options, (response) => response.json());
var createSession = (body = {}, service = {}) => request("POST /api/session/create", { ...service, body });
var findSession = (sessionID, service = {}) => request("POST /api/session/join", { ...service, body: { sessionID } });
var readResultTable = (sessionID, service = {}) => send(
  "GET /api/session/{sessionID}/result",
  { ...service, params: { sessionID }, query: { format: "csv" } },
  async (response) => ({ table: await response.text() })
);
async function send(route, { url = "", credentials, token, idempotencyKey, query, keepalive, params = {}, body }, read) {
  const [method, path] = route.split(" ");
  const filled = path.replace(/{(\w+)}/g, (_, name) => encodeURIComponent(params[name]));
  const search = query ? `?${new URLSearchParams(query)}` : "";
  const headers = {};
  if (token) headers["Authorization"] = `Bearer ${token}`;
  if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
  try {
    const response = await fetch(url.replace(/\/$/, "") + filled + search, {
      method,
      headers,
      body: body === void 0 ? null : JSON.stringify(body),
      ...keepalive && { keepalive },
      ...credentials && { credentials }
    });
    if (!response.ok) return refusal(response, await response.json());
    return { ...await read(response), ok: true };
  } catch {
    return unreachable();
  }
}
function refusal({ headers }, answer) {
  const wait = headers.get("Retry-After");
  const code = answer.code ?? headers.get("X-Error-Code");
  return { ...answer, ok: false, code, ...wait !== null && { retryAfter: Number(wait) } };
}

// clients/js/src/session.ts
import { io } from "socket.io-client";

// clients/js/src/outbox.ts
var ATTEMPTS = 5;
function makeOutbox({ ready, send: send2, done, changed }, keep) {
  const waiting = [];
  let running = false;
  let over2 = null;
  const list = () => waiting.map(({ change: change2 }) => change2);
  function listChanged() {
    keep == null ? void 0 : keep.write(list());
    changed();
  }
  function enqueue(change2, key, due) {
    let settle;
    const answer = new Promise((resolve) => settle = resolve);
    const entry = { change: change2, key, due, sent: false, answer, settle };
    waiting.push(entry);
    void run();
    return entry;
  }
  async function run() {
    if (running) return;
    running = true;
    let attempt = 1;
    for (let entry = waiting[0]; entry !== void 0; entry = waiting[0]) {
      while (entry.due > performance.now()) await pause(entry.due - performance.now());
      await ready();
      if (over2) break;
      entry.sent = true;
      const acknowledgement = await send2(entry.change);
      if (over2) break;
      if (acknowledgement === void 0 || isTransient(acknowledgement) && attempt++ < ATTEMPTS) {
        await pause(pauseAfter(acknowledgement));
        continue;
      }
      attempt = 1;
      waiting.shift();
      done(entry.change, acknowledgement);
      entry.settle(acknowledgement);
      listChanged();
    }
    running = false;
  }
  function replaceable(key) {
    for (const entry of [...waiting].reverse()) {
      if (entry.key === void 0 || entry.sent) return void 0;
      if (entry.key === key) return entry;
    }
    return void 0;
  }
  for (const change2 of (keep == null ? void 0 : keep.read()) ?? []) enqueue(change2, keyOf(change2), 0);
  return {
    list,
    add(event, payload, { key, delay = 0 }) {
      if (over2) return Promise.resolve(over2);
      const change2 = { event, payload: { ...payload, mid: randomID() } };
      const shared = key ?? keyOf(change2);
      const due = performance.now() + delay;
      const earlier = shared === void 0 ? void 0 : replaceable(shared);
      const entry = earlier ? Object.assign(earlier, { change: change2, due }) : enqueue(change2, shared, due);
      listChanged();
      return entry.answer;
    },
    // What was kept stays so: whoever kept it knows whether it is worth anything.
    close(end) {
      over2 = end;
      for (const { settle } of waiting.splice(0)) settle(end);
    }
  };
}
var pauseAfter = (refused) => 1e3 * ((refused == null ? void 0 : refused.retryAfter) ?? Math.random() + 0.3);
var keyOf = ({ event, payload }) => event === "vote" || event === "withdraw-vote" ? `rating of ${payload.movieID}` : void 0;
var isTransient = (acknowledgement) => !acknowledgement.ok && acknowledgement.retryable === true;
var pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// clients/js/src/snapshot.ts
function snapshotOf({ joinedAs, held, end, connection, votes, waiting, ...others }) {
  var _a;
  const participantID = (joinedAs == null ? void 0 : joinedAs.participantID) || null;
  const me = (held == null ? void 0 : held.data.participants.find(({ id }) => id === participantID)) ?? null;
  const known = {
    ...others,
    // Also in Node, where only newer versions know `navigator`, and none its `onLine`.
    connection: !end && ((_a = globalThis.navigator) == null ? void 0 : _a.onLine) === false ? "offline" : connection,
    participantID,
    me,
    isHost: (me == null ? void 0 : me.role) === "host",
    votes: withWaiting(votes, waiting),
    waiting
  };
  const state = { data: (held == null ? void 0 : held.data) ?? null, meta: (held == null ? void 0 : held.meta) ?? null };
  if (end) return { ...known, ...state, status: "over", end };
  if (joinedAs && held) return { ...known, ...held, status: "joined", end: null };
  return { ...known, data: null, meta: null, status: "joining", end: null };
}
function withWaiting(votes, waiting) {
  const all = { ...votes };
  for (const { event, payload } of waiting) {
    if (event === "vote") all[payload.movieID] = payload.rating;
    if (event === "withdraw-vote") delete all[payload.movieID];
  }
  return all;
}

// clients/js/src/session.ts
var ANSWER_TIMEOUT = 5e3;
var RECONNECT_PAUSE = 500;
function joinSession(sessionID, options = {}) {
  const { passcode, observe = false, keep } = options;
  const tokens = { hostToken: options.hostToken ?? null, token: options.token ?? null };
  const listeners = /* @__PURE__ */ new Set();
  const arrivals = [];
  let name = options.name;
  let connection = "connecting";
  let isIn = false;
  let joining = false;
  let joinedAs = null;
  let held = null;
  let votes = {};
  let expiring = null;
  let latency = null;
  let end = null;
  let ahead = 0;
  let settleJoined;
  const joined = new Promise((resolve) => settleJoined = resolve);
  const socketOptions = { ...options.socket, autoConnect: false };
  const socket = options.url === void 0 ? io(socketOptions) : io(options.url, socketOptions);
  const outbox = makeOutbox(
    {
      ready: () => isIn || end ? Promise.resolve() : new Promise((resolve) => arrivals.push(resolve)),
      send: ({ event, payload }) => ask(event, payload),
      done,
      changed: () => publish()
    },
    keep
  );
  let snapshot = take();
  socket.on("connect", () => socket.recovered && joinedAs ? arrive() : void join());
  socket.on("disconnect", (reason) => {
    isIn = false;
    become("reconnecting");
    if (reason === "io server disconnect") setTimeout(() => !end && socket.connect(), RECONNECT_PAUSE);
  });
  socket.on("connect_error", () => become("offline"));
  socket.on("session-update", (data, meta) => {
    const lost = held !== null && held.meta.epoch !== meta.epoch;
    hold({ data, meta }, meta.now);
    if (lost && isIn) void join();
  });
  socket.on("session-patch", (patch, meta) => {
    const state = patched(held, patch, meta);
    if (state === null) void join();
    else hold(state, meta.now);
  });
  socket.on("own-votes", (own) => {
    votes = own.votes;
    publish();
  });
  socket.on("session-expiring", ({ expiresAt }) => {
    expiring = expiresAt;
    publish();
  });
  socket.on("session-ended", (ended) => finish(over(ended.reason)));
  const watchNetwork = (isOn) => {
    var _a, _b;
    for (const event of ["online", "offline"]) {
      if (isOn) (_a = globalThis.addEventListener) == null ? void 0 : _a.call(globalThis, event, publish);
      else (_b = globalThis.removeEventListener) == null ? void 0 : _b.call(globalThis, event, publish);
    }
  };
  watchNetwork(true);
  socket.connect();
  function take() {
    const known = { connection, joinedAs, held, votes, expiring, latency, end, ...tokens };
    return snapshotOf({ ...known, sessionID: (joinedAs == null ? void 0 : joinedAs.sessionID) ?? String(sessionID), waiting: outbox.list() });
  }
  function publish() {
    snapshot = take();
    for (const listener of [...listeners]) listener(snapshot);
  }
  function become(state) {
    if (end) return;
    connection = state;
    publish();
  }
  function hold(state, time) {
    held = state;
    if (time) ahead = Date.parse(time) - Date.now();
    publish();
    if (joinedAs) settleJoined(joinedAs);
  }
  async function join() {
    if (joining || end) return;
    joining = true;
    const acknowledgement = await joinByToken();
    joining = false;
    if (end) return;
    if (acknowledgement === void 0 || !acknowledgement.ok && acknowledgement.retryable) {
      setTimeout(() => socket.connected && void join(), pauseAfter(acknowledgement));
      return;
    }
    if (!acknowledgement.ok) return finish(acknowledgement);
    joinedAs = acknowledgement;
    votes = acknowledgement.votes;
    if (acknowledgement.token) tokens.token = acknowledgement.token;
    arrive();
    if (held) settleJoined(acknowledgement);
  }
  async function joinByToken() {
    for (const kind of ["hostToken", "token"]) {
      const token = tokens[kind];
      if (token === null) continue;
      const acknowledgement = await joinWith({ token, ...joinedAs ? {} : { name } });
      if ((acknowledgement == null ? void 0 : acknowledgement.ok) !== false || acknowledgement.code !== "unauthorized") return acknowledgement;
      tokens[kind] = null;
    }
    return joinWith({ name });
  }
  const joinWith = (more) => ask("join-session", sessionID, { passcode, observe, patches: true, ...more });
  async function ask(event, ...args) {
    const start = performance.now();
    const emitter = socket.timeout(ANSWER_TIMEOUT);
    const acknowledgement = await emitter.emitWithAck(event, ...args).catch(() => void 0);
    if (acknowledgement === void 0) return void 0;
    latency = performance.now() - start;
    if (acknowledgement.code !== "not-joined" || observe) return acknowledgement;
    isIn = false;
    void join();
    return { ...acknowledgement, retryable: true };
  }
  function arrive() {
    isIn = true;
    become("connected");
    for (const arrival of arrivals.splice(0)) arrival();
  }
  function done({ event, payload }, acknowledgement) {
    if (!acknowledgement.ok) return;
    if (event === "vote") votes = { ...votes, [payload.movieID]: payload.rating };
    else if (event === "withdraw-vote") {
      const { [payload.movieID]: _, ...others } = votes;
      votes = others;
    } else if (event === "rename-participant") name = payload.name;
    else if ("hostToken" in acknowledgement) tokens.hostToken = acknowledgement.hostToken;
    else if (event === "leave-session") finish(over("left"));
  }
  function finish(why) {
    if (end) return;
    end = why;
    isIn = false;
    connection = "closed";
    outbox.close(why);
    for (const arrival of arrivals.splice(0)) arrival();
    watchNetwork(false);
    socket.disconnect();
    settleJoined(why);
    publish();
  }
  return {
    subscribe(listener) {
      listeners.add(listener);
      listener(snapshot);
      return () => void listeners.delete(listener);
    },
    getSnapshot: () => snapshot,
    joined,
    change: (event, ...[payload, changing]) => outbox.add(event, payload ?? {}, changing ?? {}),
    now: () => Date.now() + ahead,
    close: () => finish(over("closed")),
    socket
  };
}
export {
  applyPatch,
  createSession,
  findSession,
  joinSession,
  randomID,
  readResultTable,
  request
};
