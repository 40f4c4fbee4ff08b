// "Try it": forms that send requests and events to the service that served this page.
"use strict";

// What earlier answers told, for the paths and tokens of later requests.
const known = {};
let socket;
let lastId = 0;
const waiting = new Map();
const heard = document.getElementById("heard");

function learn(answer) {
  // A new session: the participant's token is of another one.
  if (answer.hostToken && answer.sessionData) ["token", "participantID"].forEach((name) => delete known[name]);
  for (const name of ["sessionID", "hostToken", "token", "participantID"]) {
    if (typeof answer[name] === "string") known[name] = answer[name];
  }
}

// The recorded path, with what is known in it.
function pathOf({ path, target }) {
  const recorded = target.split("/");
  return path.split("/").map((part, at) => known[part.slice(1, -1)] || recorded[at]).join("/");
}

// A recorded body or list of arguments, with what is known in it.
function contentOf(example) {
  const content = JSON.parse(example, (name, value) => {
    if (name === "token" && value.startsWith("h.")) return known.hostToken || value;
    return (typeof value === "string" && known[name]) || value;
  });
  if (typeof content[0] === "string") content[0] = known.sessionID || content[0];
  return JSON.stringify(content, null, 2);
}

function field(form, label, value, kind) {
  const input = document.createElement(kind);
  input.value = value;
  input.spellcheck = false;
  if (kind === "textarea") input.rows = Math.min(12, value.split("\n").length + 1);
  const around = document.createElement("label");
  around.append(label, input);
  form.append(around);
  return input;
}

function open(article, details) {
  const form = document.createElement("form");
  const { method, event } = article.dataset;
  const target = method && field(form, "Path", pathOf(article.dataset), "input");
  const token = method && field(form, "Token", known.token || known.hostToken || "", "input");
  const example = article.querySelector("pre.sent");
  const body = example && field(form, event ? "Arguments" : "Body", contentOf(example.textContent), "textarea");
  const send = document.createElement("button");
  send.textContent = "Send";
  const output = document.createElement("pre");
  output.tabIndex = 0;
  output.setAttribute("role", "status");
  output.setAttribute("aria-label", "Answer");
  form.append(send, output);
  details.append(form);
  form.addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    try {
      output.textContent = method
        ? await request(method, target.value, token.value, body && body.value)
        : await emit(event, JSON.parse(body.value));
    } catch (error) {
      output.textContent = String(error);
    }
  });
}

async function request(method, target, token, body) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(target, { method, headers, body: body || undefined });
  const text = await response.text();
  const json = (response.headers.get("Content-Type") || "").startsWith("application/json") && text;
  if (json) learn(JSON.parse(text));
  return `${response.status} ${response.statusText}\n${json ? JSON.stringify(JSON.parse(text), null, 2) : text}`;
}

// One Socket.IO connection for all events, see https://socket.io/docs/v4/socket-io-protocol/.
function connected() {
  if (socket && socket.readyState <= WebSocket.OPEN) return socket.connected;
  const address = new URL("/socket.io/?EIO=4&transport=websocket", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.connected = new Promise((resolve, reject) => {
    socket.onclose = () => {
      reject(new Error("The connection is closed"));
      for (const answer of waiting.values()) answer("The connection is closed");
      waiting.clear();
    };
    socket.onmessage = ({ data }) => {
      if (data[0] === "0") socket.send("40");
      else if (data === "2") socket.send("3");
      else if (data.startsWith("40")) resolve();
      else packet(data);
    };
  });
  return socket.connected;
}

function packet(data) {
  const [, kind, id, json] = /^4(\d)(\d*)(.*)$/s.exec(data) || [];
  if (kind === "3") {
    const [ack] = JSON.parse(json);
    learn(ack);
    waiting.get(id)(JSON.stringify(ack, null, 2));
    waiting.delete(id);
  } else if (kind === "2") {
    const [event, ...args] = JSON.parse(json);
    heard.textContent = `${event} ${JSON.stringify(args, null, 2)}\n${heard.textContent}`.slice(0, 50000);
  }
}

async function emit(event, args) {
  await connected();
  const id = String(++lastId);
  socket.send(`42${id}${JSON.stringify([event, ...args])}`);
  return new Promise((resolve) => waiting.set(id, resolve));
}

for (const article of document.querySelectorAll("article[data-method], article[data-event]")) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.textContent = "Try it";
  details.append(summary);
  details.addEventListener("toggle", () => {
    details.querySelectorAll("form").forEach((form) => form.remove());
    if (details.open) open(article, details);
  });
  article.append(details);
}
for (const snippet of document.querySelectorAll("pre.curl")) {
  snippet.textContent = snippet.textContent.replace("http://localhost:8080", location.origin);
}
document.getElementById("hearing").hidden = false;
