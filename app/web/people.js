// Who is there, who is away, who is host, who has rated everything; one's own name, and what the host can do with others.

import { close, isOpen, open } from "./dialogs.js";
import { element, find, keyed, say } from "./dom.js";
import { face, showFace } from "./faces.js";
import { refuse, tell } from "./notice.js";
import { request } from "./vendor/client.js";

const DONE = "Done";

// Until all are rated, how many are rated is known only where the ranking is hidden.
function ratedText(rated, movies) {
  if (!rated || movies === 0) return "";
  return rated === movies ? DONE : `${rated} of ${movies} rated`;
}

export class People {
  #room;
  #managed = null;
  // Those who are not in the updates of a large session, as of when they were asked for.
  #others = [];

  constructor(room) {
    this.#room = room;
    const acting = (button, event, more) =>
      find(button).addEventListener("click", async () => {
        close("manage");
        refuse(await room.change(event, { participantID: this.#managed, ...more }));
      });
    acting("manage-host", "transfer-host");
    acting("manage-kick", "kick-participant");
    acting("manage-ban", "kick-participant", { ban: true });
    find("people-all").addEventListener("click", () => this.#readOthers());
    find("renaming-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#rename();
    });
  }

  forget() {
    this.#others = [];
  }

  render() {
    const { data, meta, isHost } = this.#room;
    const listed = data.participants.length;
    // The version before does not count them.
    const all = meta.people ?? listed;
    say(find("people-count"), `${all} of ${meta.capacity}`);
    say(find("tab-people-count"), String(all));
    find("people-all").hidden = all === listed;
    if (all === listed) this.forget();
    say(find("people-all"), this.#others.length > 0 ? "Read the list again" : `Show all ${all}`);
    const participants = this.#participants();
    keyed(
      find("people"),
      participants,
      (person) => this.#make(person),
      (node, person) => this.#update(node, person),
      find("people-heading"),
    );
    find("people").classList.toggle("managed", isHost);
    const stays = isHost && participants.some((person) => person.id === this.#managed);
    if (isOpen("manage") && !stays) close("manage");
  }

  #participants() {
    const { participants } = this.#room.data;
    const listed = new Set(participants.map(({ id }) => id));
    return [...participants, ...this.#others.filter(({ id }) => !listed.has(id))];
  }

  async #readOthers() {
    const { code: sessionID, token } = this.#room;
    const people = [];
    for (let cursor = "0"; cursor !== null; ) {
      const route = "GET /api/session/{sessionID}/participants";
      const page = await request(route, { params: { sessionID }, query: { cursor }, token });
      if (!page.ok) return tell(`The list could not be read: ${page.message}`);
      people.push(...page.participants);
      cursor = page.next;
    }
    if (this.#room.code !== sessionID) return;
    this.#others = people;
    this.render();
  }

  #make(person) {
    const manage = element(
      "button",
      { type: "button", className: "quiet manage" },
      element("span", { className: "dots" }),
      element("span", { className: "hidden" }),
    );
    manage.addEventListener("click", () => this.#manage(person.id));
    return element(
      "li",
      {},
      face(person),
      element(
        "p",
        { className: "who" },
        element("bdi", { className: "person" }),
        element("span", { className: "dim small role" }),
      ),
      manage,
    );
  }

  #update(node, person) {
    const { participantID, isHost, data } = this.#room;
    const mine = person.id === participantID;
    showFace(node.querySelector(".face"), person);
    say(node.querySelector(".person"), mine ? `${person.name} (you)` : person.name);
    const roles = [
      person.role === "host" && "Host",
      !person.connected && "Away",
      ratedText(person.rated, data.movies.length),
    ].filter(Boolean);
    say(node.querySelector(".role"), roles.join(" · "));
    node.classList.toggle("away", !person.connected);
    node.classList.toggle("done", roles.includes(DONE));
    const manage = node.querySelector(".manage");
    manage.hidden = !isHost && !mine;
    say(manage.lastChild, mine ? "Change your name" : `Manage ${person.name}`);
  }

  #manage(participantID) {
    this.#managed = participantID;
    const person = this.#participants().find(({ id }) => id === participantID);
    if (person === undefined) return;
    if (participantID === this.#room.participantID) {
      find("renaming-name").value = person.name;
      this.#fail("");
      open("renaming");
      return find("renaming-name").select();
    }
    say(find("manage-heading"), person.name);
    open("manage");
  }

  async #rename() {
    const outcome = await this.#room.rename(find("renaming-name").value.trim());
    if (outcome.ok) close("renaming");
    else this.#fail(outcome.message);
  }

  #fail(message) {
    find("renaming-error").hidden = message === "";
    say(find("renaming-error"), message);
  }
}
