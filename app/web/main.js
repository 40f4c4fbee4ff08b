// The page: which view is shown, and what leads from one to another.

import { forgetChanges } from "./changes.js";
import { linkTo, showInAddress, target } from "./code.js";
import { resultText } from "./decision.js";
import { find, say } from "./dom.js";
import { dropIdentity, forgetTab, identityOfTab, rememberTab, tokenOf } from "./identities.js";
import { tell, undoable } from "./notice.js";
import { renderRanking } from "./ranking.js";
import { forgetResult, keepResult, resultOf } from "./results.js";
import { Room } from "./room.js";
import { share } from "./sharing.js";
import { Start } from "./start.js";
import { titleOf } from "./titles.js";
import { BigScreen } from "./tv.js";
import { request } from "./vendor/client.js";

// By the reason: the heading, what happened, and the state of the connection.
const ENDED = "This session has ended";
const ENDINGS = {
  ended: [ENDED, "The host ended it for everyone.", "Ended by the host"],
  expired: [ENDED, "It ran out of time.", "Expired"],
  kicked: ["You are out of this session", "The host removed you.", "Removed"],
  left: ["You left this session", "You left it in another tab.", "Left"],
  replaced: ["Opened elsewhere", "You are in this session in another tab or window.", "Opened elsewhere"],
  lost: [ENDED, "The session was lost because of a fault on our side.", "Lost"],
  gone: [ENDED, "It ended or expired while you were away.", "Ended"],
};

// A connection that takes longer than this is waited for in a view of its own.
const SOON = 800;

let shown = null;
let current = null;
// What was left of the session that is over.
let over = null;

const start = new Start({ enter, watch: (code) => showBigScreen(code, {}) });
const room = new Room({
  entered() {
    show("room");
    tell("");
  },
  refused(ack) {
    show("start");
    start.show(ack.code === "session-not-found" ? "" : current.code, ack);
    if (ack.code === "session-not-found") find("join-code").value = current.code;
  },
  ended(reason) {
    const { code, data, meta } = room;
    if (data && reason !== "replaced") keepResult({ code, reason, data, meta });
    showEnd(reason, room);
  },
  left(identity, title) {
    show("start");
    start.show("");
    undoable(
      `You left ${title ?? "the session"}.`,
      () => {
        dropIdentity(identity);
        forgetChanges(identity);
        const { code: sessionID, participantID, token } = identity;
        const route = "DELETE /api/session/{sessionID}/participants/{participantID}";
        // Who is offline need not wait: the grace time does the rest.
        request(route, { params: { sessionID, participantID }, token, keepalive: true });
      },
      () => enter(identity, identity.name ? { name: identity.name } : {}),
    );
  },
});

function enter(identity, options) {
  current = identity;
  forgetResult();
  showInAddress(identity.code);
  document.querySelector(".columns").insertBefore(find("ranking-card"), find("people-card"));
  rememberTab(identity);
  room.enter(identity, options);
  setTimeout(() => current === identity && shown === "start" && room.isComing && show("wait"), SOON);
}

function showEnd(reason, { data, meta }) {
  over = { data, meta };
  find("over-ranking").append(find("ranking-card"));
  const [heading, text, state] = ENDINGS[reason] ?? [ENDED, "", "Ended"];
  const picked = data && meta?.decision && data.movies.find(({ id }) => id === meta.decision.movieID);
  say(find("over-heading"), picked ? `You picked ${titleOf(picked)}` : heading);
  say(find("over-text"), picked ? `${heading}. ${text}` : text);
  say(find("connection"), state);
  find("connection").dataset.state = "ended";
  find("over-ranking").hidden = !data;
  find("over-share").hidden = !picked;
  find("over-again").hidden = reason !== "replaced";
  tell("");
  show("over");
}

function show(view) {
  for (const name of ["start", "wait", "room", "over", "tv"]) find(name).hidden = name !== view;
  const inRoom = view === "room" || view === "over";
  find("bar-actions").hidden = view !== "room";
  find("brand").hidden = inRoom;
  find("room-heading").hidden = view !== "room";
  find("room-code").hidden = view !== "room";
  document.body.dataset.view = view;
  if (view === "start") {
    document.title = "Pick a movie together";
    find("connection").dataset.state = "idle";
    say(find("connection"), "");
    find("room-locked").hidden = true;
  }
  // A page that has just been loaded is read from its top.
  if (shown !== null) find(`${view}-heading`).focus({ preventScroll: true });
  shown = view;
  scrollTo(0, 0);
}

find("over-start").addEventListener("click", () => {
  forgetResult();
  show("start");
  start.show("");
});
find("over-share").addEventListener("click", () => {
  const { data, meta } = over;
  share(resultText(meta.title ?? "Movie session", data, meta.decision));
});
find("over-again").addEventListener("click", () => enter(identityOfTab(current.code) ?? current, {}));
find("wait-cancel").addEventListener("click", () => {
  room.abandon();
  show("start");
  start.show(current.code);
});
find("skip").addEventListener("click", (event) => {
  event.preventDefault();
  find("main").focus();
});
// Another link in the same tab is another visit.
addEventListener("hashchange", () => location.reload());

const { code, view } = target();
const known = code ? identityOfTab(code) : null;
const result = code ? resultOf(code) : null;
if (code && view === "tv") showBigScreen(code, { token: tokenOf(code) });
else if (known) {
  show("wait");
  enter(known, known.name ? { name: known.name } : {});
} else if (result) {
  renderRanking(result.data, result.meta);
  showEnd(result.reason, result);
} else {
  forgetTab();
  show("start");
  start.show(code);
}

function showBigScreen(code, options) {
  show("wait");
  history.replaceState(null, "", linkTo(code, "tv"));
  current = { code };
  new BigScreen(code, options, {
    entered: () => show("tv"),
    refused(ack) {
      show("start");
      start.show(code, ack, (passcode) => showBigScreen(code, { passcode }));
    },
    ended: (reason) => showEnd(reason, { data: null, meta: null }),
  });
}
