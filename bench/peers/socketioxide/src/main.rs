//! socketioxide with axum, one thread. Environment: PORT, REDIS_PORT, COALESCING=1.
mod session;

use axum::extract::State as RouteState;
use axum::{http::StatusCode, routing::post, Json, Router};
use serde_json::{json, Value};
use session::{created, is_code, key, new_id, snapshot, Fields, Snapshot, GONE, JOIN, VOTE};
use socketioxide::adapter::Adapter;
use socketioxide::extract::{AckSender, Data, Extension, MaybeExtension, SocketRef, State};
use socketioxide::SocketIo;
use socketioxide_redis::drivers::redis::RedisDriver;
use socketioxide_redis::{RedisAdapter, RedisAdapterConfig, RedisAdapterCtr};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FOUND: &str = "Session found. You can now connect via WebSocket.";

#[derive(Clone)]
struct Sessions {
    db: redis::aio::MultiplexedConnection,
    coalescing: bool,
    scripts: Arc<Scripts>,
    rooms: Arc<Mutex<HashMap<String, Room>>>,
}

struct Scripts {
    join: redis::Script,
    gone: redis::Script,
    vote: redis::Script,
}

struct Room {
    next: Instant,
    busy: bool,
    wanted: u64,
}

#[derive(Clone)]
struct Member {
    code: String,
    id: String,
}

impl Sessions {
    async fn run(&self, script: &redis::Script, code: &str, values: &[&str]) -> Option<Fields> {
        let mut call = script.key(key(code));
        call.key(format!("{}:votes", key(code))).arg(if self.coalescing { "1" } else { "0" });
        for value in values {
            call.arg(*value);
        }
        call.invoke_async(&mut self.db.clone()).await.unwrap_or(None)
    }

    async fn fields(&self, code: &str) -> Fields {
        redis::cmd("HGETALL").arg(key(code)).query_async(&mut self.db.clone()).await.unwrap_or_default()
    }

    async fn committed<A: Adapter>(&self, io: &SocketIo<A>, code: &str, reply: Fields) -> u64 {
        if !self.coalescing {
            let seen = snapshot(code, &reply);
            let version = seen.version;
            send(io, code, seen).await;
            return version;
        }
        let version: u64 = reply[0].1.parse().unwrap();
        if self.begins(code, version) {
            tokio::spawn(self.clone().flush(io.clone(), code.to_string()));
        }
        version
    }

    /// Whether nobody sends the changes of this room yet.
    fn begins(&self, code: &str, version: u64) -> bool {
        let mut rooms = self.rooms.lock().unwrap();
        let new = || Room { next: Instant::now(), busy: false, wanted: 0 };
        let room = rooms.entry(code.to_string()).or_insert_with(new);
        room.wanted = room.wanted.max(version);
        !std::mem::replace(&mut room.busy, true)
    }

    async fn flush<A: Adapter>(self, io: SocketIo<A>, code: String) {
        loop {
            let next = self.rooms.lock().unwrap()[&code].next;
            tokio::time::sleep_until(next.into()).await;
            let fields = self.fields(&code).await;
            if fields.is_empty() {
                return;
            }
            let seen = snapshot(&code, &fields);
            let sent = seen.version;
            // About the bytes of the snapshot, times its members.
            let shown = ["participants", "movies", "movies"].map(|key| seen.data[key].as_array().unwrap().len());
            let bytes = shown.iter().sum::<usize>() * 120 * io.to(code.clone()).sockets().len();
            send(&io, &code, seen).await;
            let mut rooms = self.rooms.lock().unwrap();
            let room = rooms.get_mut(&code).unwrap();
            room.next = Instant::now() + Duration::from_millis((bytes as u64 / 50_000).clamp(50, 2000));
            if room.wanted <= sent {
                room.busy = false;
                return;
            }
        }
    }
}

async fn send<A: Adapter>(io: &SocketIo<A>, code: &str, seen: Snapshot) {
    io.to(code.to_string()).emit("session-update", &(seen.data, seen.meta, seen.offset)).await.ok();
}

async fn connected<A: Adapter>(socket: SocketRef<A>) {
    socket.on("join-session", joined);
    socket.on("vote", voted);
    socket.on_disconnect(gone);
}

