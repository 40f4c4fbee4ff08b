// Times until something.

export const secondsUntil = (time, now) => Math.max(0, Math.ceil((new Date(time).getTime() - now) / 1000));

// 0:42, 12:05, 1:02:03.
export function clockText(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}
