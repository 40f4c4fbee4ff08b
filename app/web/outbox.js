// Changes on their way to the server: in order, one at a time, each exactly once.

import { randomID } from "./tickets.js";

const ATTEMPTS = 5;

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export class Outbox {
  #waiting = [];
  #running = false;
  #closed = false;
  #ready;
  #send;

  // `ready()` resolves when there is somebody to send to; `send(event, payload)` resolves to the acknowledgement, or
  // to undefined when none came.
  constructor(ready, send) {
    this.#ready = ready;
    this.#send = send;
  }

  // The acknowledgement of a change. Of those with the same `key` that still wait, only the newest is sent; `delay`
  // gives them time to change their mind.
  add(event, payload = {}, { key, delay = 0 } = {}) {
    const change = { event, payload: { ...payload, mid: randomID() }, due: performance.now() + delay };
    const earlier = key && this.#waiting.find((other) => other.key === key && !other.sent);
    if (earlier) return Object.assign(earlier, change).answer;
    const { promise, resolve } = withResolvers();
    this.#waiting.push(Object.assign(change, { key, resolve, answer: promise, sent: false }));
    this.#run();
    return promise;
  }

  close() {
    this.#closed = true;
    for (const change of this.#waiting.splice(0)) change.resolve(undefined);
  }

  async #run() {
    if (this.#running) return;
    this.#running = true;
    for (let attempt = 1; this.#waiting.length > 0;) {
      const change = this.#waiting[0];
      while (change.due > performance.now()) await pause(change.due - performance.now());
      await this.#ready();
      if (this.#closed) break;
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
