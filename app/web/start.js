// The start: joining with a code or a link, as somebody new or as who one was, and creating a session.

import { isWhole, showInAddress, typedCode } from "./code.js";
import { element, find, plural, say } from "./dom.js";
import { face, namesOf } from "./faces.js";
import { identitiesOf, keepIdentity, keepName, lastName, newIdentity } from "./identities.js";
import { settings } from "./settings.js";
import { createSession, findSession } from "./vendor/client.js";

const TIME_TO_TYPE = 250;
const MOST_FACES = 5;
const NOT_FOUND = "No session with that code. Check it with whoever invited you.";

export class Start {
  #enter;
  #watch;
  #again = null;
  #found = null;
  #asked = 0;
  #typing = 0;

  // `enter(identity, options)` goes into a session, `watch(code)` shows it as a big screen does.
  constructor({ enter, watch }) {
    this.#enter = enter;
    find("join-watch").addEventListener("click", () => watch(typedCode(find("join-code").value)));
    const code = find("join-code");
    code.inputMode = settings.digits ? "numeric" : "text";
    code.placeholder = (settings.digits ? "1234567890" : "ABCDEFGHIJ").slice(0, settings.codeLength);
    code.addEventListener("input", () => this.#typed());
    this.#onSubmit("join", () => this.#join());
    this.#onSubmit("create", () => this.#create());
    const creating = (yes) => {
      find("start").classList.toggle("creating", yes);
      find(yes ? "create-title" : "join-code").focus();
    };
    find("create-open").addEventListener("click", () => creating(true));
    find("create-back").addEventListener("click", () => creating(false));
    // One name, whichever of the two forms it is written into.
    for (const field of document.querySelectorAll(".name-input")) {
      field.addEventListener("input", () => {
        for (const other of document.querySelectorAll(".name-input")) other.value = field.value;
      });
    }
  }

  // With a code one is invited. `ack`: why one could not get in; `enter(passcode)` tries that again with a passcode.
  show(code, ack = null, enter = null) {
    this.#again = enter;
    find("join-form").classList.toggle("observing", enter !== null);
    showInAddress(code);
    find("join-code").value = code;
    for (const field of document.querySelectorAll(".name-input")) field.value ||= lastName();
    for (const kind of ["join", "create"]) this.#fail(kind, "");
    find("start").classList.remove("creating");
    this.#invite(code !== "");
    const needsPasscode = ["passcode-required", "passcode-wrong"].includes(ack?.code);
    find("join-passcode-field").hidden = !needsPasscode;
    find("join-watch").hidden = ack?.code !== "session-full";
    if (!needsPasscode) find("join-passcode").value = "";
    this.#preview(null);
    if (ack) this.#fail("join", ack.message, ack);
    else if (code) find("join-name").focus();
    if (code) this.#look(code, ack !== null);
  }

  #invite(yes) {
    find("start").classList.toggle("invited", yes);
    say(find("start-heading"), yes ? "You're invited" : "Pick a movie together");
  }

