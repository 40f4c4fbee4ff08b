// The HTTP API.

import { unreachable, type Outcome } from "./failures.js";
import type { CreateSession, Refused, Routes, SessionCreated, SessionFound, SessionID } from "./join-session.js";

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
} & ([Parameter<Route>] extends [never] ? {} : { params: Record<Parameter<Route>, string> }) &
  (Routes[Route]["body"] extends undefined ? {} : { body: Routes[Route]["body"] });

type Parameter<Route extends string> = Route extends `${string}{${infer Name}}${infer Rest}` ? Name | Parameter<Rest> : never;

interface Sent extends Service {
  token?: string | null;
  idempotencyKey?: string;
  query?: Record<string, string>;
  keepalive?: boolean;
  params?: Record<string, string>;
  body?: unknown;
}

/** Sends a request, named as in the documents of the API: `request("GET /api/session/{sessionID}", { params: … })`. */
export const request = <Route extends keyof Routes>(
  route: Route,
  options: RequestOptions<Route>,
): Promise<Outcome<Routes[Route]["answer"]>> => send(route, options, (response) => response.json());

/** Makes a session. The `hostToken` of the answer makes its holder the host: join with it, and keep it. */
export const createSession = (
  body: CreateSession = {},
  service: Service & { token?: string; idempotencyKey?: string } = {},
): Promise<Outcome<SessionCreated>> => request("POST /api/session/create", { ...service, body });

/** Tells whether a session exists, who is in it and what they rate. Changes nothing. */
export const findSession = (sessionID: SessionID, service: Service = {}): Promise<Outcome<SessionFound>> =>
  request("POST /api/session/join", { ...service, body: { sessionID } });

/** Reads the result of a session as a table of comma-separated values. Where it has a passcode, that needs a token. */
export const readResultTable = (
  sessionID: string,
  service: Service & { token?: string | null } = {},
): Promise<Outcome<{ table: string }>> =>
  send(
    "GET /api/session/{sessionID}/result",
    { ...service, params: { sessionID }, query: { format: "csv" } },
    async (response) => ({ table: await response.text() }),
  );

async function send<Answer>(
  route: keyof Routes,
  { url = "", credentials, token, idempotencyKey, query, keepalive, params = {}, body }: Sent,
  read: (response: Response) => Promise<Answer>,
): Promise<Outcome<Answer>> {
  const [method, path] = route.split(" ") as [string, string];
  const filled = path.replace(/{(\w+)}/g, (_, name: string) => encodeURIComponent(params[name]!));
  const search = query ? `?${new URLSearchParams(query)}` : "";
  const headers: Record<string, string> = {};
  if (token) headers["Authorization"] = `Bearer ${token}`;
  if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
  try {
    const response = await fetch(url.replace(/\/$/, "") + filled + search, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      ...(keepalive && { keepalive }),
      ...(credentials && { credentials }),
    });
    if (!response.ok) return refusal(response, await response.json());
    return { ...(await read(response)), ok: true };
  } catch {
    return unreachable();
  }
}

function refusal({ headers }: Response, answer: Omit<Refused, "ok">): Refused {
  const wait = headers.get("Retry-After");
  // Where the body is only a message, the code is in a header.
  const code = answer.code ?? headers.get("X-Error-Code");
  return { ...answer, ok: false, code, ...(wait !== null && { retryAfter: Number(wait) }) };
}
