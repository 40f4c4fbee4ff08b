//! What is kept of a session in Redis, and what its members see of it.
use serde_json::{json, Map, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

pub const JOIN: &str = concat!(include_str!("../../scripts/_prelude.lua"), include_str!("../../scripts/join.lua"));
pub const GONE: &str = concat!(include_str!("../../scripts/_prelude.lua"), include_str!("../../scripts/gone.lua"));
pub const VOTE: &str = concat!(include_str!("../../scripts/_prelude.lua"), include_str!("../../scripts/vote.lua"));

const LIFETIME: u64 = 7_200_000;
const LISTED_PARTICIPANTS: usize = 200;

pub type Fields = Vec<(String, String)>;

pub struct Snapshot {
    pub data: Value,
    pub meta: Value,
    pub offset: String,
    pub version: u64,
}

struct Movie {
    order: u64,
    compatibility: u64,
    vetoes: u64,
    count: u64,
    shown: Map<String, Value>,
}

pub fn key(code: &str) -> String {
    format!("s:{{{code}}}")
}

pub fn is_code(code: &str) -> bool {
    code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit())
}

pub fn new_id() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{:08x}{:08x}", now() as u32, NUMBER.fetch_add(1, Ordering::Relaxed) as u32 ^ 0x5bd1_e995)
}

/// The fields of a new session.
pub fn created(body: &Value) -> Fields {
    let now = now();
    let capacity = body["capacity"].as_u64().unwrap_or(100);
    let mut fields = vec![
        ("created".into(), now.to_string()),
        ("epoch".into(), new_id()),
        ("version".into(), "1".into()),
        ("capacity".into(), capacity.to_string()),
        ("order".into(), "0".into()),
    ];
    for (index, movie) in body["movies"].as_array().into_iter().flatten().enumerate() {
        let mut details = movie.as_object().unwrap().clone();
        let id = details.shift_remove("id").unwrap();
        let entry = format!("{index}|{now}|{}", Value::Object(details));
        fields.push((format!("m:{}", id.as_str().unwrap()), entry));
        fields.push((format!("t:{index}"), "0 0 0".into()));
    }
    fields
}

pub fn snapshot(code: &str, fields: &Fields) -> Snapshot {
    let known: HashMap<&str, &str> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut people: Vec<(u64, Value)> = vec![];
    let mut movies: Vec<Movie> = vec![];
    for (name, value) in fields {
        if let Some(id) = name.strip_prefix("p:") {
            people.push(participant(id, value, &known));
        } else if let Some(id) = name.strip_prefix("m:") {
            movies.push(movie(id, value, &known));
        }
    }
    people.sort_by_key(|(order, _)| *order);
    movies.sort_by_key(|movie| movie.order);
    rank(&mut movies);
    let version: u64 = known["version"].parse().unwrap();
    let capacity: u64 = known["capacity"].parse().unwrap();
    let epoch = known["epoch"];
    let count = people.len();
    let data = json!({
        "createdAt": time(known["created"].parse().unwrap()),
        "movies": movies.into_iter().map(|movie| Value::Object(movie.shown)).collect::<Vec<_>>(),
        "participants": people.into_iter().take(LISTED_PARTICIPANTS).map(|(_, shown)| shown).collect::<Vec<_>>(),
    });
    let meta = json!({
        "sessionID": code, "epoch": epoch, "version": version, "title": null, "locked": false, "capacity": capacity,
        "people": count, "expiresAt": time(now() + LIFETIME),
    });
    Snapshot { data, meta, offset: format!("{epoch}-{version}"), version }
}

fn participant(id: &str, value: &str, known: &HashMap<&str, &str>) -> (u64, Value) {
    let mut parts = value.splitn(3, '|');
    let order: u64 = parts.next().unwrap().parse().unwrap();
    let joined: u64 = parts.next().unwrap().parse().unwrap();
    let name = parts.next().unwrap();
    let role = if order == 1 { "host" } else { "member" };
    let connected = !known.contains_key(format!("d:{id}").as_str());
    (order, json!({"id": id, "name": name, "role": role, "connected": connected, "joinedAt": time(joined)}))
}

fn movie(id: &str, value: &str, known: &HashMap<&str, &str>) -> Movie {
    let mut parts = value.splitn(3, '|');
    let order = parts.next().unwrap();
    let added: u64 = parts.next().unwrap().parse().unwrap();
    let details: Map<String, Value> = serde_json::from_str(parts.next().unwrap()).unwrap();
    let tally: Vec<f64> = known[format!("t:{order}").as_str()].split(' ').map(|part| part.parse().unwrap()).collect();
    let (count, vetoes, points) = (tally[0], tally[1], tally[2]);
    let mean = if count > 0.0 { points / count } else { 0.0 };
    let agreed = if count > 0.0 { (count / (count + vetoes)).powf(3.5) } else { 0.0 };
    let compatibility = (mean * agreed + 0.5).floor() as u64;
    let mut shown = Map::new();
    shown.insert("id".into(), id.into());
    shown.extend(details);
    shown.insert("addedBy".into(), Value::Null);
    shown.insert("addedAt".into(), time(added).into());
    shown.insert("count".into(), (count as u64).into());
    shown.insert("vetoes".into(), (vetoes as u64).into());
    shown.insert("score".into(), ((mean * 100.0).round() / 100.0).into());
    shown.insert("compatibility".into(), compatibility.into());
    shown.insert("rank".into(), 0.into());
    Movie { order: order.parse().unwrap(), compatibility, vetoes: vetoes as u64, count: count as u64, shown }
}

fn rank(movies: &mut [Movie]) {
    let mut ranked: Vec<usize> = (0..movies.len()).collect();
    ranked.sort_by(|&a, &b| {
        let (a, b) = (&movies[a], &movies[b]);
        let by_rating = b.compatibility.cmp(&a.compatibility).then(a.vetoes.cmp(&b.vetoes));
        by_rating.then(b.count.cmp(&a.count)).then(a.order.cmp(&b.order))
    });
    for (place, index) in ranked.into_iter().enumerate() {
        movies[index].shown["rank"] = (place + 1).into();
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// RFC 3339, by the days of the civil calendar (https://howardhinnant.github.io/date_algorithms.html).
fn time(milliseconds: u64) -> String {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    let (days, of_day) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let era = days / 146_097;
    let day_of_era = days - era * 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hours, minutes, seconds) = (of_day / 3600, of_day % 3600 / 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{rest:03}Z")
}
