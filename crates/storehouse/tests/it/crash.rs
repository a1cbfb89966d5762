//! Processes and servers that are killed under load, and disks that fail: nothing acknowledged is lost, nothing is there by halves.
//!
//! An ordinary run does two rounds. The full run:
//! `STOREHOUSE_ROUNDS=50 cargo test -p storehouse --test it crash -- --nocapture`

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use ::db::Error;
use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::{
    Engine, PASSWORD, Server, Site, SmallDisk, Storehouse, TestDatabase, Wire, each_engine, faulty_sync, say,
};
use crate::load::{Dice, Entry, check, check_database, stock_up, write_until};

/// The most answers before an end; a round with so many takes a second or so.
const MOST_ANSWERS: u64 = 300;

/// How often to kill, and whether to say what came of it.
pub(crate) fn rounds() -> (usize, bool) {
    let given = std::env::var("STOREHOUSE_ROUNDS").ok().map(|rounds| rounds.parse().unwrap());
    (given.unwrap_or(2), given.is_some())
}

fn report(what: &str, dice: &Dice, entries: &[Entry], unanswered: usize) {
    let (rounds, wanted) = rounds();
    if wanted {
        let orders = entries.iter().filter(|entry| entry.is_order()).count();
        let others = entries.len() - orders;
        let steps: usize =
            entries.iter().filter(|entry| entry.is_order()).map(|entry| entry.changes() - 1).sum();
        say(&format!(
            "{what}: {rounds} rounds, seed {}: {orders} orders with {steps} steps, {others} receipts, counts and transfers, {unanswered} requests without an answer, nothing lost",
            dice.seed
        ));
    }
}

/// All stock adds up, says the program itself.
fn verify(site: &Site) {
    let found = site.run(&["verify"]);
    let text = String::from_utf8_lossy(&found.stdout);
    assert!(found.status.success() && text.ends_with("differences: 0.\n"), "{text}");
}

async fn admin(process: &Storehouse) -> String {
    let (_, registered) = process.connect().await.register("boss").await;
    registered["token"].as_str().unwrap().to_owned()
}

