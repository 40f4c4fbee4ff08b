// What lets this tab be the same person again after a reload: one token for each session, another one for who created it,
// and the name given last.

const KEY = "join-session:";

export const ticketOf = (code) => sessionStorage.getItem(KEY + code);
export const keepTicket = (code, token) => sessionStorage.setItem(KEY + code, token);
export const dropTicket = (code) => sessionStorage.removeItem(KEY + code);

const hostKey = (code) => `${KEY}host:${code}`;
export const hostTicketOf = (code) => sessionStorage.getItem(hostKey(code));
export const keepHostTicket = (code, token) => sessionStorage.setItem(hostKey(code), token);
export const dropHostTicket = (code) => sessionStorage.removeItem(hostKey(code));

export const lastName = () => sessionStorage.getItem(`${KEY}name`) ?? "";
export const keepName = (name) => sessionStorage.setItem(`${KEY}name`, name);

// `crypto.randomUUID` is for secure contexts only, and a phone reaches a laptop by plain HTTP.
export function randomID() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
