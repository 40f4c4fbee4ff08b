// Node with Socket.IO, its Redis adapter, and Express or plain node:http.
// Environment: PORT, REDIS_PORT, ROUTER=express|plain, STORE=json for the HTTP routes, COALESCING=1.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import express from "express";
import { Server } from "socket.io";
import { JsonRoutes } from "./json_routes.js";
import { Routes, Sessions, redis } from "./session.js";

const { PORT, ROUTER = "express", STORE, COALESCING } = process.env;
const db = redis();
const routes = STORE === "json" ? new JsonRoutes(db) : new Routes(db);
const http = createServer(ROUTER === "plain" ? plain : routed());
const io = new Server(http, { perMessageDeflate: false, serveClient: false });
io.adapter(createAdapter(redis(), redis()));
const sessions = new Sessions(db, io, COALESCING === "1");
io.on("connection", (socket) => sessions.connected(socket));
http.listen(Number(PORT), "127.0.0.1", 1024);

function routed() {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.use(express.json({ limit: "300kb" }));
  for (const name of ["join", "create"]) {
    app.post(`/api/session/${name}`, async (request, response) => {
      const [status, body] = await routes[name](request.body ?? {});
      response.status(status).json(body);
    });
  }
  return app;
}

function plain(request, response) {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", async () => {
    const name = request.url.slice("/api/session/".length);
    if (name !== "join" && name !== "create") return answer(response, 404, { error: "Not found" });
    let body;
    try {
      body = JSON.parse(Buffer.concat(pieces).toString() || "{}");
    } catch {
      return answer(response, 400, { error: "Not JSON" });
    }
    answer(response, ...(await routes[name](body)));
  });
}

function answer(response, status, body) {
  const text = JSON.stringify(body);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
  response.end(text);
}
