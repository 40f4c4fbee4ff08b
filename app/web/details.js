// The connection in numbers, for those who look.

import { element, find, say } from "./dom.js";

export function renderDetails(socket, { latency, meta }, state) {
  const { epoch, version, expiresAt } = meta ?? {};
  const rows = {
    State: state,
    Transport: socket.io.engine?.transport?.name ?? "none",
    Recovered: socket.recovered ? "yes" : "no",
    Epoch: epoch ?? "–",
    Version: version ?? "–",
    "Last answer": latency === null ? "–" : `${latency.toFixed(0)} ms`,
    Expires: expiresAt ? new Date(expiresAt).toLocaleTimeString() : "–",
  };
  const list = find("details-list");
  for (const [name, value] of Object.entries(rows)) {
    let shown = list.querySelector(`[data-name="${name}"]`);
    if (shown === null) {
      shown = element("dd");
      shown.dataset.name = name;
      list.append(element("dt", { textContent: name }), shown);
    }
    say(shown, String(value));
  }
}
