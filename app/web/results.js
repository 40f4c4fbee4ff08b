// How a session of this tab ended, so that a reload shows it again: the service forgets a session with its end.

import { tab } from "./storage.js";

const KEY = "join-session:result";

export const keepResult = (result) => tab.write(KEY, result);
export const forgetResult = () => tab.remove(KEY);

// {code, reason, data, meta} of the session with this code, or null.
export function resultOf(code) {
  const kept = tab.read(KEY, null);
  return kept?.code === code ? kept : null;
}
