// The HTTP routes with a session as one JSON text in Redis: the least that a join can do.
import { randomInt } from "node:crypto";
import { isCode } from "./session.js";

const FOUND = "Session found. You can now connect via WebSocket.";

export class JsonRoutes {
  constructor(db) {
    this.db = db;
  }

  async create({ movies = [] }) {
    const session = { createdAt: new Date().toISOString(), movies, participants: [] };
    let code;
    do code = String(randomInt(100_000, 1_000_000));
    while (!(await this.db.set(`session:${code}`, JSON.stringify(session), "NX")));
    return [201, { sessionID: code, hostToken: "-" }];
  }

  async join({ sessionID }) {
    if (!isCode(sessionID)) return [400, { error: "sessionID is required" }];
    const text = await this.db.get(`session:${sessionID}`);
    if (!text) return [404, { error: "Session not found" }];
    return [200, { sessionID, message: FOUND, sessionData: JSON.parse(text) }];
  }
}
