// What the host sets for everybody. A field that is being edited is not overwritten by what others see.

import { close, isOpen, open } from "./dialogs.js";
import { find } from "./dom.js";
import { refuse, tell } from "./notice.js";

export class HostControls {
  #room;
  #edited = new Set();

  constructor(room) {
    this.#room = room;
    for (const field of [find("host-title"), find("host-capacity")]) {
      field.addEventListener("input", () => this.#edited.add(field));
    }
    find("host-open").addEventListener("click", () => open("host"));
    find("host-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    find("host-lock").addEventListener("change", ({ target }) => this.#lock(target));
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
  }

  render() {
    const { isHost, meta } = this.#room;
    if (!isHost) for (const id of ["host", "ending"]) if (isOpen(id)) close(id);
    if (!isHost && document.activeElement === find("host-open")) find("room-heading").focus();
    find("host-open").hidden = !isHost;
    this.#fill(find("host-title"), meta.title ?? "");
    this.#fill(find("host-capacity"), String(meta.capacity));
    if (!this.#edited.has(find("host-lock"))) find("host-lock").checked = meta.locked;
  }

  #fill(field, value) {
    if (!this.#edited.has(field) && field.value !== value) field.value = value;
  }

  async #save() {
    const [title, capacity] = [find("host-title"), find("host-capacity")];
    const wanted = [title.value, capacity.value];
    const ack = await this.#room.change("update-session", {
      title: wanted[0].trim() || null,
      capacity: Number(wanted[1]),
    });
    refuse(ack);
    if (!ack?.ok) return;
    if (title.value === wanted[0]) this.#edited.delete(title);
    if (capacity.value === wanted[1]) this.#edited.delete(capacity);
    tell("Saved.");
  }

  async #lock(box) {
    this.#edited.add(box);
    const ack = await this.#room.change("update-session", { locked: box.checked }, { key: "lock" });
    this.#edited.delete(box);
    refuse(ack);
    if (this.#room.meta) this.render();
  }
}
