// Joins a session and prints what it hears: `reconnect.mjs ADDRESS CODE`. This client is one of those without recovery.
import { io } from "socket.io-client-4.5";

const [address, sessionID] = process.argv.slice(2);
const socket = io(address);
let token;

socket.on("connect", () => {
  socket.emit("join-session", { sessionID, name: "Ada", token }, (ack) => (token = ack.token ?? token));
});

socket.on("joined-session", () => console.log("joined"));
socket.on("session-update", (data, meta) => console.log("title", meta.title));
