//! Callers that go away, a full queue, the end, and what follows a commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use ::db::Error;
use futures_util::future::join_all;

use super::{INSERT, SCHEMA, add, has, id, numbers, poll_first};
use crate::harness::{Engine, each_engine, eventually};

#[tokio::test]
async fn a_write_outlives_its_caller() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let done = Arc::new(AtomicU64::new(0));
        let mut write = Box::pin(db.write(Arc::clone(&done), |tx, done| {
            Box::pin(async move {
                tx.execute(INSERT, &[id(1).into(), "x".into(), 1.into()]).await?;
                let done = Arc::clone(done);
                tx.after_commit(move || {
                    done.fetch_add(1, Ordering::SeqCst);
                });
                Ok::<_, Error>(())
            })
        }));
        let first = poll_first(&mut write);
        drop(write);
        assert!(first.is_pending() || done.load(Ordering::SeqCst) == 1);
        eventually("what follows the commit", async || done.load(Ordering::SeqCst) == 1).await;
        assert!(has(&db, 1).await);
    })
    .await;
}

#[tokio::test]
async fn what_follows_a_commit_comes_before_the_answer_and_only_then() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let order = Arc::new(Mutex::new(Vec::new()));
        for outcome in [Ok(1), Err(Error::Busy), Ok(2), Err(Error::Panicked), Ok(3)] {
            let result = db
                .write((Arc::clone(&order), outcome.clone()), |tx, (order, outcome)| {
                    Box::pin(async move {
                        let (order, told) = (Arc::clone(order), outcome.clone());
                        tx.after_commit(move || order.lock().unwrap().push(told.unwrap()));
                        tx.after_commit(|| panic!("harms nobody"));
                        assert_ne!(*outcome, Err(Error::Panicked), "on purpose");
                        outcome.clone()
                    })
                })
                .await;
            assert_eq!(result, outcome);
            let last = order.lock().unwrap().last().copied();
            assert!(outcome.is_err() || last == outcome.ok());
        }
        assert_eq!(*order.lock().unwrap(), [1, 2, 3]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_write_was_given_is_free_when_its_caller_goes_on() {
    each_engine(SCHEMA, async |database| {
        let (db, given) = (database.open().await, Arc::new(()));
        for round in 0..200 {
            let written = db.write(Arc::clone(&given), |_, _| Box::pin(async { Ok::<_, Error>(()) })).await;
            assert_eq!((written, Arc::strong_count(&given)), (Ok(()), 1), "round {round}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_recovers() {
    each_engine(SCHEMA, async |database| {
        if database.engine == Engine::Postgres {
            return;
        }
        let db = &database.open().await;
        let (started, wait_for_start) = mpsc::channel();
        let (release, wait_for_release) = mpsc::channel::<()>();
        let gates = (Mutex::new(started), Mutex::new(wait_for_release));
        let blocker = db.write(gates, |_, (started, release)| {
            Box::pin(async move {
                started.lock().unwrap().send(()).unwrap();
                release.lock().unwrap().recv().unwrap();
                Ok::<_, Error>(())
            })
        });
        let mut blocker = Box::pin(blocker);
        assert!(poll_first(&mut blocker).is_pending());
        wait_for_start.recv().unwrap();
        // The writer is busy with the first write; 4096 more fit in the queue, and it is let go once all have been tried.
        let tried = Arc::new(AtomicU64::new(0));
        let writes = join_all((0..4106).map(|number| {
            let tried = Arc::clone(&tried);
            let release = release.clone();
            async move {
                let mut write = Box::pin(add(db, number));
                let first = poll_first(&mut write);
                if tried.fetch_add(1, Ordering::SeqCst) == 4105 {
                    release.send(()).unwrap();
                }
                match first {
                    Poll::Ready(result) => result,
                    Poll::Pending => write.await,
                }
            }
        }))
        .await;
        blocker.await.unwrap();
        let refused = writes.iter().filter(|result| **result == Err(Error::Busy)).count();
        assert_eq!((refused, writes.iter().filter(|result| result.is_ok()).count()), (10, 4096));
        add(db, 9999).await.unwrap();
        assert_eq!(numbers(db).await.len(), 4097);
    })
    .await;
}

#[tokio::test]
async fn closing_finishes_what_waits_and_refuses_the_rest() {
    each_engine(SCHEMA, async |database| {
        let db = &database.open().await;
        let writes = join_all((0..50).map(|number| add(db, number)));
        let (writes, ()) = tokio::join!(writes, db.close());
        for result in writes {
            result.unwrap();
        }
        assert!(matches!(add(db, 99).await, Err(Error::Unavailable(_))));
        let read: Result<(), Error> = db.read((), |_, ()| Box::pin(async { Ok(()) })).await;
        assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
        let looked: Result<(), Error> = db.lookup((), |_, ()| Box::pin(async { Ok(()) })).await;
        assert!(matches!(looked, Err(Error::Unavailable(_))), "{looked:?}");
        assert!(db.ping().await.is_err());
        db.close().await;
        assert_eq!(numbers(&database.open().await).await, (0..50).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_database_is_described_without_secrets() {
    each_engine(&[], async |database| {
        let db = database.open().await;
        db.ping().await.unwrap();
        let start = if database.engine == Engine::Sqlite { "SQLite " } else { "PostgreSQL " };
        assert!(db.describe().starts_with(start), "{}", db.describe());
        assert!(!db.describe().contains('@'));
    })
    .await;
}
