// Bun with Socket.IO on Bun's own engine. Environment: PORT, REDIS_PORT, COALESCING=1.
import { Server as Engine } from "@socket.io/bun-engine";
import { createAdapter } from "@socket.io/redis-adapter";
import { Server } from "socket.io";
import { Routes, Sessions, redis } from "../session.js";

const { PORT, COALESCING } = process.env;
const db = redis();
const routes = new Routes(db);
const io = new Server({ serveClient: false });
const engine = new Engine({ path: "/socket.io/" });
io.bind(engine);
io.adapter(createAdapter(redis(), redis()));
const sessions = new Sessions(db, io, COALESCING === "1");
io.on("connection", (socket) => sessions.connected(socket));

Bun.serve({
  ...engine.handler(),
  port: Number(PORT),
  hostname: "127.0.0.1",
  async fetch(request, server) {
    const { pathname } = new URL(request.url);
    if (pathname.startsWith("/socket.io/")) return engine.handleRequest(request, server);
    const name = pathname.slice("/api/session/".length);
    if (name !== "join" && name !== "create") return Response.json({ error: "Not found" }, { status: 404 });
    const [status, body] = await routes[name](await request.json().catch(() => ({})));
    return Response.json(body, { status });
  },
});
