// Runs snippets of the page of the API: `snippets.mjs ADDRESS`, with [{sessionID, token, on: [...], emit}] as standard input.
// A socket joins with the token, unless the snippet joins. Prints a line of JSON for each: the acknowledgement, and how much
// the others have told.
import { text } from "node:stream/consumers";
import { io } from "socket.io-client";

for (const { sessionID, token, on, emit } of JSON.parse(await text(process.stdin))) {
  const socket = io(process.argv[2], { forceNew: true, transports: ["websocket"] });
  if (!emit.includes("join-session")) await socket.emitWithAck("join-session", { sessionID, token });
  let told = 0;
  for (const snippet of on) new Function("socket", "console", snippet)(socket, { log: () => told++ });
  const ack = await new Promise((log) => new Function("socket", "console", emit)(socket, { log }));
  await socket.emitWithAck("join-session", { sessionID, token });
  console.log(JSON.stringify({ ack, told }));
  socket.disconnect();
}
