/** 128 random bits. `crypto.randomUUID` is for secure contexts only, and a phone reaches a laptop by plain HTTP. */
export function randomID(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
