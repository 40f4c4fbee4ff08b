// Runs the compiled seed flow as the page at an address would, and prints what came of it as one line of JSON.
//   node seed-run.mjs ADDRESS[,ADDRESS] SESSION_ID [polling|websocket|default] [UPDATES]
// The second address is that of the socket, where it is another one, as behind a load balancer.
// {"resolved": sessionData, "events": [[name, ...args], ...]} after UPDATES (1) session-update events, or {"rejected": message}
import { Manager } from "socket.io-client";

const [addresses, sessionID, transport = "default", updates = "1"] = process.argv.slice(2);
const [address, socketAddress = address] = addresses.split(",");

// What a page has by its own address: relative URLs, and io() without an argument.
const bareFetch = globalThis.fetch;
globalThis.fetch = (path, init) => bareFetch(new URL(path, address), init);
globalThis.location = new URL(socketAddress);
// The flow gives io() no options, so what it connects by is narrowed below it.
const { open } = Manager.prototype;
Manager.prototype.open = function (callback) {
  if (transport !== "default") this.opts.transports = [transport];
  return open.call(this, callback);
};
// Standard output is for the result.
console.log = console.error;

const finish = (result) => process.stdout.write(JSON.stringify(result) + "\n", () => process.exit(0));

const { joinSession } = await import("./build/seed-flow.js");
try {
  const { socket, sessionData } = await joinSession(sessionID);
  const events = [];
  const isUpdate = ([name]) => name === "session-update";
  socket.onAny((...event) => {
    events.push(event);
    if (events.filter(isUpdate).length < Number(updates)) return;
    finish({ resolved: sessionData, events, transport: socket.io.engine.transport.name });
  });
} catch (error) {
  finish({ rejected: error.message });
}
