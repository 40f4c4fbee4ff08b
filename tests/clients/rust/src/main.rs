//! Joins a session and prints what it hears: `reconnect ADDRESS CODE`.

use rust_socketio::{ClientBuilder, Event, Payload, RawClient};
use serde_json::{json, Value};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(5);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (address, code) = (arguments.next().unwrap(), arguments.next().unwrap());
    let me = Arc::new(Mutex::new(json!({"sessionID": code, "name": "Ada"})));
    let _socket = ClientBuilder::new(address)
        .on(Event::Connect, move |_, socket| {
            let (joining, kept) = (me.lock().unwrap().clone(), me.clone());
            socket.emit_with_ack("join-session", joining, WAIT, move |ack, _| keep_token(ack, &kept)).unwrap();
        })
        .on("joined-session", |_: Payload, _: RawClient| println!("joined"))
        .on("session-update", |update: Payload, _: RawClient| println!("title {}", title_of(update)))
        .connect()
        .unwrap();
    loop {
        std::thread::park();
    }
}

fn keep_token(ack: Payload, me: &Mutex<Value>) {
    if let Payload::Text(arguments) = ack {
        // The arguments of an acknowledgement come as one array.
        if let Some(token) = arguments[0][0].get("token") {
            me.lock().unwrap()["token"] = token.clone();
        }
    }
}

fn title_of(update: Payload) -> Value {
    match update {
        Payload::Text(arguments) => arguments[1]["title"].clone(),
        _ => Value::Null,
    }
}
