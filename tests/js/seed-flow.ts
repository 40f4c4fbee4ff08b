// The whole flow as a page writes it. No URL is needed: the page and the API share an origin.
import { io } from "socket.io-client";

export async function joinSession(sessionID: string) {
  // Step 1: validate the session
  const response = await fetch("/api/session/join", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ sessionID }),
  });

  const data = await response.json();

  if (!response.ok) {
    throw new Error(data.message);
  }

  // Step 2: connect to the WebSocket
  const socket = io();

  // Step 3: join the session
  socket.emit("join-session", sessionID);

  // Step 4: listen for what happens in it
  socket.on("joined-session", (data) => {
    console.log("Joined session:", data.sessionID);
  });

  socket.on("session-update", (data) => {
    console.log("Session updated:", data);
  });

  socket.on("error", (error) => {
    console.error("Socket error:", error.message);
  });

  return { socket, sessionData: data.sessionData };
}
