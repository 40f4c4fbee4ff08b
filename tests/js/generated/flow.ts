// Lives through a session with openapi-fetch and the types that openapi-typescript makes of the document: flow.js ADDRESS.
// It prints the code and is given the token of a participant.
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./api.d.ts";

declare const process: { argv: string[]; stdin: AsyncIterable<Uint8Array> };

function client(token?: string) {
  const api = createClient<paths, "application/json">({ baseUrl: process.argv[2] });
  const authorized: Middleware = {
    onRequest: ({ request }) => request.headers.set("Authorization", `Bearer ${token}`),
  };
  if (token !== undefined) api.use(authorized);
  return api;
}

function told<T>({ data, error }: { data?: T; error?: components["schemas"]["ErrorBody"] | { message: string } }): T {
  if (data === undefined) throw new Error(error?.message);
  return data;
}

async function tokenGiven(): Promise<string> {
  for await (const given of process.stdin) return new TextDecoder().decode(given).trim();
  throw new Error("no token was given");
}

const made = told(await client().POST("/api/session/create", { body: { title: "Friday" } }));
const sessionID = made.sessionID;
console.log(sessionID);
const [host, member] = [client(made.hostToken), client(await tokenGiven())];

told(await member.POST("/api/session/join", { body: { sessionID } }));
const path = { sessionID };
told(
  await member.POST("/api/session/{sessionID}/movies", {
    params: { path },
    body: { movies: [{ id: "m1", title: "Alien" }] },
  }),
);
told(
  await member.PUT("/api/session/{sessionID}/movies/{movieID}/vote", {
    params: { path: { sessionID, movieID: "m1" }, header: { "Idempotency-Key": "key-1" } },
    body: { rating: 5 },
  }),
);
const state = told(await member.GET("/api/session/{sessionID}", { params: { path } }));
told(await host.POST("/api/session/{sessionID}/decision", { params: { path }, body: {} }));
const result = told(await member.GET("/api/session/{sessionID}/result", { params: { path } }));
told(await host.DELETE("/api/session/{sessionID}", { params: { path } }));
console.log(state.sessionData.movies[0]?.compatibility, result.movieID);