  // A pasted link becomes its code; a whole code shows who is there.
  #typed() {
    const field = find("join-code");
    const code = typedCode(field.value);
    if (/[#/]/.test(field.value)) field.value = code;
    this.#fail("join", "");
    clearTimeout(this.#typing);
    this.#preview(null);
    if (isWhole(code)) this.#typing = setTimeout(() => this.#look(code), TIME_TO_TYPE);
  }

  async #look(code, isKnown = false) {
    const asked = ++this.#asked;
    const found = await findSession(code);
    if (asked !== this.#asked) return;
    if (found.ok) this.#preview(found, isKnown);
    else if (!isKnown) this.#fail("join", found.message, found);
  }

  #preview(found, isKnown = false) {
    this.#found = found;
    if (found === null) this.#asked++;
    const { movies = [], participants = [], createdAt } = found?.sessionData ?? {};
    const preview = find("join-preview");
    const faces = element("span", { className: "faces" }, ...participants.slice(0, MOST_FACES).map(face));
    preview.replaceChildren(...(participants.length > 0 ? [faces, sentence(participants, movies)] : []));
    const known = found && !isKnown ? identitiesOf(found.sessionID, createdAt) : [];
    find("join-as").hidden = known.length === 0;
    find("join-fields").hidden = known.length > 0;
    find("join-as").replaceChildren(...known.map((identity, index) => this.#continueAs(identity, index)));
    if (known.length === 0) return;
    const other = element("button", { type: "button", id: "join-other", textContent: "Join as someone else" });
    other.addEventListener("click", () => {
      find("join-as").hidden = true;
      find("join-fields").hidden = false;
      find("join-name").value = "";
      find("join-name").focus();
    });
    find("join-as").append(other);
    find("join-as").firstElementChild.focus();
  }

  #continueAs(identity, index) {
    const { participants } = this.#found.sessionData;
    const name = participants.find(({ id }) => id === identity.participantID)?.name ?? identity.name;
    const button = element("button", { type: "button", className: index === 0 ? "primary large" : "large" });
    button.append("Continue as ", element("bdi", { textContent: name || "yourself" }));
    button.addEventListener("click", () => this.#enter(identity, { ...(identity.name && { name: identity.name }) }));
    return button;
  }

  async #join() {
    const code = typedCode(find("join-code").value);
    const found = this.#found?.sessionID === code ? this.#found : await findSession(find("join-code").value);
    if (!found.ok) return this.#fail("join", found.message, found);
    const name = find("join-name").value.trim();
    const passcode = find("join-passcode").value;
    if (this.#again) return this.#again(passcode);
    keepName(name);
    this.#enter(newIdentity({ code: found.sessionID, createdAt: found.sessionData.createdAt, name }), {
      ...(name && { name }),
      ...(passcode && { passcode }),
    });
  }

  async #create() {
    const title = find("create-title").value.trim();
    const name = find("create-name").value.trim();
    const created = await createSession(title ? { title } : {});
    if (!created.ok) return this.#fail("create", created.message, created);
    const { sessionID, sessionData, hostToken } = created;
    keepName(name);
    const identity = newIdentity({ code: sessionID, createdAt: sessionData.createdAt, name, hostToken });
    keepIdentity(identity);
    this.#enter(identity, { ...(name && { name }) });
  }

  #onSubmit(kind, act) {
    find(`${kind}-form`).addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = find(`${kind}-button`);
      if (button.getAttribute("aria-disabled") === "true") return;
      this.#fail(kind, "");
      button.setAttribute("aria-disabled", "true");
      await act();
    });
  }

  #fail(kind, message, { code, field } = {}) {
    const [input, error, text] = placeOf(kind, message, code, field);
    for (const node of find(`${kind}-form`).querySelectorAll("[aria-invalid]")) node.removeAttribute("aria-invalid");
    for (const node of find(`${kind}-form`).querySelectorAll(".error")) node.hidden = true;
    find(`${kind}-button`).removeAttribute("aria-disabled");
    if (!message) return;
    // A wrong link leaves the code to be typed.
    if (input === find("join-code")) this.#invite(false);
    error.hidden = false;
    say(error, text);
    find("news").textContent = text;
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }
}

// Where a message belongs: the field it is about, the line below it, and what to say.
function placeOf(kind, message, code, field = "") {
  if (kind === "create") return [find(isName(message, field) ? "create-name" : "create-title"), find("create-error"), message];
  if (isName(message, field)) return [find("join-name"), find("join-error"), message];
  if (code === "passcode-required") return [find("join-passcode"), find("join-error"), "This session has a passcode."];
  if (code === "passcode-wrong") return [find("join-passcode"), find("join-error"), message];
  if (code === "session-not-found" || code === "session-id-required")
    return [find("join-code"), find("join-code-error"), code === "session-not-found" ? NOT_FOUND : "Type the code first."];
  return [find("join-name"), find("join-error"), message];
}

const isName = (message, field) => field === "name" || message.startsWith("Name ");

function sentence(participants, movies) {
  const verb = participants.length === 1 ? "is" : "are";
  const what = movies.length > 0 ? `rating ${plural(movies.length, "movie")}` : "here";
  return element("span", { textContent: `${namesOf(participants, 1)} ${verb} ${what}` });
}
