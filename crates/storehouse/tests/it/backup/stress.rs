use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ::db::{Db, Error};
use futures_util::FutureExt;
use kit::clock::new_id;
use rusqlite::Connection;
use storehouse::migrations::MIGRATIONS;

use super::file_of;
use crate::harness::{Engine, TestDatabase, say};

const INSERT: &str = "INSERT INTO idempotency_keys (account_id, key, fingerprint, body, created_at) VALUES ($1, $2, $3, $4, 0)";
const COUNT: &str = "SELECT COUNT(*) FROM idempotency_keys";

/// A commit takes the log back at 16,000 pages of 4 KiB, if no reader is in its way; here readers are, for a while each.
const LOG_LIMIT: u64 = 4 * 16_000 * 4_120;

fn seconds() -> (u64, bool) {
    let given = std::env::var("STOREHOUSE_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
    (given.unwrap_or(3), given.is_some())
}

/// What all who take part know.
#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    acknowledged: AtomicI64,
    longest_log: AtomicU64,
    backups: AtomicU64,
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }
}

/// Writes rows of 20 KB until it is over. Old ones go, so that an hour fills no disk.
async fn write(db: Db, shared: Arc<Shared>) {
    let owner = new_id();
    for number in 0_i64.. {
        if !shared.goes_on() {
            return;
        }
        let written: Result<(), Error> = db
            .write((owner, number), |tx, (owner, number)| {
                async move {
                    let (key, body) = (number.to_string(), vec![7; 20_000]);
                    tx.execute(
                        INSERT,
                        &[(*owner).into(), (&key).into(), (&body[..32]).into(), (&body).into()],
                    )
                    .await?;
                    let old = (number - 500).to_string();
                    let args = [(*owner).into(), (&old).into()];
                    tx.execute("DELETE FROM idempotency_keys WHERE account_id = $1 AND key = $2", &args)
                        .await?;
                    Ok(())
                }
                .boxed()
            })
            .await;
        match written {
            Ok(()) => shared.acknowledged.fetch_add(1, Ordering::SeqCst),
            Err(Error::Busy) => continue,
            Err(error) => panic!("{error}"),
        };
    }
}

/// Reads one snapshot for a while, again and again; it must not change.
fn read_long(path: &Path, shared: &Shared) {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(30)).unwrap();
    let count = || connection.query_row(COUNT, [], |row| row.get::<_, i64>(0)).unwrap();
    while shared.goes_on() {
        connection.execute_batch("BEGIN").unwrap();
        let first = count();
        for _ in 0..20 {
            std::thread::yield_now();
            assert_eq!(count(), first);
        }
        connection.execute_batch("ROLLBACK").unwrap();
    }
}

fn checkpoint(path: &Path, shared: &Shared) {
    let connection = Connection::open(path).unwrap();
    let log = PathBuf::from(format!("{}-wal", path.display()));
    while shared.goes_on() {
        for kind in ["PASSIVE", "FULL", "RESTART"] {
            // Busy where another is at it.
            let _ = connection.execute_batch(&format!("PRAGMA wal_checkpoint({kind})"));
            shared.longest_log.fetch_max(fs::metadata(&log).map_or(0, |log| log.len()), Ordering::SeqCst);
        }
    }
}

async fn back_up(database: &TestDatabase, folder: &Path, shared: &Shared) {
    let nobody: ::db::Progress = Arc::new(|_, _, _| ());
    while shared.goes_on() {
        let file = folder.join("a.db");
        fs::write(&file, "").unwrap();
        ::db::dump(&database.url().parse().unwrap(), &file, &nobody).await.unwrap();
        shared.backups.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_a_busy_log_and_backups_leave_it_whole_and_small() {
    let database = TestDatabase::new(Engine::Sqlite, MIGRATIONS).await;
    let (path, folder, shared) = (file_of(&database), tempfile::tempdir().unwrap(), Arc::<Shared>::default());
    // As two processes would.
    let (one, other) = (database.open().await, database.open().await);
    let mut tasks: Vec<_> = (0..8)
        .map(|number| tokio::spawn(write([&one, &other][number % 2].clone(), Arc::clone(&shared))))
        .collect();
    for work in [read_long, read_long, checkpoint] {
        let (path, shared) = (path.clone(), Arc::clone(&shared));
        tasks.push(tokio::task::spawn_blocking(move || work(&path, &shared)));
    }
    let end = async {
        tokio::time::sleep(Duration::from_secs(seconds().0)).await;
        shared.is_over.store(true, Ordering::SeqCst);
    };
    tokio::join!(back_up(&database, folder.path(), &shared), end);
    for task in tasks {
        task.await.unwrap();
    }
    one.close().await;
    other.close().await;
    let (longest, backups) =
        (shared.longest_log.load(Ordering::SeqCst), shared.backups.load(Ordering::SeqCst));
    let written = shared.acknowledged.load(Ordering::SeqCst);
    assert!(longest < LOG_LIMIT, "the log had {longest} bytes");
    assert!(written > 0 && backups > 0, "{written} writes, {backups} backups");
    let connection = Connection::open(&path).unwrap();
    let answer: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(answer, "ok");
    if seconds().1 {
        say(&format!(
            "many connections: {written} writes, {backups} backups, the log had {longest} bytes at most"
        ));
    }
}
