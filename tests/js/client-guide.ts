import { createSession, joinSession, type Session } from "join-session-client";

export async function rateTogether(name: string, render: (lines: string[]) => void): Promise<Session> {
  const created = await createSession({ title: "Friday" });
  if (!created.ok) throw new Error(created.message);
  const { sessionID, hostToken } = created;
  const session = joinSession(sessionID, { name, hostToken });
  session.subscribe((snapshot) => {
    if (snapshot.status === "joined") render(snapshot.data.movies.map(({ title }) => title));
    if (snapshot.status === "over") render([snapshot.end.message]);
  });
  await session.change("add-movie", { id: "m1", title: "Alien" });
  return session;
}

import { io, type Socket } from "socket.io-client";
import type {
  AcknowledgedEvents, Done, Joined, Meta, Movie, Participant, ParticipantPage, Rating, Refused, Routes,
  ServerToClientEvents, SessionData, SessionEnded,
} from "./join-session.d.ts";

export type Member = Socket<ServerToClientEvents, AcknowledgedEvents>;

export async function joinAs(name: string, sessionID: string, socket: Member = io()): Promise<Joined> {
  const hostToken = sessionStorage.getItem(`host:${sessionID}`);
  const token = hostToken ?? sessionStorage.getItem(sessionID);
  const joined = await ask(() => socket.timeout(5000).emitWithAck("join-session", sessionID, { name, token }));
  if (!joined.ok && joined.code === "unauthorized" && token !== null) {
    // The token is void, or belongs to an earlier session with this code.
    sessionStorage.removeItem(hostToken === null ? sessionID : `host:${sessionID}`);
    return joinAs(name, sessionID, socket);
  }
  if (!joined.ok) throw new Error(joined.message);
  sessionStorage.setItem(sessionID, joined.token);
  return joined;
}

export function show(socket: Member, render: (data: SessionData, meta: Meta) => void) {
  socket.on("session-update", (data, meta) => render(data, meta));
}

import jsonpatch from "fast-json-patch";

export function joinWithPatches(
  socket: Member, sessionID: string, token: string, render: (data: SessionData, meta: Meta) => void,
) {
  let state: { data: SessionData; meta: Meta } | undefined;
  const join = () => ask(() => socket.timeout(5000).emitWithAck("join-session", sessionID, { token, patches: true }));
  socket.on("session-update", (data, meta) => {
    state = { data, meta };
    render(data, meta);
  });
  socket.on("session-patch", (patch, { from, ...changed }) => {
    if (state === undefined) return; // A whole update is on its way.
    if (state.meta.epoch !== changed.epoch || state.meta.version !== from) {
      state = undefined;
      return void join();
    }
    const data = jsonpatch.applyPatch(state.data, patch, false, false).newDocument;
    state = { data, meta: { ...state.meta, ...changed } };
    render(state.data, state.meta);
  });
  return join();
}

export async function everybody(sessionID: string, token: string): Promise<Participant[]> {
  const people: Participant[] = [];
  for (let cursor: string | null = "0"; cursor !== null; ) {
    const response = await fetch(`/api/session/${sessionID}/participants?cursor=${cursor}`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    if (!response.ok) throw new Error((await response.json()).message);
    const page: ParticipantPage = await response.json();
    people.push(...page.participants);
    cursor = page.next;
  }
  return people;
}

export function vote(socket: Member, movieID: string, rating: Rating) {
  const mid = crypto.randomUUID();
  return ask(() => socket.timeout(5000).emitWithAck("vote", { movieID, rating, mid }));
}

export function addMovies(socket: Member, titles: string[]) {
  const mid = crypto.randomUUID();
  const movies = titles.map((title) => ({ id: crypto.randomUUID(), title }));
  return ask(() => socket.timeout(5000).emitWithAck("add-movie", { movies, mid }));
}

async function ask<Ack extends Done>(send: () => Promise<Ack | Refused>): Promise<Ack | Refused> {
  for (let attempt = 1; ; attempt++) {
    // No answer within five seconds, or a lost connection: the outcome is unknown.
    const ack = await send().catch(() => undefined);
    if (ack !== undefined && (ack.ok || !ack.retryable)) return ack;
    if (ack !== undefined && attempt === 5) return ack;
    await new Promise((resolve) => setTimeout(resolve, 1000 * (ack?.retryAfter ?? Math.random() + 0.5)));
  }
}

export function stay(socket: Member, name: string, sessionID: string, left: (ended: SessionEnded) => void) {
  socket.on("connect", () => {
    if (!socket.recovered) joinAs(name, sessionID, socket).catch(() => {});
  });
  socket.on("session-ended", (ended) => {
    socket.disconnect();
    left(ended);
  });
}

export async function create(body: Routes["POST /api/session/create"]["body"]) {
  const response = await fetch("/api/session/create", { method: "POST", body: JSON.stringify(body) });
  if (!response.ok) throw new Error((await response.json()).message);
  const created: Routes["POST /api/session/create"]["answer"] = await response.json();
  sessionStorage.setItem(`host:${created.sessionID}`, created.hostToken);
  return created;
}

export async function renewHostToken(sessionID: string, socket: Member) {
  const mid = crypto.randomUUID();
  const ack = await ask(() => socket.timeout(5000).emitWithAck("rotate-host-token", { mid }));
  if (ack.ok) sessionStorage.setItem(`host:${sessionID}`, ack.hostToken);
  return ack;
}

export function warn(socket: Member, tell: (end: Date) => void) {
  socket.on("session-expiring", ({ expiresAt }) => tell(new Date(expiresAt)));
}

export function awaitDecision(socket: Member, countDown: (seconds: number | null) => void, show: (movie: Movie) => void) {
  let movies: Movie[] = [];
  socket.on("session-update", (data, meta) => {
    movies = data.movies;
    const due = meta.decideAt;
    countDown(due === null ? null : (Date.parse(due) - Date.parse(meta.now)) / 1000);
  });
  socket.on("session-decided", ({ decision }) => {
    const chosen = movies.find(({ id }) => id === decision.movieID);
    if (chosen) show(chosen);
  });
}

export const decide = (socket: Member, movieID?: string) =>
  ask(() => socket.timeout(5000).emitWithAck("decide", { movieID, mid: crypto.randomUUID() }));

let etag = "";

export async function readIfChanged(sessionID: string) {
  const response = await fetch(`/api/session/${sessionID}`, { headers: { "If-None-Match": etag } });
  if (response.status === 304) return undefined;
  if (!response.ok) throw new Error((await response.json()).message);
  etag = response.headers.get("ETag") ?? "";
  return (await response.json()) as Routes["GET /api/session/{sessionID}"]["answer"];
}
