// The page: which view is shown, creating and joining, and the one line that tells what happened.

import { find, say } from "./dom.js";
import { Room } from "./room.js";
import { dropHostTicket, dropTicket, keepHostTicket, keepName, lastName, ticketOf } from "./tickets.js";

// By the reason: the heading, what happened, and the state of the connection.
const ENDED = "This session has ended";
const ENDINGS = {
  ended: [ENDED, "The host ended it for everyone.", "Ended by the host"],
  expired: [ENDED, "It ran out of time.", "Expired"],
  kicked: ["You are out of this session", "The host removed you, or you left in another tab.", "Removed"],
  replaced: [
    "Opened elsewhere",
    "You are in this session in another tab or window.",
    "Opened elsewhere",
  ],
  lost: [ENDED, "The session was lost because of a fault on our side.", "Lost"],
  gone: [ENDED, "It ended or expired while you were away.", "Ended"],
};
const ENOUGH_TO_READ = 6000;

const UNREACHABLE = "The service cannot be reached";

let fading = 0;
let shown = null;

const room = new Room({
  entered() {
    show("room");
    tell("");
  },
  refused({ code: reason, message }) {
    const wanted = find("join-code").value;
    // Whoever only has to choose another name, or to wait for a place, stays who they are.
    if (["forbidden", "session-not-found"].includes(reason)) dropTicket(wanted);
    if (reason === "session-not-found") dropHostTicket(wanted);
    showStart(wanted);
    fail("join", message);
  },
  ended(reason) {
    find("over-ranking").append(find("ranking-card"));
    const [heading, text, state] = ENDINGS[reason] ?? [ENDED, "", "Ended"];
    say(find("over-heading"), heading);
    say(find("over-text"), text);
    say(find("connection"), state);
    find("connection").dataset.state = "ended";
    tell("");
    find("over-again").hidden = reason !== "replaced";
    show("over");
  },
  left() {
    showStart("");
    tell("You have left the session.");
  },
  tell,
});

// The code in the address; a fragment, so that it is in no server's log.
function code() {
  const fragment = location.hash.slice(1);
  try {
    return decodeURIComponent(fragment).trim();
  } catch {
    return fragment;
  }
}

function show(view) {
  for (const name of ["start", "wait", "room", "over"]) find(name).hidden = name !== view;
  if (view === "start") {
    document.title = "join-session";
    find("connection").dataset.state = "idle";
    say(find("connection"), "");
  }
  // A page that has just been loaded is read from its top.
  if (shown !== null) find(`${view}-heading`).focus({ preventScroll: true });
  shown = view;
  scrollTo(0, 0);
}

function showStart(invited) {
  history.replaceState(null, "", invited ? `#${encodeURIComponent(invited)}` : location.pathname);
  find("join-code").value = invited;
  for (const field of document.querySelectorAll(".name-input")) field.value ||= lastName();
  for (const kind of ["join", "create"]) fail(kind, "");
  say(find("start-heading"), invited ? "You are invited" : "Pick a movie together");
  find("start").classList.toggle("invited", invited !== "");
  show("start");
  if (invited) find("join-name").focus();
}

function enter(wanted, name) {
  keepName(name);
  history.replaceState(null, "", `#${encodeURIComponent(wanted)}`);
  find("join-code").value = wanted;
  document.querySelector(".side").prepend(find("ranking-card"));
  room.enter(wanted, name);
}

function fail(kind, message) {
  const error = find(`${kind}-error`);
  error.hidden = message === "";
  say(error, message);
  find(`${kind}-button`).removeAttribute("aria-disabled");
  for (const field of find(`${kind}-form`).querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  if (!message) return;
  // The service begins with the name of the field where it is not the code.
  const field = find(message.startsWith("Name ") ? `${kind}-name` : kind === "join" ? "join-code" : "create-title");
  field.setAttribute("aria-invalid", "true");
  find("news").textContent = message;
  field.focus();
}

function tell(text, kind = "") {
  clearTimeout(fading);
  say(find("notice-text"), text);
  find("notice").dataset.kind = text ? kind || "plain" : "";
  find("notice-close").hidden = text === "";
  // An error stays until it is read.
  if (text && !kind) fading = setTimeout(() => tell(""), ENOUGH_TO_READ);
}

function onSubmit(kind, act) {
  find(`${kind}-form`).addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = find(`${kind}-button`);
    if (button.getAttribute("aria-disabled") === "true") return;
    fail(kind, "");
    button.setAttribute("aria-disabled", "true");
    try {
      await act();
    } catch (error) {
      fail(kind, error instanceof TypeError ? UNREACHABLE : error.message);
    }
  });
}

async function post(path, body) {
  const response = await fetch(path, { method: "POST", body: JSON.stringify(body) });
  const answer = await response.json().catch(() => ({ message: UNREACHABLE }));
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

onSubmit("join", async () => {
  const { sessionID } = await post("/api/session/join", { sessionID: find("join-code").value });
  enter(sessionID, find("join-name").value.trim());
});

onSubmit("create", async () => {
  const title = find("create-title").value.trim();
  const { sessionID, hostToken } = await post("/api/session/create", title ? { title } : {});
  keepHostTicket(sessionID, hostToken);
  enter(sessionID, find("create-name").value.trim());
});

// One name, whichever of the two forms it is written into.
for (const field of document.querySelectorAll(".name-input")) {
  field.addEventListener("input", () => {
    for (const other of document.querySelectorAll(".name-input")) other.value = field.value;
  });
}

find("notice-close").addEventListener("click", () => {
  tell("");
  document.querySelector("main > section:not([hidden]) h1").focus();
});
find("over-start").addEventListener("click", () => showStart(""));
find("over-again").addEventListener("click", () => enter(code(), lastName()));
find("wait-cancel").addEventListener("click", () => {
  room.abandon();
  showStart(code());
});
find("skip").addEventListener("click", (event) => {
  event.preventDefault();
  find("main").focus();
});
// Another link in the same tab is another visit.
addEventListener("hashchange", () => location.reload());

const invited = code();
if (invited && ticketOf(invited)) {
  show("wait");
  enter(invited, lastName());
} else showStart(invited);
