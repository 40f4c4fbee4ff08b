import type { AcknowledgedEvents, Acknowledgements, Refused } from "./join-session.js";
export type ChangeEvent = Exclude<keyof Acknowledgements, "join-session">;
/** The payload of an event, without its idempotency key, which the client sets. */
export type Payload<Event extends ChangeEvent> = WithoutKey<PayloadOf<Parameters<AcknowledgedEvents[Event]>>>;
/** What an event leads to if it is not refused. */
export type Answer<Event extends ChangeEvent> = Exclude<Acknowledgements[Event], Refused>;
/** The arguments of `change` after the event: the payload may be left out where it has no field that is required. */
export type ChangeArguments<Event extends ChangeEvent> = {} extends Payload<Event> ? [payload?: Payload<Event>, options?: ChangeOptions] : [payload: Payload<Event>, options?: ChangeOptions];
export interface ChangeOptions {
    /** Milliseconds to wait for a second thought, which replaces the change; 0 by default. */
    delay?: number;
    /** Of changes with one key only the newest is sent. Those of the rating of one movie have one. */
    key?: string;
}
/** A change that has no answer yet, told apart by `event`. */
export type Change = {
    [Event in ChangeEvent]: {
        event: Event;
        payload: Payload<Event> & {
            mid: string;
        };
    };
}[ChangeEvent];
type PayloadOf<Arguments> = Arguments extends [infer Given, (...ack: never[]) => void] ? Given : never;
type WithoutKey<Given> = Given extends unknown ? Omit<Given, "mid"> : never;
export {};
