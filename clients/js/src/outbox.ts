// Changes on their way to the server: in order, one at a time, each exactly once.

import type { Change, ChangeOptions } from "./changes.js";
import type { Over, Outcome } from "./failures.js";
import type { Acknowledgements, Done, Refused } from "./join-session.js";
import { randomID } from "./random-id.js";

const ATTEMPTS = 5;

export type Acknowledgement = Acknowledgements[Change["event"]];

/** Keeps the changes that have no answer yet, for example over a reload. */
export interface Keep {
  read(): readonly Change[];
  /** All of them, after each change of the list; one may leave out what is not worth keeping. */
  write(changes: readonly Change[]): void;
}

interface Entry {
  change: Change;
  key: string | undefined;
  /** When it may be sent. */
  due: number;
  sent: boolean;
  answer: Promise<Outcome<Done>>;
  settle(outcome: Outcome<Done>): void;
}

export interface Transport {
  /** Resolves when there is somebody to send to. */
  ready(): Promise<void>;
  /** Undefined if no acknowledgement came. */
  send(change: Change): Promise<Acknowledgement | undefined>;
  /** A change was acknowledged, and waits no more. */
  done(change: Change, acknowledgement: Acknowledgement): void;
  /** Other changes wait than before. */
  changed(): void;
}

export function makeOutbox({ ready, send, done, changed }: Transport, keep?: Keep) {
  const waiting: Entry[] = [];
  let running = false;
  let over: Over | Refused | null = null;

  const list = (): Change[] => waiting.map(({ change }) => change);

  function listChanged(): void {
    keep?.write(list());
    changed();
  }

  function enqueue(change: Change, key: string | undefined, due: number): Entry {
    let settle!: Entry["settle"];
    const answer = new Promise<Outcome<Done>>((resolve) => (settle = resolve));
    const entry = { change, key, due, sent: false, answer, settle };
    waiting.push(entry);
    void run();
    return entry;
  }

  async function run(): Promise<void> {
    if (running) return;
    running = true;
    let attempt = 1;
    for (let entry = waiting[0]; entry !== undefined; entry = waiting[0]) {
      while (entry.due > performance.now()) await pause(entry.due - performance.now());
      await ready();
      if (over) break;
      // From here on the server may know it under its `mid`, and it must not become another one.
      entry.sent = true;
      const acknowledgement = await send(entry.change);
      if (over) break;
      if (acknowledgement === undefined || (isTransient(acknowledgement) && attempt++ < ATTEMPTS)) {
        await pause(pauseAfter(acknowledgement as Refused | undefined));
        continue;
      }
      attempt = 1;
      waiting.shift();
      done(entry.change, acknowledgement);
      entry.settle(acknowledgement as Outcome<Done>);
      listChanged();
    }
    running = false;
  }

  // The order of others stays: a rating after `decide` does not become one before it.
  function replaceable(key: string): Entry | undefined {
    for (const entry of [...waiting].reverse()) {
      if (entry.key === undefined || entry.sent) return undefined;
      if (entry.key === key) return entry;
    }
    return undefined;
  }

  for (const change of keep?.read() ?? []) enqueue(change, keyOf(change), 0);

  return {
    list,

    add(event: Change["event"], payload: object, { key, delay = 0 }: ChangeOptions): Promise<Outcome<Done>> {
      if (over) return Promise.resolve(over);
      const change = { event, payload: { ...payload, mid: randomID() } } as Change;
      const shared = key ?? keyOf(change);
      const due = performance.now() + delay;
      const earlier = shared === undefined ? undefined : replaceable(shared);
      const entry = earlier ? Object.assign(earlier, { change, due }) : enqueue(change, shared, due);
      listChanged();
      return entry.answer;
    },

    // What was kept stays so: whoever kept it knows whether it is worth anything.
    close(end: Over | Refused): void {
      over = end;
      for (const { settle } of waiting.splice(0)) settle(end);
    },
  };
}

/** Milliseconds before another attempt; clients that lost the service together do not come back at one time. */
export const pauseAfter = (refused?: Refused): number =>
  1000 * (refused?.retryAfter ?? Math.random() + 0.3);

const keyOf = ({ event, payload }: Change): string | undefined =>
  event === "vote" || event === "withdraw-vote" ? `rating of ${payload.movieID}` : undefined;

const isTransient = (acknowledgement: Acknowledgement): boolean => !acknowledgement.ok && acknowledgement.retryable === true;

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
