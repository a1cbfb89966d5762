//! Several processes and connections on one database.

use ::db::{Db, Error};
use futures_util::future::join_all;
use rusqlite::Connection;

use super::{SCHEMA, add, has, numbers, poll_first};
use crate::harness::{Engine, TestDatabase, child_address, each_engine, eventually, start_child};

const CHILDREN: i64 = 8;
const ITEMS: i64 = 20;

/// Not a test by itself: what each process of the next test does.
#[tokio::test]
#[ignore = "started by another test, as a process of its own"]
async fn child_creates_and_writes() {
    let Some(url) = child_address() else { return };
    let child: i64 = std::env::var("TEST_CHILD_NUMBER").unwrap().parse().unwrap();
    let db = Db::open(&url).await.unwrap();
    db.migrate(SCHEMA).await.unwrap();
    for number in 0..ITEMS {
        add(&db, child * ITEMS + number).await.unwrap();
    }
    db.close().await;
}

#[tokio::test]
async fn processes_may_create_migrate_and_write_at_once() {
    each_engine(&[], async |database| {
        let start = |child: i64| {
            let variables = [("TEST_CHILD_NUMBER", &*child.to_string())];
            start_child("db::sharing::child_creates_and_writes", database.url(), &variables)
        };
        let children: Vec<_> = (0..CHILDREN).map(start).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let db = database.open().await;
        assert_eq!(db.migrate(SCHEMA).await, Ok(0));
        assert_eq!(numbers(&db).await, (0..CHILDREN * ITEMS).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_on_one_database_both_write() {
    each_engine(SCHEMA, async |database| {
        let handles = [database.open().await, database.open().await];
        let tasks = (0..8).map(|task| {
            let db = handles[task % 2].clone();
            let own = (0..200).filter(move |number| number % 8 == i64::try_from(task).unwrap());
            tokio::spawn(async move {
                for number in own {
                    add(&db, number).await.unwrap();
                }
            })
        });
        for task in join_all(tasks).await {
            task.unwrap();
        }
        for db in &handles {
            assert_eq!(numbers(db).await, (0..200).collect::<Vec<_>>());
        }
    })
    .await;
}

/// A fresh SQLite file, and a connection that is not ours.
async fn with_stranger() -> (TestDatabase, Db, Connection) {
    let database = TestDatabase::new(Engine::Sqlite, SCHEMA).await;
    let db = database.open().await;
    let stranger = Connection::open(database.url().strip_prefix("sqlite:").unwrap()).unwrap();
    (database, db, stranger)
}

#[tokio::test]
async fn a_lock_that_is_held_shortly_is_waited_for() {
    let (_database, db, stranger) = with_stranger().await;
    stranger.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut write = Box::pin(add(&db, 1));
    assert!(poll_first(&mut write).is_pending());
    assert!(!has(&db, 1).await, "reads go on");
    stranger.execute_batch("COMMIT").unwrap();
    write.await.unwrap();
    assert!(has(&db, 1).await);
}

#[tokio::test]
async fn a_lock_that_is_held_for_long_is_an_answer() {
    let (_database, db, stranger) = with_stranger().await;
    stranger.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(add(&db, 1).await, Err(Error::Busy));
    stranger.execute_batch("ROLLBACK").unwrap();
    eventually("the next write", async || add(&db, 2).await.is_ok()).await;
    assert_eq!(numbers(&db).await, [2]);
}

#[cfg(unix)]
#[tokio::test]
async fn d02_the_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/data/storehouse.db");
    let db = Db::open(&path.display().to_string().parse().unwrap()).await.unwrap();
    db.migrate(SCHEMA).await.unwrap();
    add(&db, 1).await.unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let files: Vec<_> = path.parent().unwrap().read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 4, "database, log, index and lock: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}
