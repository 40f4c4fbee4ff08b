import { type Outcome } from "./failures.js";
import type { CreateSession, Routes, SessionCreated, SessionFound, SessionID } from "./join-session.js";
export interface Service {
    /** Where the service is, as `https://sessions.example`; by default where the page comes from. */
    url?: string;
    /** Whether cookies are sent to another origin, which session affinity needs. */
    credentials?: RequestCredentials;
}
export type RequestOptions<Route extends keyof Routes> = Service & {
    /** A host token, a participant's token, or the key for creating sessions. */
    token?: string | null;
    /** A repeated request with the same key is executed once. */
    idempotencyKey?: string;
    query?: Record<string, string>;
    /** Whether the request outlives the page. */
    keepalive?: boolean;
} & ([Parameter<Route>] extends [never] ? {} : {
    params: Record<Parameter<Route>, string>;
}) & (Routes[Route]["body"] extends undefined ? {} : {
    body: Routes[Route]["body"];
});
type Parameter<Route extends string> = Route extends `${string}{${infer Name}}${infer Rest}` ? Name | Parameter<Rest> : never;
/** Sends a request, named as in the documents of the API: `request("GET /api/session/{sessionID}", { params: … })`. */
export declare const request: <Route extends keyof Routes>(route: Route, options: RequestOptions<Route>) => Promise<Outcome<Routes[Route]["answer"]>>;
/** Makes a session. The `hostToken` of the answer makes its holder the host: join with it, and keep it. */
export declare const createSession: (body?: CreateSession, service?: Service & {
    token?: string;
    idempotencyKey?: string;
}) => Promise<Outcome<SessionCreated>>;
/** Tells whether a session exists, who is in it and what they rate. Changes nothing. */
export declare const findSession: (sessionID: SessionID, service?: Service) => Promise<Outcome<SessionFound>>;
/** Reads the result of a session as a table of comma-separated values. Where it has a passcode, that needs a token. */
export declare const readResultTable: (sessionID: string, service?: Service & {
    token?: string | null;
}) => Promise<Outcome<{
    table: string;
}>>;
export {};
