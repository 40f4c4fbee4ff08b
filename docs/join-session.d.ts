// Types of the join-session API, made by `join-session types`.
//
//   const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io();
//   socket.emit("vote", { movieID: "m1", rating: 5 }, (ack) => { ... });
//
// Where every event is sent with an acknowledgement, `AcknowledgedEvents` gives `emitWithAck` the types of the answers:
//
//   const socket: Socket<ServerToClientEvents, AcknowledgedEvents> = io();
//   const ack = await socket.emitWithAck("join-session", "123456");

/** Payload of `add-movie` for one movie. */
export interface AddMovie {
  mid?: string | null;
  id: string;
  title: string;
  year?: number | null;
  posterUrl?: string | null;
  overview?: string | null;
  genres?: Array<string> | null;
}

/** Payload of `add-movie` for many movies, all or none; one movie itself is taken, too. */
export interface AddMovies {
  mid?: string | null;
  movies: Array<MovieDetails>;
}

/** Body of `POST /api/session/create`; everything is optional. */
export interface CreateSession {
  title?: string | null;
  ttlSeconds?: number | null;
  capacity?: number | null;
  movies?: Array<MovieDetails>;
  leaverRatings?: "keep" | "drop" | null;
}

/** The change has been executed; `version` is the session's with it. */
export interface Done {
  ok: true;
  version: number;
}

/** What went wrong: `message` for people, `code` for programs, `field` the path of a field that is wrong. */
export interface ErrorBody {
  message: string;
  code: ErrorCode;
  field?: string;
}

export type ErrorCode = "session-id-required" | "invalid-payload" | "unknown-event" | "unauthorized" | "forbidden" | "not-found" | "session-not-found" | "movie-not-found" | "participant-not-found" | "method-not-allowed" | "request-timeout" | "session-full" | "session-locked" | "not-joined" | "limit-reached" | "payload-too-large" | "idempotency-mismatch" | "too-many-requests" | "headers-too-large" | "join-failed" | "internal-error" | "unavailable" | "outcome-unknown" | "codes-exhausted";

/** `hostToken` is the new one; those before are void. */
export interface HostTokenRotated {
  ok: true;
  version: number;
  hostToken: string;
}

/** What went wrong; the code is in the header `X-Error-Code`. */
export interface JoinFailure {
  message: string;
}

/** Second argument of `join-session`.

With `patches` updates after the first are sent as `session-patch`. `observe`: only watch, as no participant. */
export interface JoinOptions {
  name?: string | null;
  token?: string | null;
  patches?: boolean;
  observe?: boolean;
}

/** Body of `POST /api/session/join`. */
export interface JoinRequest {
  sessionID: SessionID;
}

/** The only argument of `join-session`, instead of two. */
export interface JoinSession {
  sessionID: SessionID;
  name?: string | null;
  token?: string | null;
  patches?: boolean;
  observe?: boolean;
}

/** `token` lets the participant come back; `votes` are the participant's own ratings, by movie.

Of an observer `participantID` and `token` are empty. */
export interface Joined {
  ok: true;
  version: number;
  sessionID: string;
  participantID: string;
  token: string;
  votes: Record<string, number>;
}

/** From now on every change that is committed reaches this socket. */
export interface JoinedSession {
  sessionID: string;
}

/** Payload of `kick-participant`; with `ban` the participant's token is void for this session. */
export interface KickParticipant {
  mid?: string | null;
  participantID: string;
  ban?: boolean;
}

/** Query of the list of participants: the `next` of the page before. */
export interface ListParticipants {
  cursor?: string | null;
}

/** About the session. `version` grows by one with each change; a new `epoch` says that changes were lost. */
export interface Meta {
  sessionID: string;
  epoch: string;
  version: number;
  title: string | null;
  locked: boolean;
  capacity: number;
  expiresAt: string;
  /** All participants, also those who are not listed */
  people: number;
  /** Those who only watch */
  observers: number;
}

/** A movie with its standing. `addedBy` is a participant's id, null where it was given at `create`. */
export interface Movie {
  id: string;
  title: string;
  year?: number;
  posterUrl?: string;
  overview?: string;
  genres?: Array<string>;
  addedBy: string | null;
  addedAt: string;
  /** Ratings that are no veto */
  count: number;
  vetoes: number;
  /** Mean of the ratings that are no veto, to two decimals */
  score: number;
  /** score * (count / (count + vetoes)) ^ 3.5, rounded */
  compatibility: number;
  rank: number;
}

