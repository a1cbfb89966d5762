//! Many at once: guards, snapshots, group commit, lost conflicts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::db::{Db, Error, Tx};
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{Barrier, oneshot};

use super::{INSERT, SCHEMA, add, has, id, numbers};
use crate::harness::{Engine, deadlocks, each_engine};

/// Adds an item if there are fewer than five: a rule over several rows.
fn add_if_few<'a>(tx: &'a Tx, number: &'a i64) -> BoxFuture<'a, Result<bool, Error>> {
    Box::pin(async move {
        tx.guard("items").await?;
        let count: i64 = tx.one("SELECT COUNT(*) FROM items", &[], |row| row.get(0)).await?;
        if count >= 5 {
            return Ok(false);
        }
        let name = number.to_string();
        tx.execute(INSERT, &[id(*number).into(), (&name).into(), (*number).into()]).await?;
        Ok(true)
    })
}

#[tokio::test]
async fn a_guard_makes_check_and_act_one() {
    each_engine(SCHEMA, async |database| {
        let db = &database.open().await;
        let added = join_all((0..50).map(|number| db.write(number, add_if_few))).await;
        let added = added.into_iter().filter(|added| *added.as_ref().unwrap()).count();
        assert_eq!((added, numbers(db).await.len()), (5, 5));
    })
    .await;
}

#[tokio::test]
async fn a_guard_that_no_migration_made_is_a_mistake() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let guard: Result<i64, Error> = db.write((), |tx, ()| Box::pin(tx.guard("unknown"))).await;
        assert!(matches!(guard, Err(Error::Internal(_))), "{guard:?}");
        let guard: Result<i64, Error> = db.write((), |tx, ()| Box::pin(tx.guard("items"))).await;
        assert_eq!(guard, Ok(1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_write_is_seen_at_once() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let tasks = (0..8).map(|task| {
            let db = db.clone();
            tokio::spawn(async move {
                for number in (0..200).filter(|number| number % 8 == task) {
                    add(&db, number).await.unwrap();
                    assert!(has(&db, number).await);
                }
            })
        });
        for task in join_all(tasks).await {
            task.unwrap();
        }
        assert_eq!(numbers(&db).await, (0..200).collect::<Vec<_>>());
    })
    .await;
}

/// Moves one from an item to the other, so that their sum is always the same.
async fn move_one(db: &Db) -> Result<(), Error> {
    db.write((), |tx, ()| {
        Box::pin(async move {
            let take = "UPDATE items SET quantity = quantity - 1 WHERE id = $1";
            let give = "UPDATE items SET quantity = quantity + 1 WHERE id = $1";
            tx.execute(take, &[id(1000).into()]).await?;
            tx.execute(give, &[id(2000).into()]).await?;
            Ok(())
        })
    })
    .await
}

fn two_quantities<'a>(tx: &'a Tx, (): &'a ()) -> BoxFuture<'a, Result<(i64, i64), Error>> {
    Box::pin(async move {
        let sql = "SELECT quantity FROM items WHERE id = $1";
        let one = tx.one(sql, &[id(1000).into()], |row| row.get(0)).await?;
        let two = tx.one(sql, &[id(2000).into()], |row| row.get(0)).await?;
        Ok((one, two))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sees_one_commit_through_all_its_statements() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        add(&db, 1000).await.unwrap();
        add(&db, 2000).await.unwrap();
        let writer = {
            let db = db.clone();
            tokio::spawn(async move {
                for _ in 0..300 {
                    move_one(&db).await.unwrap();
                }
            })
        };
        loop {
            let last = writer.is_finished();
            let (one, two) = db.read((), two_quantities).await.unwrap();
            assert_eq!(one + two, 3000);
            if last {
                assert_eq!((one, two), (700, 2300));
                break;
            }
        }
        writer.await.unwrap();
    })
    .await;
}

struct Crossing {
    is_later: bool,
    first: i64,
    second: i64,
    barrier: Arc<Barrier>,
    attempts: Arc<AtomicU64>,
}

/// Touches two rows, and on its first attempt waits in between until the other has its first row too.
fn cross<'a>(tx: &'a Tx, crossing: &'a Crossing) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        let sql = "UPDATE items SET quantity = quantity + 1 WHERE id = $1";
        tx.execute(sql, &[id(crossing.first).into()]).await?;
        if crossing.attempts.fetch_add(1, Ordering::SeqCst) < 2 {
            crossing.barrier.wait().await;
        }
        let second = [id(crossing.second).into()];
        if crossing.is_later {
            tx.later(&[(sql, &second)]).await
        } else {
            tx.execute(sql, &second).await.map(drop)
        }
    })
}

#[tokio::test]
async fn the_loser_of_a_deadlock_tries_again() {
    each_engine(SCHEMA, async |database| {
        if database.engine == Engine::Sqlite {
            return;
        }
        let db = database.open().await;
        add(&db, 10).await.unwrap();
        add(&db, 20).await.unwrap();
        for (index, is_later) in [false, true].into_iter().enumerate() {
            let (barrier, attempts) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU64::new(0)));
            let crossing = |first, second| Crossing {
                is_later,
                first,
                second,
                barrier: Arc::clone(&barrier),
                attempts: Arc::clone(&attempts),
            };
            let (one, two) =
                tokio::join!(db.write(crossing(10, 20), cross), db.write(crossing(20, 10), cross));
            one.unwrap();
            two.unwrap();
            assert_eq!(attempts.load(Ordering::SeqCst), 3, "one of them lost once");
            assert_eq!(usize::try_from(deadlocks(&db)).unwrap(), index + 1, "it is counted");
        }
        assert_eq!(numbers(&db).await, [14, 24]);
    })
    .await;
}

#[tokio::test]
async fn a_listener_hears_of_a_change() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let mut listener = db.listen("items").await.unwrap();
        let (ready, go) = oneshot::channel();
        let listen = async {
            ready.send(()).unwrap();
            while !has(&db, 1).await {
                listener.changed().await;
            }
        };
        let change = async {
            go.await.unwrap();
            let changed: Result<(), Error> = db
                .write((), |tx, ()| {
                    Box::pin(async move {
                        tx.execute(INSERT, &[id(1).into(), "x".into(), 1.into()]).await?;
                        tx.notify("items").await
                    })
                })
                .await;
            changed.unwrap();
        };
        tokio::join!(listen, change);
    })
    .await;
}
