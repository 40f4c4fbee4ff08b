// The HTTP API, as far as the page needs it.

const UNREACHABLE = "The service cannot be reached";

class Refused extends Error {
  constructor(message, code, field) {
    super(message);
    this.code = code;
    this.field = field;
  }
}

// The body of the answer; raises Refused with a message for people.
export async function call(method, path, { body, token, keepalive = false } = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { method, headers, keepalive, body: body && JSON.stringify(body) });
  } catch {
    throw new Refused(UNREACHABLE, "unreachable");
  }
  const answer = await response.json().catch(() => ({ message: UNREACHABLE }));
  if (!response.ok) throw new Refused(answer.message, answer.code ?? response.headers.get("X-Error-Code"), answer.field);
  return answer;
}

export const find = (sessionID) => call("POST", "/api/session/join", { body: { sessionID } });
export const create = (options) => call("POST", "/api/session/create", { body: options });
export const leave = ({ code, participantID, token }) =>
  call("DELETE", `/api/session/${code}/participants/${participantID}`, { token, keepalive: true });