/** A movie as its adder describes it. `id` is the client's own, unique in the session. */
export interface MovieDetails {
  id: string;
  title: string;
  year?: number | null;
  posterUrl?: string | null;
  overview?: string | null;
  genres?: Array<string> | null;
}

/** Payload of `remove-movie` and `withdraw-vote`. */
export interface MovieReference {
  mid?: string | null;
  movieID: string;
}

/** Ids of the movies that were added, and of those that were on the list already. */
export interface MoviesAdded {
  ok: true;
  version: number;
  added: Array<string>;
  present: Array<string>;
}

/** Payload of `leave-session`, `rotate-host-token` and `end-session`: at most an idempotency key. */
export interface NoArguments {
  mid?: string | null;
}

/** Somebody in the session; `connected` is false while they are away and may come back. */
export interface Participant {
  id: string;
  name: string;
  role: "host" | "member";
  connected: boolean;
  joinedAt: string;
}

/** Participants in the order they joined. `next` is the cursor of the next page, null on the last one. */
export interface ParticipantPage {
  participants: Array<Participant>;
  next: string | null;
}

export type Patch = Array<PatchRemoval | PatchValue>;

/** Of a patch from the version `from` to `version`, both of this `epoch`; the others are there if changed. */
export interface PatchMeta {
  from: number;
  epoch: string;
  version: number;
  title?: string | null;
  locked?: boolean;
  capacity?: number;
  expiresAt?: string;
  people?: number;
  observers?: number;
}

/** An operation of RFC 6902: what is at the path goes. */
export interface PatchRemoval {
  op: "remove";
  path: string;
}

/** An operation of RFC 6902: the value is inserted at the path, or takes the place of what is there. */
export interface PatchValue {
  op: "add" | "replace";
  path: string;
  value: Movie | Participant | Array<string> | string | number | boolean | null;
}

/** Nothing was changed, unless `code` is `outcome-unknown`. `retryAfter` is in seconds.

`field` is the path of the field that is wrong, if one is. */
export interface Refused {
  ok: false;
  code: ErrorCode;
  message: string;
  field?: string;
  retryable?: true;
  retryAfter?: number;
}

/** Payload of `rename-participant`: one's own name. An id that is not one's own is refused. */
export interface RenameParticipant {
  mid?: string | null;
  name: string;
  participantID?: string | null;
}

/** `hostToken` gives the host's rights to whoever shows it, as long as the session lives; it is told only here. */
export interface SessionCreated {
  sessionID: string;
  message: "Session created";
  sessionData: SessionData;
  hostToken: string;
  meta: Meta;
}

/** The movies and participants of a session, in the order they came; of many only the host and the first ones. */
export interface SessionData {
  createdAt: string;
  movies: Array<Movie>;
  participants: Array<Participant>;
}

/** The session is over for this client. */
export interface SessionEnded {
  sessionID: string;
  reason: "expired" | "ended" | "kicked" | "replaced" | "lost";
}

/** The session has lived as long as it may, and ends at that time whatever anybody does. */
export interface SessionExpiring {
  sessionID: string;
  expiresAt: string;
}

/** The session exists. */
export interface SessionFound {
  sessionID: string;
  message: "Session found. You can now connect via WebSocket.";
  sessionData: SessionData;
}

/** A session's code, trimmed at both ends; an integer other than zero is its decimal string. */
export type SessionID = string | number;

/** A session as it stands. */
export interface SessionState {
  sessionID: string;
  sessionData: SessionData;
  meta: Meta;
}

/** Payload of `transfer-host`. */
export interface TransferHost {
  mid?: string | null;
  participantID: string;
}

/** Payload of `update-session`: at least one of them; a title of null takes the title away. */
export interface UpdateSession {
  mid?: string | null;
  title?: string | null;
  capacity?: number | null;
  locked?: boolean | null;
  ttlSeconds?: number | null;
}

/** Payload of `vote`: 1 is a veto, 5 the best. */
export interface Vote {
  mid?: string | null;
  movieID: string;
  rating: number;
}

/** What each event is acknowledged with. */
export interface Acknowledgements {
  "join-session": Joined | Refused;
  "leave-session": Done | Refused;
  "add-movie": MoviesAdded | Refused;
  "remove-movie": Done | Refused;
  "vote": Done | Refused;
  "withdraw-vote": Done | Refused;
  "rename-participant": Done | Refused;
  "update-session": Done | Refused;
  "kick-participant": Done | Refused;
  "transfer-host": Done | Refused;
  "rotate-host-token": HostTokenRotated | Refused;
  "end-session": Done | Refused;
}

