//! The log of SQLite: that it stays small, and is taken back.

use std::fs;
use std::path::{Path, PathBuf};

use ::db::Db;
use rusqlite::Connection;

use super::{SCHEMA, add_large, check_integrity, numbers};
use crate::harness::{Engine, TestDatabase, child_address, eventually, faulty_sync, start_child};

/// More writes of 25 pages than any of these tests should need.
const AT_MOST: i64 = 2_000;
/// Past this a commit itself takes the log back, so it grows by no more than one.
const LONGEST: u64 = 16_100 * 4_120;
/// A log of more than 4,000 pages, which is what the checkpointer waits for.
const DUE: u64 = 4_100 * 4_120;

async fn database() -> (TestDatabase, Db, PathBuf) {
    let database = TestDatabase::new(Engine::Sqlite, SCHEMA).await;
    let (db, path) = (database.open().await, PathBuf::from(database.url().strip_prefix("sqlite:").unwrap()));
    (database, db, path)
}

/// How many bytes the log has.
fn length(database: &Path) -> u64 {
    fs::metadata(log(database)).map_or(0, |log| log.len())
}

/// How often the log has begun anew, as its header counts it.
fn beginnings(database: &Path) -> u32 {
    let log = fs::read(log(database)).unwrap_or_default();
    log.get(12..16).map_or(0, |count| u32::from_be_bytes(count.try_into().unwrap()))
}

fn log(database: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", database.display()))
}

/// Writes from this number on until it is so, and answers with the next number.
async fn write_until(db: &Db, first: i64, is_so: impl Fn() -> bool) -> i64 {
    for number in first..first + AT_MOST {
        if is_so() {
            return number;
        }
        add_large(db, number).await.unwrap();
    }
    panic!("written in vain");
}

#[tokio::test]
async fn the_log_begins_anew_while_writes_go_on() {
    let (_database, db, path) = database().await;
    let first = beginnings(&path);
    let written = write_until(&db, 0, || {
        assert!(length(&path) < LONGEST);
        beginnings(&path) >= first + 3
    })
    .await;
    assert_eq!(numbers(&db).await, (0..written).collect::<Vec<_>>());
    db.close().await;
    check_integrity(&path);
}

#[tokio::test]
async fn a_reader_that_stays_only_delays_it() {
    let (_database, db, path) = database().await;
    add_large(&db, 0).await.unwrap();
    let reader = Connection::open(&path).unwrap();
    let count = || reader.query_row("SELECT COUNT(*) FROM items", [], |row| row.get::<_, i64>(0)).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(), 1);
    let begun = beginnings(&path);
    let written = write_until(&db, 1, || length(&path) > 2 * DUE).await;
    assert_eq!((count(), beginnings(&path)), (1, begun), "what is read stays in the log");
    reader.execute_batch("ROLLBACK").unwrap();
    let written = write_until(&db, written, || beginnings(&path) > begun).await;
    assert_eq!(numbers(&db).await, (0..written).collect::<Vec<_>>());
}

#[tokio::test]
async fn closing_ends_a_checkpoint_and_leaves_no_log() {
    let (database, db, path) = database().await;
    let written = write_until(&db, 0, || length(&path) > DUE).await;
    db.close().await;
    assert_eq!(length(&path), 0);
    check_integrity(&path);
    assert_eq!(numbers(&database.open().await).await, (0..written).collect::<Vec<_>>());
}

/// Not a test by itself: runs where what a checkpoint copies can't be synced.
#[tokio::test]
#[ignore = "started by another test, as a process of its own"]
async fn child_cannot_sync_a_checkpoint() {
    let Some(url) = child_address() else { return };
    let db = Db::open(&url).await.unwrap();
    let count = std::env::var("TEST_REFUSE_CHECKPOINT").unwrap();
    fs::write(&count, "").unwrap();
    let mut acknowledged = 0;
    while acknowledged < AT_MOST && add_large(&db, acknowledged).await.is_ok() {
        acknowledged += 1;
    }
    assert!(db.failed().await.contains("durable"));
    assert!(db.ping().await.is_err(), "nothing is written any more");
    fs::write(&count, acknowledged.to_string()).unwrap();
    db.close().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_checkpoint_that_cannot_be_synced_stops_the_writer_and_loses_nothing() {
    let (database, db, path) = database().await;
    db.close().await;
    let folder = tempfile::tempdir().unwrap();
    let (library, count) =
        (faulty_sync(folder.path()).display().to_string(), folder.path().join("count").display().to_string());
    let variables = [("LD_PRELOAD", &*library), ("TEST_REFUSE_CHECKPOINT", &*count)];
    let mut child =
        start_child("db::checkpoints::child_cannot_sync_a_checkpoint", database.url(), &variables);
    assert!(child.wait().unwrap().success());
    let acknowledged: usize = fs::read_to_string(count).unwrap().parse().unwrap();
    let found = numbers(&database.open().await).await;
    assert!(found.len() >= acknowledged, "{} of {acknowledged}", found.len());
    assert_eq!(found, (0..).take(found.len()).collect::<Vec<_>>());
    check_integrity(&path);
}

/// Not a test by itself: writes until it is killed, and tells how much was acknowledged.
#[tokio::test]
#[ignore = "started by another test, as a process of its own"]
async fn child_writes_until_it_is_killed() {
    let Some(url) = child_address() else { return };
    let db = Db::open(&url).await.unwrap();
    let count = std::env::var("TEST_COUNT").unwrap();
    for number in 0..100 * AT_MOST {
        add_large(&db, number).await.unwrap();
        fs::write(format!("{count}.new"), (number + 1).to_string()).unwrap();
        fs::rename(format!("{count}.new"), &count).unwrap();
    }
}

#[tokio::test]
async fn a_process_killed_among_checkpoints_loses_nothing() {
    let (database, db, path) = database().await;
    db.close().await;
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count").display().to_string();
    let mut child = start_child(
        "db::checkpoints::child_writes_until_it_is_killed",
        database.url(),
        &[("TEST_COUNT", &count)],
    );
    eventually("two checkpoints", async || beginnings(&path) >= 2).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let acknowledged: usize = fs::read_to_string(count).unwrap().parse().unwrap();
    let found = numbers(&database.open().await).await;
    assert!(found.len() >= acknowledged, "{} of {acknowledged}", found.len());
    assert_eq!(found, (0..).take(found.len()).collect::<Vec<_>>());
    check_integrity(&path);
}
