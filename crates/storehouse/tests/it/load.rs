//! Sixteen writers over real connections, and what must be found of what they were told, whatever ended them.

mod entry;

use std::cell::OnceCell;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ::db::{Db, Error};
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) use self::entry::Entry;
use self::entry::{Asked, COUNTED, PLENTY, SCARCE};
use crate::harness::goods::{Goods, add_location, check_stock};
use crate::harness::{Answer, Storehouse, Wire, eventually, say};

const WRITERS: usize = 16;

/// Random numbers that one seed makes again: `STOREHOUSE_SEED`, else another one each time, told if the test fails.
pub(crate) struct Dice {
    pub(crate) seed: u64,
    state: u64,
}

impl Dice {
    pub(crate) fn new() -> Self {
        let given = std::env::var("STOREHOUSE_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed = given
            .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into());
        Self { seed, state: seed }
    }

    /// A number under a limit (SplitMix64).
    pub(crate) fn under(&mut self, limit: u64) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit).unwrap()
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(&format!("to repeat this: STOREHOUSE_SEED={}", self.seed));
        }
    }
}

/// Puts what the writers order into stock. Call it once, before they write.
pub(crate) async fn stock_up(url: &str) {
    let db = Db::open(&url.parse().unwrap()).await.unwrap();
    Goods::new(PLENTY, 1_000_000_000).add_to(&db).await;
    Goods::new(SCARCE, 40).add_to(&db).await;
    Goods::new(COUNTED, 0).add_to(&db).await;
    add_location(&db, "other", 1).await;
    db.close().await;
}

/// Lets all writers write; does `end` in the midst of it, after so many answers; waits for the last writer.
pub(crate) async fn write_until(
    (gateway, token): (SocketAddr, &str),
    round: &str,
    answers: usize,
    end: impl FnOnce(),
) -> Vec<Entry> {
    let (progress, mut seen) = watch::channel(0);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (name, token) = (format!("{round}-{writer}"), token.to_owned());
            // Each begins with another thing, since few get far.
            tokio::spawn(write(gateway, token, (name, writer * 5), progress.clone()))
        })
        .collect();
    drop(progress);
    seen.wait_for(|count| *count >= answers).await.expect("the writers go on until the end");
    end();
    join_all(writers).await.into_iter().flat_map(Result::unwrap).collect()
}

/// Writes until there is no good answer.
async fn write(
    gateway: SocketAddr,
    token: String,
    (name, first): (String, usize),
    progress: watch::Sender<usize>,
) -> Vec<Entry> {
    let mut wire = Wire::connect(gateway).await.unwrap().with_token(&token);
    let mut entries = Vec::new();
    for number in first.. {
        entries.push(Entry::new(&name, number));
        let entry = entries.last_mut().unwrap();
        while let Some(Asked { method, path, body, key }) = entry.next() {
            match wire.send(method, &path, Some(&body), Some(&key)).await {
                Ok(answer) if is_for_now(&answer) => return entries,
                Ok(answer) => entry.take(answer),
                Err(_) => return entries,
            }
            progress.send_modify(|count| *count += 1);
        }
    }
    entries
}

/// Fails unless all of it is there, once and whole, among what was asked for in earlier rounds. What had no answer is asked for
/// again, by its key; what was refused is left out from now on.
pub(crate) async fn check(process: &Storehouse, token: &str, earlier: &[Entry], entries: &mut Vec<Entry>) {
    for entry in entries.iter_mut() {
        if entry.next().is_some_and(|asked| asked.method == Method::PUT) {
            let found = until_served(process, token, Method::GET, &entry.path_of_order(), None).await;
            entry.look(&found.expect(200).json());
        }
        while let Some(Asked { method, path, body, key }) = entry.next() {
            entry.take(until_served(process, token, method, &path, Some((&body, &key))).await);
        }
    }
    entries.retain(|entry| !entry.is_short);
    let mut wire = process.connect().await.with_token(token);
    check_orders(process, token, &mut wire, earlier, entries).await;
    check_movements(process, token, &mut wire, earlier, entries).await;
}