/** What the server tells. */
export interface ServerToClientEvents {
  /** The socket is in the session (to the joiner). */
  "joined-session": (joined: JoinedSession) => void;
  /** The newest state, whole (to every member). */
  "session-update": (sessionData: SessionData, meta: Meta, offset: string) => void;
  /** What turns the state last sent to this socket into the newest (to members who joined with `patches`). */
  "session-patch": (patch: Patch, meta: PatchMeta, offset: string) => void;
  /** Joining failed, or another event for which no acknowledgement was asked (to the socket concerned). */
  "error": (error: ErrorBody) => void;
  /** The session ends soon (to every member, once). */
  "session-expiring": (expiring: SessionExpiring) => void;
  /** The session is over; an `error` with the text of 404 follows (to every member, once). */
  "session-ended": (ended: SessionEnded) => void;
}

/** What a client asks for. */
export interface ClientToServerEvents {
  /** Join a session by its code. */
  "join-session": (...args: [sessionID: SessionID, ack: (ack: Acknowledgements["join-session"]) => void] | [sessionID: SessionID, options: JoinOptions, ack: (ack: Acknowledgements["join-session"]) => void] | [joining: JoinSession, ack: (ack: Acknowledgements["join-session"]) => void] | [sessionID: SessionID] | [sessionID: SessionID, options: JoinOptions] | [joining: JoinSession]) => void;
  /** Leave the session at once. */
  "leave-session": (...args: [payload: NoArguments, ack: (ack: Acknowledgements["leave-session"]) => void] | [ack: (ack: Acknowledgements["leave-session"]) => void] | [payload: NoArguments] | []) => void;
  /** Add one movie, or many: all or none. */
  "add-movie": (...args: [payload: AddMovies, ack: (ack: Acknowledgements["add-movie"]) => void] | [payload: AddMovie, ack: (ack: Acknowledgements["add-movie"]) => void] | [payload: AddMovies] | [payload: AddMovie]) => void;
  /** Take a movie off the list. */
  "remove-movie": (...args: [payload: MovieReference, ack: (ack: Acknowledgements["remove-movie"]) => void] | [payload: MovieReference]) => void;
  /** Rate a movie from 1, a veto, to 5; the newest rating counts. */
  "vote": (...args: [payload: Vote, ack: (ack: Acknowledgements["vote"]) => void] | [payload: Vote]) => void;
  /** Take one's rating back. */
  "withdraw-vote": (...args: [payload: MovieReference, ack: (ack: Acknowledgements["withdraw-vote"]) => void] | [payload: MovieReference]) => void;
  /** Change one's own name. */
  "rename-participant": (...args: [payload: RenameParticipant, ack: (ack: Acknowledgements["rename-participant"]) => void] | [payload: RenameParticipant]) => void;
  /** Title, capacity, lock, lifetime. */
  "update-session": (...args: [payload: UpdateSession, ack: (ack: Acknowledgements["update-session"]) => void] | [payload: UpdateSession]) => void;
  /** Remove a participant, or ban it. */
  "kick-participant": (...args: [payload: KickParticipant, ack: (ack: Acknowledgements["kick-participant"]) => void] | [payload: KickParticipant]) => void;
  /** Make another participant the host. */
  "transfer-host": (...args: [payload: TransferHost, ack: (ack: Acknowledgements["transfer-host"]) => void] | [payload: TransferHost]) => void;
  /** Get a new host token; the old one is void. */
  "rotate-host-token": (...args: [payload: NoArguments, ack: (ack: Acknowledgements["rotate-host-token"]) => void] | [ack: (ack: Acknowledgements["rotate-host-token"]) => void] | [payload: NoArguments] | []) => void;
  /** End the session for everybody. */
  "end-session": (...args: [payload: NoArguments, ack: (ack: Acknowledgements["end-session"]) => void] | [ack: (ack: Acknowledgements["end-session"]) => void] | [payload: NoArguments] | []) => void;
}

