// What the host sets for everybody. A field that is being edited is not overwritten by what others see.

import { close, isOpen, open } from "./dialogs.js";
import { element, find, say } from "./dom.js";
import { refuse, tell } from "./notice.js";

const MINUTES = [1, 2, 5, 10, 15, 30, 60];

export class HostControls {
  #room;
  #edited = new Set();

  constructor(room) {
    this.#room = room;
    for (const field of [find("host-title"), find("host-capacity")]) {
      field.addEventListener("input", () => this.#edited.add(field));
    }
    find("host-time").append(
      element("option", { value: "", textContent: "No time limit" }),
      ...MINUTES.map((minutes) => element("option", { value: String(60 * minutes), textContent: `In ${minutes} min` })),
    );
    find("host-open").addEventListener("click", () => open("host"));
    find("host-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    find("host-passcode-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#setPasscode(find("host-passcode").value || null);
    });
    find("host-passcode-off").addEventListener("click", () => this.#setPasscode(null));
    const setting = (id, change) => find(id).addEventListener("change", ({ target }) => this.#set(target, change(target)));
    setting("host-lock", ({ checked }) => ({ locked: checked }));
    setting("host-when", ({ value }) => ({ decideWhen: value }));
    setting("host-time", ({ value }) => ({ decideInSeconds: value ? Number(value) : null }));
    setting("host-reveal", ({ checked }) => ({ reveal: checked ? "decided" : "live" }));
    find("host-renew").addEventListener("click", async () => {
      const outcome = await room.change("rotate-host-token");
      refuse(outcome);
      if (outcome.ok) tell("The key is renewed. The one of before is void.");
    });
    find("host-end").addEventListener("click", () => {
      close("host");
      open("ending");
    });
    find("ending-yes").addEventListener("click", async () => {
      close("ending");
      refuse(await room.change("end-session"));
    });
  }

  forget() {
    this.#edited.clear();
    find("host-passcode").value = "";
  }

  render() {
    const { isHost, meta, hostToken } = this.#room;
    if (!isHost) for (const id of ["host", "ending", "deciding", "again"]) if (isOpen(id)) close(id);
    if (!isHost && document.activeElement === find("host-open")) find("room-heading").focus();
    find("host-open").hidden = !isHost;
    // Who was made host has none.
    find("host-key").hidden = !hostToken;
    this.#fill("host-title", "value", meta.title ?? "");
    this.#fill("host-capacity", "value", String(meta.capacity));
    this.#fill("host-lock", "checked", meta.locked);
    // A replica of the version before does not know them.
    find("host-deciding").hidden = meta.phase === undefined;
    this.#fill("host-when", "value", meta.decideWhen ?? "host");
    this.#fill("host-reveal", "checked", meta.reveal === "decided");
    this.#showTime(meta.decideAt);
  }

  #showTime(decideAt) {
    const select = find("host-time");
    let set = select.querySelector("[data-set]");
    if (!decideAt) set?.remove();
    else if (!set) select.prepend((set = element("option", { value: "set" })));
    if (!decideAt) return this.#fill("host-time", "value", "");
    set.dataset.set = "";
    const time = new Date(decideAt).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    say(set, `At ${time}`);
    this.#fill("host-time", "value", "set");
  }

  #fill(id, property, value) {
    const field = find(id);
    if (!this.#edited.has(field) && field[property] !== value) field[property] = value;
  }

  async #save() {
    const [title, capacity] = [find("host-title"), find("host-capacity")];
    const wanted = [title.value, capacity.value];
    const ack = await this.#room.change("update-session", {
      title: wanted[0].trim() || null,
      capacity: Number(wanted[1]),
    });
    refuse(ack);
    if (!ack.ok) return;
    if (title.value === wanted[0]) this.#edited.delete(title);
    if (capacity.value === wanted[1]) this.#edited.delete(capacity);
    tell("Saved.");
  }

  // Sent at once; what was refused is shown as it is.
  async #set(field, change) {
    if (field.value === "set") return;
    this.#edited.add(field);
    const ack = await this.#room.change("update-session", change, { key: field.id });
    this.#edited.delete(field);
    refuse(ack);
    if (this.#room.meta) this.render();
  }

  async #setPasscode(passcode) {
    const ack = await this.#room.change("update-session", { passcode });
    refuse(ack);
    if (!ack.ok) return;
    find("host-passcode").value = "";
    tell(passcode ? "Newcomers need the passcode now." : "The passcode is removed.");
  }
}
