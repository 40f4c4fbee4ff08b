// Changes on their way to the server: in order, one at a time, each exactly once. Those that need nobody to wait for their
// answer are kept over a reload.

import { randomID } from "./identities.js";
import { browser } from "./storage.js";

const ATTEMPTS = 5;
const KEPT = new Set(["vote", "withdraw-vote", "add-movie", "remove-movie"]);
const KEY = "join-session:outbox:";

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Forgets what was kept: whose changes they were is not coming back.
export const forgetChanges = (owner) => browser.remove(KEY + owner);

export class Outbox {
  #waiting = [];
  #running = false;
  #closed = false;
  #owner = null;
  #ready;
  #send;
  #done;

  // `ready()` resolves when there is somebody to send to; `send(event, payload)` resolves to the acknowledgement, or
  // to undefined when none came; `done(event, payload)` is called for each change that was made.
  constructor(ready, send, done) {
    this.#ready = ready;
    this.#send = send;
    this.#done = done;
  }

  // Whose changes these are, the key of an identity: those that were kept before are sent first.
  belongTo(owner) {
    if (this.#owner !== null) return;
    this.#owner = owner;
    const added = this.#waiting.splice(0);
    for (const { event, payload, key } of browser.read(KEY + owner, [])) this.#enqueue({ event, payload, key, due: 0 });
    this.#waiting.push(...added);
    this.#keep();
  }

  // The acknowledgement of a change. Of those with the same `key` that still wait, only the newest is sent; `delay`
  // gives them time to change their mind.
  add(event, payload = {}, { key, delay = 0 } = {}) {
    const change = { event, payload: { ...payload, mid: randomID() }, due: performance.now() + delay };
    const earlier = key && this.#waiting.find((other) => other.key === key && !other.sent);
    const { answer } = earlier ? Object.assign(earlier, change) : this.#enqueue({ ...change, key });
    this.#keep();
    return answer;
  }

  // The newest change with this key that has no answer yet.
  pending(key) {
    return this.#waiting.filter((change) => change.key === key).pop() ?? null;
  }

  close() {
    this.#closed = true;
    for (const change of this.#waiting.splice(0)) change.resolve(undefined);
  }

  #enqueue(change) {
    const { promise, resolve } = withResolvers();
    const entry = { ...change, resolve, answer: promise, sent: false };
    this.#waiting.push(entry);
    this.#run();
    return entry;
  }

  #keep() {
    if (this.#owner === null || this.#closed) return;
    const kept = this.#waiting.filter(({ event }) => KEPT.has(event));
    if (kept.length === 0) browser.remove(KEY + this.#owner);
    else browser.write(KEY + this.#owner, kept.map(({ event, payload, key }) => ({ event, payload, key })));
  }

  async #run() {
    if (this.#running) return;
    this.#running = true;
    for (let attempt = 1; this.#waiting.length > 0;) {
      const change = this.#waiting[0];
      while (change.due > performance.now()) await pause(change.due - performance.now());
      await this.#ready();
      if (this.#closed) break;
      // Those of before the reload have come first.
      if (this.#waiting[0] !== change) continue;
      // From here on the server may know it under its `mid`, and it must not become another one.
      change.sent = true;
      const ack = await this.#send(change.event, change.payload);
      if (this.#closed) break;
      const again = ack === undefined || ((ack.retryable || ack.code === "not-joined") && attempt++ < ATTEMPTS);
      if (again) {
        await pause(1000 * (ack?.retryAfter ?? Math.random() + 0.3));
        continue;
      }
      attempt = 1;
      this.#waiting.shift();
      this.#keep();
      if (ack.ok) this.#done(change.event, change.payload);
      change.resolve(ack);
    }
    this.#running = false;
  }
}

function withResolvers() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
