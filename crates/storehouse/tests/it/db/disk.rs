//! A full disk, and one that refuses to sync.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ::db::{DatabaseUrl, Db, Error};
use futures_util::future::join_all;

use super::{SCHEMA, add, add_large, check_integrity, has, numbers};
use crate::harness::{Engine, SmallDisk, TestDatabase, child_address, faulty_sync, start_child};

/// Writes until there is no space, several at a time; answers with the numbers that were acknowledged.
async fn fill(db: &Db) -> Vec<i64> {
    let full = &AtomicBool::new(false);
    let writers = (0..8).map(|writer| async move {
        let mut acknowledged = Vec::new();
        for number in (0..).map(|step| step * 8 + writer) {
            match add_large(db, number).await {
                Ok(()) => acknowledged.push(number),
                Err(error) => {
                    assert_eq!(error, Error::DiskFull);
                    full.store(true, Ordering::SeqCst);
                }
            }
            if full.load(Ordering::SeqCst) {
                break;
            }
        }
        acknowledged
    });
    let mut acknowledged = join_all(writers).await.concat();
    // One alone may fit where several together did not.
    for number in 1_000.. {
        match add_large(db, number).await {
            Ok(()) => acknowledged.push(number),
            Err(error) => {
                assert_eq!(error, Error::DiskFull);
                break;
            }
        }
    }
    acknowledged.sort_unstable();
    acknowledged
}

/// What must hold while the disk is full.
async fn check_full(db: &Db, acknowledged: &[i64]) {
    assert!(!acknowledged.is_empty());
    assert_eq!(numbers(db).await, acknowledged, "reads go on, and nothing acknowledged is lost");
    for number in acknowledged {
        assert!(has(db, *number).await);
    }
    assert_eq!(add_large(db, 1_000_000).await, Err(Error::DiskFull));
}

/// A full disk that needs no rights to make: the database may not grow, by a setting of the writer's connection.
#[tokio::test]
async fn a_database_that_may_not_grow_is_full() {
    let database = TestDatabase::new(Engine::Sqlite, SCHEMA).await;
    let db = database.open().await;
    let limit = async |sql: &'static str| {
        let set: Result<Vec<i64>, Error> =
            db.write(sql, |tx, sql| Box::pin(tx.rows(sql, &[], |row| row.get(0)))).await;
        set.unwrap();
    };
    limit("PRAGMA max_page_count = 500").await;
    let acknowledged = fill(&db).await;
    check_full(&db, &acknowledged).await;
    limit("PRAGMA max_page_count = 100000").await;
    add_large(&db, 1_000_001).await.unwrap();
    db.close().await;
    check_integrity(Path::new(database.url().strip_prefix("sqlite:").unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_and_recovers() {
    let Some(disk) = SmallDisk::mount() else { return };
    let path = disk.path().join("storehouse.db");
    let db = Db::open(&path.display().to_string().parse().unwrap()).await.unwrap();
    db.migrate(SCHEMA).await.unwrap();
    let filler = disk.path().join("filler");
    // What it gives back holds more than the log, which the database must take in before the log can start again.
    fs::write(&filler, vec![0; 24 << 20]).unwrap();
    let acknowledged = fill(&db).await;
    check_full(&db, &acknowledged).await;
    fs::remove_file(&filler).unwrap();
    add(&db, 1_000_001).await.unwrap();
    add_large(&db, 1_000_002).await.unwrap();
    db.close().await;
    check_integrity(&path);
    let db = Db::open(&path.display().to_string().parse().unwrap()).await.unwrap();
    let expected: Vec<i64> = acknowledged.into_iter().chain([1_000_001, 1_000_002]).collect();
    assert_eq!(numbers(&db).await, expected);
    db.close().await;
}

/// Not a test by itself: runs where a sync fails as soon as a certain file is there.
#[tokio::test]
#[ignore = "started by another test, as a process of its own"]
async fn child_meets_a_refused_sync() {
    let Some(url) = child_address() else { return };
    let db = Db::open(&url).await.unwrap();
    add(&db, 1).await.unwrap();
    fs::write(std::env::var("TEST_REFUSE_SYNC").unwrap(), "").unwrap();
    assert_eq!(add(&db, 2).await, Err(Error::OutcomeUnknown));
    assert!(db.failed().await.contains("durable"));
    assert!(matches!(add(&db, 3).await, Err(Error::Unavailable(_))), "nothing is written any more");
    assert!(db.ping().await.is_err());
    assert!(has(&db, 1).await);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_refuses_to_sync_stops_the_writer_for_good() {
    let database = TestDatabase::new(Engine::Sqlite, SCHEMA).await;
    let folder = tempfile::tempdir().unwrap();
    let (library, refuse) =
        (faulty_sync(folder.path()).display().to_string(), folder.path().join("now").display().to_string());
    let variables = [("LD_PRELOAD", &*library), ("TEST_REFUSE_SYNC", &*refuse)];
    let mut child = start_child("db::disk::child_meets_a_refused_sync", database.url(), &variables);
    assert!(child.wait().unwrap().success());
    let db = database.open().await;
    let found = numbers(&db).await;
    assert!(found == [1] || found == [1, 2], "the unknown outcome is whole or absent: {found:?}");
}

/// SQLite has its log beside the file itself, not beside the link.
#[cfg(unix)]
#[tokio::test]
async fn a_file_behind_a_link_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file.db"), folder.path().join("link.db"));
    for path in [&file, &link] {
        let db = Db::open(&DatabaseUrl::Sqlite(path.clone())).await.unwrap();
        db.ping().await.unwrap();
        db.close().await;
        if path == &file {
            std::os::unix::fs::symlink(&file, &link).unwrap();
        }
    }
}
