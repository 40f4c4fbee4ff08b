// Joins a session, or a new one, and prints who is in it and how the movies rank, until the session is over or Ctrl-C:
// npm --prefix examples/node start -- URL [CODE [NAME]]
import { createSession, joinSession } from "join-session-client";

const [url = "http://localhost:8080", code, name] = process.argv.slice(2);

const session = joinSession(code ?? (await newSession()), { url, name });
const joined = await session.joined;
if (!joined.ok) stop(joined.message);
console.log(`Joined ${joined.sessionID} as ${joined.participantID}; others join at ${url}/#${joined.sessionID}`);

session.subscribe(({ status, data, end }) => {
  if (status === "over") {
    console.log(end.message);
    process.exit();
  }
  const people = data.participants.map((person) => person.name).join(", ");
  const movies = data.movies.map((movie) => `${movie.title} ${movie.compatibility} %`).join(", ");
  console.log(`${people}: ${movies || "no movies yet"}`);
});

// The session is over then, for this client.
process.on("SIGINT", () => session.change("leave-session"));

async function newSession() {
  const created = await createSession({}, { url });
  return created.ok ? created.sessionID : stop(created.message);
}

function stop(reason) {
  console.error(reason);
  process.exit(1);
}
