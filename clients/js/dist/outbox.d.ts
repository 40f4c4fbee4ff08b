import type { Change, ChangeOptions } from "./changes.js";
import type { Over, Outcome } from "./failures.js";
import type { Acknowledgements, Done, Refused } from "./join-session.js";
export type Acknowledgement = Acknowledgements[Change["event"]];
/** Keeps the changes that have no answer yet, for example over a reload. */
export interface Keep {
    read(): readonly Change[];
    /** All of them, after each change of the list; one may leave out what is not worth keeping. */
    write(changes: readonly Change[]): void;
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
export declare function makeOutbox({ ready, send, done, changed }: Transport, keep?: Keep): {
    list: () => Change[];
    add(event: Change["event"], payload: object, { key, delay }: ChangeOptions): Promise<Outcome<Done>>;
    close(end: Over | Refused): void;
};
/** Milliseconds before another attempt; clients that lost the service together do not come back at one time. */
export declare const pauseAfter: (refused?: Refused) => number;
