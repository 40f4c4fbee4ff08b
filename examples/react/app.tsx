// A page with React: join or make a session, add movies, rate them, decide.

import { createSession, randomID, type Failure, type JoinSessionOptions, type Session, type Snapshot } from "join-session-client";
import { useSession } from "join-session-client/react";
import { StrictMode, useState, type FormEvent } from "react";
import { createRoot } from "react-dom/client";

// Where the service is. It has to allow the address of this page: JOIN_SESSION_ALLOWED_ORIGINS=http://localhost:5001
const url = new URLSearchParams(location.search).get("service") ?? "http://localhost:8080";
const RATINGS = [1, 2, 3, 4, 5] as const;

interface Visit extends JoinSessionOptions {
  code: string;
}

function App() {
  const [visit, setVisit] = useState<Visit | null>(null);
  return (
    <>
      <h1>Pick a movie</h1>
      {visit ? <Room key={visit.code} visit={visit} /> : <Start enter={setVisit} />}
    </>
  );
}

function Start({ enter }: { enter: (visit: Visit) => void }) {
  const [failure, setFailure] = useState<Failure | null>(null);
  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const { name, code } = fieldsOf(event);
    if (code) return enter({ code, name });
    const created = await createSession({}, { url });
    if (created.ok) enter({ code: created.sessionID, name, hostToken: created.hostToken });
    else setFailure(created);
  }
  return (
    <form onSubmit={submit}>
      <input name="name" placeholder="Your name" aria-label="Your name" />
      <input name="code" placeholder="Code, or none for a new session" aria-label="Code" />
      <button>Go</button>
      {failure && <p role="alert">{failure.message}</p>}
    </form>
  );
}

function Room({ visit: { code, ...options } }: { visit: Visit }) {
  const { session, snapshot } = useSession(code, { url, ...options });
  if (!session || snapshot.status === "joining") return <p role="status">Joining…</p>;
  if (snapshot.status === "over") return <p role="alert">{snapshot.end.message}</p>;
  return <Movies session={session} snapshot={snapshot} />;
}

function Movies({ session, snapshot }: { session: Session; snapshot: Extract<Snapshot, { status: "joined" }> }) {
  const { sessionID, connection, data, meta, votes, isHost } = snapshot;
  const chosen = data.movies.find(({ id }) => id === meta.decision?.movieID);
  function add(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const { title } = fieldsOf(event);
    event.currentTarget.reset();
    void session.change("add-movie", { id: randomID(), title });
  }
  return (
    <>
      <p role="status">{chosen ? `You're watching ${chosen.title}` : `Session ${sessionID}: ${connection}`}</p>
      <ul>
        {data.movies.map(({ id, title, compatibility }) => (
          <li key={id}>
            <span>
              {title} {compatibility} %
            </span>
            {RATINGS.map((rating) => (
              <button
                key={rating}
                title={`Rate ${title}: ${rating}`}
                aria-pressed={votes[id] === rating}
                onClick={() => session.change("vote", { movieID: id, rating })}
              >
                {rating}
              </button>
            ))}
          </li>
        ))}
      </ul>
      <form onSubmit={add}>
        <input name="title" placeholder="Movie" aria-label="Movie" required />
        <button>Add</button>
      </form>
      {isHost && !chosen && <button onClick={() => session.change("decide")}>Decide</button>}
      <p>{data.participants.map(({ name }) => name).join(", ")}</p>
    </>
  );
}

function fieldsOf(event: FormEvent<HTMLFormElement>) {
  const fields = new FormData(event.currentTarget);
  const read = (name: string) => String(fields.get(name) ?? "");
  return { name: read("name"), code: read("code"), title: read("title") };
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
