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

/** Body of `POST /api/session/{sessionID}/movies`. */
export interface AddMovieBody {
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

/** Body of `POST /api/session/{sessionID}/movies`. */
export interface AddMoviesBody {
  movies: Array<MovieDetails>;
}

/** Body of `POST /api/session/create`; everything is optional. */
export interface CreateSession {
  decideInSeconds?: number | null;
  decideWhen?: "host" | "all-rated" | null;
  reveal?: "live" | "decided" | null;
  title?: string | null;
  ttlSeconds?: number | null;
  capacity?: number | null;
  movies?: Array<MovieDetails>;
  leaverRatings?: "keep" | "drop" | null;
  passcode?: string | null;
}

/** Payload of `decide`: the movie that the host names, or nothing for the first of the ranking. */
export interface Decide {
  mid?: string | null;
  movieID?: string | null;
}

/** Body of `POST /api/session/{sessionID}/decision`. */
export interface DecideBody {
  movieID?: string | null;
}

/** The decision that was made. */
export interface Decided {
  ok: true;
  version: number;
  now: string;
  decision: Decision;
}

/** What the group sees, with the ranking as it stood. `tied`: the movies among which a lot was drawn. */
export interface Decision {
  movieID: string;
  by: "ranking" | "lot" | "host";
  tied: Array<string>;
  decidedAt: string;
  ranking: Array<Standing>;
}

/** The change has been executed; `version` is the session's with it, `now` the time by the service's clock. */
export interface Done {
  ok: true;
  version: number;
  now: string;
}

/** What went wrong: `message` for people, `code` for programs, `field` the path of a field that is wrong.

`decision`: the one that was made before. */
export interface ErrorBody {
  message: string;
  code: ErrorCode;
  field?: string;
  decision?: Decision;
}

export type ErrorCode = "session-id-required" | "invalid-payload" | "unknown-event" | "unauthorized" | "passcode-required" | "passcode-wrong" | "forbidden" | "not-found" | "session-not-found" | "movie-not-found" | "participant-not-found" | "method-not-allowed" | "request-timeout" | "session-full" | "session-locked" | "not-joined" | "limit-reached" | "session-decided" | "not-decided" | "nothing-to-decide" | "payload-too-large" | "idempotency-mismatch" | "too-many-requests" | "headers-too-large" | "join-failed" | "internal-error" | "unavailable" | "outcome-unknown" | "codes-exhausted";

/** `hostToken` is the new one; those before are void. */
export interface HostTokenRotated {
  ok: true;
  version: number;
  now: string;
  hostToken: string;
}

/** What went wrong; the code is in the header `X-Error-Code`. */
export interface JoinFailure {
  message: string;
}

/** Second argument of `join-session`.

With `patches` updates after the first are sent as `session-patch`. `observe`: only watch, as no participant.
A session that has a passcode asks for it where no `token` is shown. */
export interface JoinOptions {
  name?: string | null;
  token?: string | null;
  passcode?: string | null;
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
  passcode?: string | null;
  patches?: boolean;
  observe?: boolean;
}

/** `token` lets the participant come back; `votes` are the participant's own ratings, by movie.

Of an observer `participantID` and `token` are empty. */
export interface Joined {
  ok: true;
  version: number;
  now: string;
  sessionID: string;
  participantID: string;
  token: string;
  votes: Record<string, Rating>;
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

/** About the session. `version` grows by one with each change; a new `epoch` says that changes were lost.

`decideAt`: when the decision comes by itself. `decideWhen`: whether it comes once everybody has rated every
movie, or by the host. `reveal`: whether ratings are shown as they are made, or with the decision. `now`: the
time by the same clock as the others, for countdowns. */
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
  phase: "voting" | "decided";
  decision: Decision | null;
  decideAt: string | null;
  decideWhen: "host" | "all-rated";
  reveal: "live" | "decided";
  now: string;
}

/** A movie with its standing. `addedBy` is a participant's id, null where it was given at `create`.

`count` to `rank` are null while the ratings are hidden. */
export interface Movie {
  id: string;
  title: string;
  year?: number;
  posterUrl?: string;
  overview?: string;
  genres?: Array<string>;
  addedBy: string | null;
  addedAt: string;
  count: number | null;
  vetoes: number | null;
  score: number | null;
  compatibility: number | null;
  rank: number | null;
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
  now: string;
  added: Array<string>;
  present: Array<string>;
}

/** Payload of `leave-session`, `rotate-host-token` and `end-session`: at most an idempotency key. */
export interface NoArguments {
  mid?: string | null;
}

/** The participant's own ratings, by movie, changed over another connection. */
export interface OwnVotes {
  votes: Record<string, Rating>;
}

/** Somebody in the session; `connected` is false while they are away and may come back.

`rated`: how many of the movies they have rated; where ratings are shown `live`, 0 until it is all of them. */
export interface Participant {
  id: string;
  name: string;
  role: "host" | "member";
  connected: boolean;
  joinedAt: string;
  rated: number;
}

/** Participants in the order they joined. `next` is the cursor of the next page, null on the last one. */
export interface ParticipantPage {
  participants: Array<Participant>;
  next: string | null;
}

export type Patch = Array<PatchRemoval | PatchValue>;

/** Of a patch from the version `from` to `version`, both of this `epoch`; the others are there if changed.

`now` is there while the decision comes by time. */
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
  phase?: "voting" | "decided";
  decision?: Decision | null;
  decideAt?: string | null;
  decideWhen?: "host" | "all-rated";
  reveal?: "live" | "decided";
  now?: string;
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

/** 1 is a veto, 5 the best. */
export type Rating = 1 | 2 | 3 | 4 | 5;

/** Nothing was changed, unless `code` is `outcome-unknown`. `retryAfter` is in seconds.

`field` is the path of the field that is wrong, if one is. */
export interface Refused {
  ok: false;
  code: ErrorCode;
  message: string;
  field?: string;
  retryable?: true;
  retryAfter?: number;
  decision?: Decision;
}

/** Payload of `rename-participant`: one's own name. An id that is not one's own is refused. */
export interface RenameParticipant {
  mid?: string | null;
  name: string;
  participantID?: string | null;
}

/** Body of `PATCH /api/session/{sessionID}/participants/{participantID}`. */
export interface RenameParticipantBody {
  name: string;
}

/** Payload of `reopen`: what to clear, the ratings, or the movies with them; nothing without it. */
export interface Reopen {
  mid?: string | null;
  clear?: "ratings" | "movies" | null;
}

/** The result of a session: what was decided, and the ranking as it stood. */
export interface Result {
  sessionID: string;
  title: string | null;
  movieID: string;
  by: "ranking" | "lot" | "host";
  tied: Array<string>;
  decidedAt: string;
  people: number;
  ranking: Array<ResultMovie>;
}

/** A movie in the result. */
export interface ResultMovie {
  movieID: string;
  rank: number;
  /** score * (count / (count + vetoes)) ^ 3.5, rounded */
  compatibility: number;
  /** Mean of the ratings that are no veto, to two decimals */
  score: number;
  /** Ratings that are no veto */
  count: number;
  vetoes: number;
  title: string;
  year?: number;
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

/** The group has decided. */
export interface SessionDecided {
  sessionID: string;
  decision: Decision;
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

/** The place of a movie in the ranking of a decision. */
export interface Standing {
  movieID: string;
  rank: number;
  /** score * (count / (count + vetoes)) ^ 3.5, rounded */
  compatibility: number;
  /** Mean of the ratings that are no veto, to two decimals */
  score: number;
  /** Ratings that are no veto */
  count: number;
  vetoes: number;
}

/** Payload of `transfer-host`. */
export interface TransferHost {
  mid?: string | null;
  participantID: string;
}

/** Payload of `update-session`: at least one of them; a title, time or passcode of null takes that away. */
export interface UpdateSession {
  mid?: string | null;
  decideInSeconds?: number | null;
  decideWhen?: "host" | "all-rated" | null;
  reveal?: "live" | "decided" | null;
  title?: string | null;
  capacity?: number | null;
  locked?: boolean | null;
  ttlSeconds?: number | null;
  passcode?: string | null;
}

/** Body of `PATCH /api/session/{sessionID}`. */
export interface UpdateSessionBody {
  decideInSeconds?: number | null;
  decideWhen?: "host" | "all-rated" | null;
  reveal?: "live" | "decided" | null;
  title?: string | null;
  capacity?: number | null;
  locked?: boolean | null;
  ttlSeconds?: number | null;
  passcode?: string | null;
}

/** Payload of `vote`: 1 is a veto, 5 the best. */
export interface Vote {
  mid?: string | null;
  movieID: string;
  rating: Rating;
}

/** Body of `PUT /api/session/{sessionID}/movies/{movieID}/vote`. */
export interface VoteBody {
  rating: Rating;
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
  "decide": Decided | Refused;
  "reopen": Done | Refused;
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
  /** The group has decided; the update that shows it follows (to every member, once). */
  "session-decided": (decided: SessionDecided) => void;
  /** The participant's ratings have changed over HTTP or another socket (to the other sockets of a participant). */
  "own-votes": (own: OwnVotes) => void;
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
  /** Title, capacity, lock, lifetime, passcode, and how the decision comes. */
  "update-session": (...args: [payload: UpdateSession, ack: (ack: Acknowledgements["update-session"]) => void] | [payload: UpdateSession]) => void;
  /** Remove a participant, or ban it. */
  "kick-participant": (...args: [payload: KickParticipant, ack: (ack: Acknowledgements["kick-participant"]) => void] | [payload: KickParticipant]) => void;
  /** Make another participant the host. */
  "transfer-host": (...args: [payload: TransferHost, ack: (ack: Acknowledgements["transfer-host"]) => void] | [payload: TransferHost]) => void;
  /** Get a new host token; the old one is void. */
  "rotate-host-token": (...args: [payload: NoArguments, ack: (ack: Acknowledgements["rotate-host-token"]) => void] | [ack: (ack: Acknowledgements["rotate-host-token"]) => void] | [payload: NoArguments] | []) => void;
  /** Decide for the first of the ranking, or for the movie that the host names. */
  "decide": (...args: [payload: Decide, ack: (ack: Acknowledgements["decide"]) => void] | [ack: (ack: Acknowledgements["decide"]) => void] | [payload: Decide] | []) => void;
  /** Take the decision back and go on voting. */
  "reopen": (...args: [payload: Reopen, ack: (ack: Acknowledgements["reopen"]) => void] | [ack: (ack: Acknowledgements["reopen"]) => void] | [payload: Reopen] | []) => void;
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
  /** Title, capacity, lock, lifetime, passcode, and how the decision comes. */
  "update-session": (...args: [payload: UpdateSession, ack: (ack: Acknowledgements["update-session"]) => void]) => void;
  /** Remove a participant, or ban it. */
  "kick-participant": (...args: [payload: KickParticipant, ack: (ack: Acknowledgements["kick-participant"]) => void]) => void;
  /** Make another participant the host. */
  "transfer-host": (...args: [payload: TransferHost, ack: (ack: Acknowledgements["transfer-host"]) => void]) => void;
  /** Get a new host token; the old one is void. */
  "rotate-host-token": (...args: [payload: NoArguments, ack: (ack: Acknowledgements["rotate-host-token"]) => void] | [ack: (ack: Acknowledgements["rotate-host-token"]) => void]) => void;
  /** Decide for the first of the ranking, or for the movie that the host names. */
  "decide": (...args: [payload: Decide, ack: (ack: Acknowledgements["decide"]) => void] | [ack: (ack: Acknowledgements["decide"]) => void]) => void;
  /** Take the decision back and go on voting. */
  "reopen": (...args: [payload: Reopen, ack: (ack: Acknowledgements["reopen"]) => void] | [ack: (ack: Acknowledgements["reopen"]) => void]) => void;
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
  /** Change title, capacity, lock, lifetime or passcode, and how the decision comes. */
  "PATCH /api/session/{sessionID}": { body: UpdateSessionBody; answer: Done };
  /** End the session. */
  "DELETE /api/session/{sessionID}": { body: undefined; answer: Done };
  /** Decide. */
  "POST /api/session/{sessionID}/decision": { body: DecideBody; answer: Decided };
  /** Take the decision back and go on voting. */
  "DELETE /api/session/{sessionID}/decision": { body: undefined; answer: Done };
  /** Add one movie, or many: all or none. */
  "POST /api/session/{sessionID}/movies": { body: AddMoviesBody | AddMovieBody; answer: MoviesAdded };
  /** Take a movie off the list. */
  "DELETE /api/session/{sessionID}/movies/{movieID}": { body: undefined; answer: Done };
  /** Rate a movie. */
  "PUT /api/session/{sessionID}/movies/{movieID}/vote": { body: VoteBody; answer: Done };
  /** Take one's rating back. */
  "DELETE /api/session/{sessionID}/movies/{movieID}/vote": { body: undefined; answer: Done };
  /** List all participants, also those who are not in `sessionData`, page by page. */
  "GET /api/session/{sessionID}/participants": { body: undefined; answer: ParticipantPage };
  /** Change one's own name. */
  "PATCH /api/session/{sessionID}/participants/{participantID}": { body: RenameParticipantBody; answer: Done };
  /** Leave, with one's own token; else remove somebody, or ban them. */
  "DELETE /api/session/{sessionID}/participants/{participantID}": { body: undefined; answer: Done };
  /** Read what was decided, as JSON, or as CSV with `?format=csv` or by `Accept`. */
  "GET /api/session/{sessionID}/result": { body: undefined; answer: Result };
}