/** The same, always acknowledged. */
export interface AcknowledgedEvents {
  /** Join a session by its code. */
  "join-session": (...args: [sessionID: SessionID, ack: (ack: Acknowledgements["join-session"]) => void] | [sessionID: SessionID, options: JoinOptions, ack: (ack: Acknowledgements["join-session"]) => void] | [joining: JoinSession, ack: (ack: Acknowledgements["join-session"]) => void]) => void;
  /** Leave the session at once. */
  "leave-session": (...args: [payload: NoArguments, ack: (ack: Acknowledgements["leave-session"]) => void] | [ack: (ack: Acknowledgements["leave-session"]) => void]) => void;
  /** Add one movie, or many: all or none. */
  "add-movie": (...args: [payload: AddMovies, ack: (ack: Acknowledgements["add-movie"]) => void] | [payload: AddMovie, ack: (ack: Acknowledgements["add-movie"]) => void]) => void;
  /** Take a movie off the list. */
  "remove-movie": (...args: [payload: MovieReference, ack: (ack: Acknowledgements["remove-movie"]) => void]) => void;
  /** Rate a movie from 1, a veto, to 5; the newest rating counts. */
  "vote": (...args: [payload: Vote, ack: (ack: Acknowledgements["vote"]) => void]) => void;
  /** Take one's rating back. */
  "withdraw-vote": (...args: [payload: MovieReference, ack: (ack: Acknowledgements["withdraw-vote"]) => void]) => void;
  /** Change one's own name. */
  "rename-participant": (...args: [payload: RenameParticipant, ack: (ack: Acknowledgements["rename-participant"]) => void]) => void;
  /** Title, capacity, lock, lifetime. */
  "update-session": (...args: [payload: UpdateSession, ack: (ack: Acknowledgements["update-session"]) => void]) => void;
  /** Remove a participant, or ban it. */
  "kick-participant": (...args: [payload: KickParticipant, ack: (ack: Acknowledgements["kick-participant"]) => void]) => void;
  /** Make another participant the host. */
  "transfer-host": (...args: [payload: TransferHost, ack: (ack: Acknowledgements["transfer-host"]) => void]) => void;
  /** Get a new host token; the old one is void. */
  "rotate-host-token": (...args: [payload: NoArguments, ack: (ack: Acknowledgements["rotate-host-token"]) => void] | [ack: (ack: Acknowledgements["rotate-host-token"]) => void]) => void;
  /** End the session for everybody. */
  "end-session": (...args: [payload: NoArguments, ack: (ack: Acknowledgements["end-session"]) => void] | [ack: (ack: Acknowledgements["end-session"]) => void]) => void;
}

/** The HTTP API: bodies and answers, errors apart. */
export interface Routes {
  /** Tell whether a session exists; changes nothing. */
  "POST /api/session/join": { body: JoinRequest; answer: SessionFound };
  /** Make a session; where the deployment has a key for that, the token is that key. */
  "POST /api/session/create": { body: CreateSession; answer: SessionCreated };
  /** Read a session. */
  "GET /api/session/{sessionID}": { body: undefined; answer: SessionState };
  /** Change title, capacity, lock or lifetime. */
  "PATCH /api/session/{sessionID}": { body: { title?: string | null; capacity?: number | null; locked?: boolean | null; ttlSeconds?: number | null; }; answer: Done };
  /** End the session. */
  "DELETE /api/session/{sessionID}": { body: undefined; answer: Done };
  /** Add one movie, or many: all or none. */
  "POST /api/session/{sessionID}/movies": { body: { movies: Array<MovieDetails>; } | { id: string; title: string; year?: number | null; posterUrl?: string | null; overview?: string | null; genres?: Array<string> | null; }; answer: MoviesAdded };
  /** Take a movie off the list. */
  "DELETE /api/session/{sessionID}/movies/{movieID}": { body: undefined; answer: Done };
  /** Rate a movie. */
  "PUT /api/session/{sessionID}/movies/{movieID}/vote": { body: { rating: number; }; answer: Done };
  /** Take one's rating back. */
  "DELETE /api/session/{sessionID}/movies/{movieID}/vote": { body: undefined; answer: Done };
  /** List all participants, also those who are not in `sessionData`, page by page. */
  "GET /api/session/{sessionID}/participants": { body: undefined; answer: ParticipantPage };
  /** Change one's own name. */
  "PATCH /api/session/{sessionID}/participants/{participantID}": { body: { name: string; }; answer: Done };
  /** Leave, with one's own token; else remove somebody, or ban them. */
  "DELETE /api/session/{sessionID}/participants/{participantID}": { body: undefined; answer: Done };
}