async fn joined<A: Adapter>(
    socket: SocketRef<A>,
    io: SocketIo<A>,
    Data(code): Data<String>,
    ack: AckSender<A>,
    State(sessions): State<Sessions>,
) {
    let id = new_id();
    socket.join(code.clone());
    let reply = if is_code(&code) { sessions.run(&sessions.scripts.join, &code, &[&id]).await } else { None };
    let Some(reply) = reply else {
        socket.leave(code);
        socket.emit("error", &json!({"error": "Session not found"})).ok();
        return;
    };
    socket.extensions.insert(Member { code: code.clone(), id: id.clone() });
    socket.emit("joined-session", &json!({"sessionID": code})).ok();
    let version = sessions.committed(&io, &code, reply).await;
    ack.send(&json!({"ok": true, "version": version, "participantID": id})).ok();
}

async fn voted<A: Adapter>(
    io: SocketIo<A>,
    Data(vote): Data<Value>,
    ack: AckSender<A>,
    Extension(me): Extension<Member>,
    State(sessions): State<Sessions>,
) {
    let reply = match (vote["movieID"].as_str(), vote["rating"].as_u64()) {
        (Some(movie), Some(rating)) => {
            sessions.run(&sessions.scripts.vote, &me.code, &[&me.id, movie, &rating.to_string()]).await
        }
        _ => None,
    };
    let answer = match reply {
        Some(reply) => json!({"ok": true, "version": sessions.committed(&io, &me.code, reply).await}),
        None => json!({"ok": false}),
    };
    ack.send(&answer).ok();
}

async fn gone<A: Adapter>(
    io: SocketIo<A>,
    MaybeExtension(me): MaybeExtension<Member>,
    State(sessions): State<Sessions>,
) {
    let Some(me) = me else { return };
    if let Some(reply) = sessions.run(&sessions.scripts.gone, &me.code, &[&me.id]).await {
        sessions.committed(&io, &me.code, reply).await;
    }
}

async fn join(RouteState(sessions): RouteState<Sessions>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let code = body["sessionID"].as_str().unwrap_or_default();
    if !is_code(code) {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "sessionID is required"})));
    }
    let fields = sessions.fields(code).await;
    if fields.is_empty() {
        return (StatusCode::NOT_FOUND, Json(json!({"error": "Session not found"})));
    }
    let data = snapshot(code, &fields).data;
    (StatusCode::OK, Json(json!({"sessionID": code, "message": FOUND, "sessionData": data})))
}

async fn create(RouteState(sessions): RouteState<Sessions>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut db = sessions.db.clone();
    loop {
        let code = (100_000 + RandomState::new().build_hasher().finish() % 900_000).to_string();
        let taken: bool = redis::cmd("EXISTS").arg(key(&code)).query_async(&mut db).await.unwrap();
        if !taken {
            let _: () = redis::cmd("HSET").arg(key(&code)).arg(created(&body)).query_async(&mut db).await.unwrap();
            return (StatusCode::CREATED, Json(json!({"sessionID": code, "hostToken": "-"})));
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = |name: &str| std::env::var(name).unwrap().parse::<u16>().unwrap();
    let url = format!("redis://127.0.0.1:{}?protocol=resp3", port("REDIS_PORT"));
    let client = redis::Client::open(url).unwrap();
    let driver = RedisDriver::new(&client).await.unwrap();
    let adapter = RedisAdapterCtr::new_with_driver(driver, RedisAdapterConfig::new());
    let scripts =
        Scripts { join: redis::Script::new(JOIN), gone: redis::Script::new(GONE), vote: redis::Script::new(VOTE) };
    let sessions = Sessions {
        db: client.get_multiplexed_async_connection().await.unwrap(),
        coalescing: std::env::var("COALESCING").is_ok(),
        scripts: Arc::new(scripts),
        rooms: Arc::default(),
    };
    let (layer, io) = SocketIo::builder()
        .max_buffer_size(4096)
        .with_state(sessions.clone())
        .with_adapter::<RedisAdapter<_>>(adapter)
        .build_layer();
    io.ns("/", connected).await.unwrap();
    let routes = Router::new().route("/api/session/join", post(join)).route("/api/session/create", post(create));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port("PORT"))).await.unwrap();
    axum::serve(listener, routes.with_state(sessions).layer(layer)).await.unwrap();
}