async fn check_orders(
    process: &Storehouse,
    token: &str,
    wire: &mut Wire,
    earlier: &[Entry],
    entries: &[Entry],
) {
    let mut numbers = HashSet::new();
    for entry in entries.iter().filter(|entry| entry.is_order()) {
        let path = entry.path_of_order();
        let mut found = read(process, token, wire, &path).await;
        let history = read(process, token, wire, &format!("{path}/history")).await;
        let rows = history["items"].as_array().unwrap().len();
        if found["version"] != rows {
            // It may have expired between these two.
            found = read(process, token, wire, &path).await;
        }
        let expired = usize::from(found["status"] == "expired" && entry.may_have_expired());
        if expired == 0 {
            assert_eq!(&found, entry.order(), "{}", entry.key);
        }
        assert_eq!((&found["version"], rows), (&json!(rows), entry.changes() + expired), "{}", entry.key);
        assert!(
            numbers.insert(entry.order()["number"].as_i64().unwrap()),
            "{} has another's number",
            entry.key
        );
    }
    let all = read(process, token, wire, "/orders?count=exact&limit=1").await;
    let asked_for = earlier.iter().chain(entries).filter(|entry| entry.is_order()).count();
    assert_eq!(all["total"], asked_for, "no order is there twice, and none that nobody asked for");
}

async fn check_movements(
    process: &Storehouse,
    token: &str,
    wire: &mut Wire,
    earlier: &[Entry],
    entries: &[Entry],
) {
    for movement in entries.iter().filter(|entry| !entry.is_order()).flat_map(Entry::movements) {
        let [since, product, place] =
            ["created_at", "product_id", "location_id"].map(|name| movement[name].as_str().unwrap());
        let path = format!(
            "/stock/movements?sort=created_at&limit=200&since={since}&product_id={product}&location_id={place}"
        );
        let found = read(process, token, wire, &path).await;
        assert!(found["items"].as_array().unwrap().contains(movement), "{movement} is lost");
    }
    // Two receipts were there before anybody wrote.
    for (kind, before) in [("receive", 2), ("count", 0), ("transfer_out", 0), ("transfer_in", 0)] {
        let path = format!("/stock/movements?count=exact&limit=1&kind={kind}");
        let all = read(process, token, wire, &path).await;
        let of_kind = if kind == "transfer_in" { "transfer_out" } else { kind };
        let asked_for = earlier.iter().chain(entries).filter(|entry| entry.kind() == Some(of_kind)).count();
        assert_eq!(all["total"], before + asked_for, "{kind}: none is there twice, or by halves");
    }
}

async fn read(process: &Storehouse, token: &str, wire: &mut Wire, path: &str) -> Value {
    let answer = wire.get(path).await.unwrap();
    let answer = if is_for_now(&answer) {
        until_served(process, token, Method::GET, path, None).await
    } else {
        answer
    };
    answer.expect(200).json()
}

/// A database that has just come back may be refused for a moment, and so may tokens until the session feed is seen again.
async fn until_served(
    process: &Storehouse,
    token: &str,
    method: Method,
    path: &str,
    keyed: Option<(&Value, &str)>,
) -> Answer {
    let served = OnceCell::new();
    let (body, key) = keyed.unzip();
    eventually("the request is served", async || {
        let Ok(wire) = Wire::connect(process.gateway()).await else { return false };
        match wire.with_token(token).send(method.clone(), path, body, key).await {
            Ok(answer) if !is_for_now(&answer) => served.set(answer).is_ok(),
            _ => false,
        }
    })
    .await;
    served.into_inner().unwrap()
}

/// Whether it may be asked for again: something behind the answer was not there.
fn is_for_now(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 502..=504)
}

/// Fails if a row is left that belongs to nothing, stock doesn't add up or was sold twice, or SQLite finds its file damaged.
pub(crate) async fn check_database(url: &str) {
    const ORPHANS: &str =
        "SELECT (SELECT COUNT(*) FROM order_lines WHERE order_id NOT IN (SELECT id FROM orders))
        + (SELECT COUNT(*) FROM order_history WHERE order_id NOT IN (SELECT id FROM orders))
        + (SELECT COUNT(*) FROM idempotency_keys WHERE body IS NULL)
        + (SELECT COUNT(*) FROM stock_levels WHERE allocated > on_hand)";
    let db = Db::open(&url.parse().unwrap()).await.unwrap();
    let orphans: Result<i64, Error> =
        db.lookup((), |tx, ()| async move { tx.one(ORPHANS, &[], |row| row.get(0)).await }.boxed()).await;
    assert_eq!(orphans.unwrap(), 0);
    check_stock(&db).await;
    db.close().await;
    if let Some(path) = url.strip_prefix("sqlite:") {
        check_integrity(Path::new(path));
    }
}

fn check_integrity(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let answer: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(answer, "ok");
}
