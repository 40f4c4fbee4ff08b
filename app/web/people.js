// Who is there, who is away, who is host; and what the host can do with somebody.

import { element, find, keyed, say } from "./dom.js";
import { ticketOf } from "./tickets.js";

export class People {
  #room;
  #managed = null;
  // Those who are not in the updates of a large session, as of when they were asked for.
  #others = [];

  constructor(room) {
    this.#room = room;
    const dialog = find("manage");
    const acting = (button, event, more) =>
      find(button).addEventListener("click", async () => {
        dialog.close();
        room.refuse(await room.change(event, { participantID: this.#managed, ...more }));
      });
    acting("manage-host", "transfer-host");
    acting("manage-kick", "kick-participant");
    acting("manage-ban", "kick-participant", { ban: true });
    find("manage-cancel").addEventListener("click", () => dialog.close());
    find("people-all").addEventListener("click", () => this.#readOthers());
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
    const stays = isHost && participants.some((person) => person.id === this.#managed);
    if (find("manage").open && !stays) find("manage").close();
  }

  #participants() {
    const { participants } = this.#room.data;
    const listed = new Set(participants.map(({ id }) => id));
    return [...participants, ...this.#others.filter(({ id }) => !listed.has(id))];
  }

  async #readOthers() {
    const { code } = this.#room;
    const headers = { Authorization: `Bearer ${ticketOf(code)}` };
    const people = [];
    try {
      for (let cursor = "0"; cursor !== null; ) {
        const response = await fetch(`/api/session/${code}/participants?cursor=${cursor}`, { headers });
        const page = await response.json();
        if (!response.ok) throw new Error(page.message);
        people.push(...page.participants);
        cursor = page.next;
      }
    } catch (error) {
      this.#room.tell(`The list could not be read: ${error.message}`);
      return;
    }
    if (this.#room.code !== code) return;
    this.#others = people;
    this.render();
  }

  #make(person) {
    const face = element("span", { className: "face" });
    face.setAttribute("aria-hidden", "true");
    face.style.setProperty("--hue", String(hueOf(person.id)));
    const manage = element(
      "button",
      { type: "button", className: "quiet manage" },
      "Manage",
      element("span", { className: "hidden" }),
    );
    manage.addEventListener("click", () => this.#manage(person.id));
    return element(
      "li",
      {},
      face,
      element(
        "p",
        { className: "who" },
        element("bdi", { className: "person" }),
        element("span", { className: "dim you" }),
      ),
      element("span", { className: "badge host", textContent: "Host" }),
      element("span", { className: "badge away", textContent: "Away" }),
      manage,
    );
  }

  #update(node, person) {
    const { participantID, isHost } = this.#room;
    const mine = person.id === participantID;
    say(node.querySelector(".face"), initialsOf(person.name));
    say(node.querySelector(".person"), person.name);
    say(node.querySelector(".you"), mine ? " (you)" : "");
    node.querySelector(".badge.host").hidden = person.role !== "host";
    node.querySelector(".badge.away").hidden = person.connected;
    node.classList.toggle("gone", !person.connected);
    const manage = node.querySelector(".manage");
    manage.hidden = !isHost || mine;
    say(manage.lastChild, ` ${person.name}`);
  }

  #manage(participantID) {
    this.#managed = participantID;
    const person = this.#participants().find(({ id }) => id === participantID);
    if (person === undefined) return;
    say(find("manage-heading"), person.name);
    find("manage").showModal();
  }
}

function initialsOf(name) {
  const [first] = new Intl.Segmenter().segment(name.trim());
  return first?.segment.toUpperCase() ?? "?";
}

function hueOf(id) {
  let hue = 0;
  for (const character of id) hue = (hue * 31 + character.codePointAt(0)) % 360;
  return hue;
}
