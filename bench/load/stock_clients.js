// Stock Socket.IO clients with the default transports (polling, then an upgrade) that connect, join and leave.
// Arguments: URL, file of session codes, number of joins, how many at a time. Prints "begin", "end" and one line of JSON.
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { io } from "socket.io-client";

const [url, file, count, concurrent] = process.argv.slice(2);
const codes = readFileSync(file, "utf8").trim().split("\n").map((line) => line.split(" ")[0]);
const times = [];
let next = 0;
let failed = 0;

function join(code) {
  return new Promise((resolve) => {
    const began = performance.now();
    const socket = io(url, { forceNew: true, reconnection: false });
    const done = (ok) => {
      clearTimeout(timer);
      if (ok) times.push(performance.now() - began);
      else failed += 1;
      socket.once("disconnect", resolve);
      if (socket.connected) socket.disconnect();
      else resolve();
    };
    const timer = setTimeout(done, 10_000, false);
    socket.on("connect_error", () => done(false));
    socket.on("connect", () => socket.emit("join-session", code, (ack) => done(ack.ok)));
  });
}

async function work() {
  while (next < Number(count)) await join(codes[next++ % codes.length]);
}

console.log("begin");
const began = performance.now();
await Promise.all(Array.from({ length: Number(concurrent) }, work));
const seconds = (performance.now() - began) / 1000;
console.log("end");
times.sort((a, b) => a - b);
const quantile = (q) => times[Math.floor((times.length - 1) * q)] ?? 0;
console.log(JSON.stringify({ done: times.length, failed, seconds, p50_ms: quantile(0.5), p99_ms: quantile(0.99) }));
process.exit(0);