/// A token is good for less time than many rounds take.
async fn renew(token: &mut String, process: &Storehouse, round: usize) {
    if round % 10 == 9 {
        let login = json!({"email": "boss@example.com", "password": PASSWORD});
        let answer = process.connect().await.post("/auth/login", &login).await.unwrap().expect(200).json();
        answer["token"].as_str().unwrap().clone_into(token);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b05_a_killed_process_loses_nothing_that_it_acknowledged() {
    each_engine(&[], async |database| {
        // Some expire meanwhile.
        let site = Site::new(Some(database.url())).with("PENDING_EXPIRY", "2s");
        let mut dice = Dice::new();
        let mut process = site.start().await;
        let mut token = admin(&process).await;
        stock_up(database.url()).await;
        let (mut entries, mut unanswered) = (Vec::new(), 0);
        for round in 0..rounds().0 {
            renew(&mut token, &process, round).await;
            let writers = (process.gateway(), &*token);
            let answers = 1 + dice.under(MOST_ANSWERS);
            let mut new = write_until(writers, &round.to_string(), answers, || process.kill()).await;
            unanswered += new.iter().filter(|entry| entry.is_unanswered()).count();
            process = site.start().await;
            check(&process, &token, &entries, &mut new).await;
            check_database(database.url()).await;
            verify(&site);
            entries.append(&mut new);
        }
        check(&process, &token, &[], &mut entries).await;
        report(&format!("kill -9 of the process, {}", database.engine), &dice, &entries, unanswered);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_part_of_a_split_system_loses_nothing_that_it_acknowledged() {
    each_engine(&[], async |database| {
        let (site, mut dice) = (Site::new(Some(database.url())), Dice::new());
        let mut split = site.start_split().await;
        let mut token = admin(split.part("gateway")).await;
        stock_up(database.url()).await;
        let (mut entries, mut unanswered) = (Vec::new(), 0);
        // All who write, and who stands before them: each at least once.
        const KILLED: [&str; 3] = ["orders", "inventory", "gateway"];
        for round in 0..rounds().0.max(KILLED.len()) {
            let killed = KILLED[round % KILLED.len()];
            renew(&mut token, split.part("gateway"), round).await;
            let gateway = split.part("gateway").gateway();
            let answers = 1 + dice.under(MOST_ANSWERS);
            let end = || split.part(killed).kill();
            let mut new = write_until((gateway, &token), &round.to_string(), answers, end).await;
            unanswered += new.iter().filter(|entry| entry.is_unanswered()).count();
            site.start_again(&mut split, killed).await;
            check(split.part("gateway"), &token, &entries, &mut new).await;
            check_database(database.url()).await;
            verify(&site);
            entries.append(&mut new);
        }
        check(split.part("gateway"), &token, &[], &mut entries).await;
        report(
            &format!("kill -9 of orders, inventory and the gateway in turns, {}", database.engine),
            &dice,
            &entries,
            unanswered,
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_database_server_loses_nothing_that_was_acknowledged() {
    let Some(mut server) = Server::start() else { return };
    let url = server.url("postgres");
    let (site, mut dice) = (Site::new(Some(&url)), Dice::new());
    let process = site.start().await;
    let mut token = admin(&process).await;
    stock_up(&url).await;
    let (mut entries, mut unanswered) = (Vec::new(), 0);
    for round in 0..rounds().0 {
        renew(&mut token, &process, round).await;
        let writers = (process.gateway(), &*token);
        let answers = 1 + dice.under(MOST_ANSWERS);
        let mut new = write_until(writers, &round.to_string(), answers, || server.kill()).await;
        unanswered += new.iter().filter(|entry| entry.is_unanswered()).count();
        server.start_again();
        // The process is the same one: it comes back by itself.
        check(&process, &token, &entries, &mut new).await;
        check_database(&url).await;
        verify(&site);
        entries.append(&mut new);
    }
    check(&process, &token, &[], &mut entries).await;
    report("kill -9 of the PostgreSQL server", &dice, &entries, unanswered);
}

fn order(note: &str) -> Value {
    json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99, "note": note})
}

/// As soon as the disk refuses to sync nothing is acknowledged any more: so every acknowledgement follows a sync.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_before_it_is_synced() {
    let site = Site::new(None);
    let (library, refuse) = (faulty_sync(site.folder.path()), site.path("refuse"));
    let mut command = site.command(&[]);
    command.env("LD_PRELOAD", &library).env("TEST_REFUSE_SYNC", &refuse);
    let process = site.start_as(command).await;
    let (mut wire, registered) = process.connect().await.register("boss").await;
    let placed = wire.post("/orders", &order("synced")).await.unwrap().expect(201).json();
    fs::write(&refuse, "").unwrap();
    wire.post("/orders", &order("not synced")).await.unwrap().problem(503, "outcome_unknown");
    let log = process.log_at_end(1).await;
    assert!(log.contains("the database can't be written any more"), "{log}");
    fs::remove_file(&refuse).unwrap();
    let process = site.start().await;
    let mut wire = process.connect().await.with_token(registered["token"].as_str().unwrap());
    let found = wire.get("/orders").await.unwrap().expect(200).json();
    let items = found["items"].as_array().unwrap();
    assert_eq!(items.last().unwrap(), &placed);
    assert!(items.len() <= 2, "what was not acknowledged is there whole or not at all: {found}");
}

/// Those who write wait for the disk, all for one sync or two; those who read don't.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_waits_for_its_sync() {
    let site = Site::new(None);
    let (library, hold) = (faulty_sync(site.folder.path()), site.path("hold"));
    let mut command = site.command(&[]);
    command.env("LD_PRELOAD", &library).env("TEST_HOLD_SYNC", &hold);
    let process = site.start_as(command).await;
    let (mut reader, registered) = process.connect().await.register("boss").await;
    let token = registered["token"].as_str().unwrap();
    fs::write(&hold, "").unwrap();
    let mut placing = JoinSet::new();
    for number in 0..20 {
        let mut wire = process.connect().await.with_token(token);
        let body = order(&number.to_string());
        placing.spawn(async move { wire.post("/orders", &body).await.unwrap().expect(201).json() });
    }
    assert!(timeout(Duration::from_millis(300), placing.join_next()).await.is_err(), "nothing is synced yet");
    reader.get("/orders").await.unwrap().expect(200);
    fs::remove_file(&hold).unwrap();
    let placed = placing.join_all().await;
    let found = reader.get("/orders?limit=100").await.unwrap().expect(200).json();
    assert_eq!((placed.len(), found["items"].as_array().unwrap().len()), (20, 20));
}

/// What a crash must not find half done SQLite syncs by itself: `NORMAL` is the least at which it does.
#[tokio::test]
async fn a_crash_finds_no_page_half_written() {
    let database = TestDatabase::new(Engine::Sqlite, &[]).await;
    let db = database.open().await;
    for (pragma, expected) in [("PRAGMA synchronous", "1"), ("PRAGMA journal_mode", "wal")] {
        let found: Result<String, Error> = db
            .write(pragma, |tx, pragma| {
                async move {
                    if *pragma == "PRAGMA synchronous" {
                        return Ok(tx.one(pragma, &[], |row| row.get::<i64>(0)).await?.to_string());
                    }
                    tx.one(pragma, &[], |row| row.get(0)).await
                }
                .boxed()
            })
            .await;
        assert_eq!(found.unwrap(), expected, "{pragma}");
    }
    db.close().await;
}

/// Takes all the space that is left.
fn fill(path: &Path) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

/// Repeats a request until the disk is full; answers with what was acknowledged. What a refused write leaves in the
/// log is room for a smaller one, so the first refusal of one request is not yet that of another.
async fn repeat_until_full(wire: &mut Wire, path: &str, body: &Value) -> Vec<Value> {
    let mut acknowledged = Vec::new();
    loop {
        let answer = wire.post(path, body).await.unwrap();
        if !answer.status.is_success() {
            answer.problem(507, "disk_full");
            return acknowledged;
        }
        acknowledged.push(answer.json());
    }
}

async fn check_all_there(wire: &mut Wire, placed: &[Value]) {
    for order in placed {
        let path = format!("/orders/{}", order["id"].as_str().unwrap());
        assert_eq!(&wire.get(&path).await.unwrap().expect(200).json(), order);
    }
    let all = wire.get("/orders?count=exact&limit=1").await.unwrap().expect(200).json();
    assert_eq!(all["total"], placed.len());
}

/// Logging in stores a session, so it is refused as well, and in the same words; who is logged in goes on reading.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_and_recovers_by_itself() {
    let Some(disk) = SmallDisk::mount() else { return };
    let site = Site::new(None).with("DATA_DIR", &disk.path().display().to_string());
    let mut process = site.start().await;
    let token = admin(&process).await;
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![7; 40 << 20]).unwrap();
    let writers = (0..8).map(async |_| {
        let mut wire = process.connect().await.with_token(&token);
        repeat_until_full(&mut wire, "/orders", &order(&"long ".repeat(1500))).await
    });
    let mut placed = join_all(writers).await.concat();
    assert!(!placed.is_empty());
    fill(&filler);
    let mut wire = process.connect().await.with_token(&token);
    placed.append(&mut repeat_until_full(&mut wire, "/orders", &order("small")).await);
    let login = json!({"email": "boss@example.com", "password": PASSWORD});
    let wrong = json!({"email": "boss@example.com", "password": "password124"});
    repeat_until_full(&mut wire, "/auth/login", &login).await;
    wire.post("/auth/login", &wrong).await.unwrap().problem(401, "invalid_credentials");
    wire.get("/users/me").await.unwrap().expect(200);
    wire.get("/health/ready").await.unwrap().expect(200);
    check_all_there(&mut wire, &placed).await;
    fs::remove_file(&filler).unwrap();
    wire.post("/auth/login", &login).await.unwrap().expect(200);
    placed.push(wire.post("/orders", &order("there is room")).await.unwrap().expect(201).json());
    check_all_there(&mut wire, &placed).await;
    process.kill();
    let process = site.start().await;
    check_all_there(&mut process.connect().await.with_token(&token), &placed).await;
    check_database(&format!("sqlite:{}", disk.path().join("storehouse.db").display())).await;
}
