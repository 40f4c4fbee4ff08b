// The store's clock, by which sessions are decided, as far as this browser knows it.

let ahead = 0;

export function setClock(now) {
  if (now !== undefined && now !== null) ahead = new Date(now).getTime() - Date.now();
}

export const secondsUntil = (time) => Math.max(0, Math.ceil((new Date(time).getTime() - Date.now() - ahead) / 1000));

// 0:42, 12:05, 1:02:03.
export function clockText(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}
