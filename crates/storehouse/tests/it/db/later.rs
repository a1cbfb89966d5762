//! Statements that are kept for later, and writes that share a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};

use ::db::{Db, Error, SharedWrite, Tx, Value};
use futures_util::future::{BoxFuture, join_all};

use super::{INSERT, SCHEMA, add, has, id, numbers, poll_first};
use crate::harness::{Engine, each_engine};

/// Items by number and quantity.
struct Items(Vec<(i64, i64)>);

impl Items {
    fn numbered(numbers: impl Iterator<Item = i64>) -> Self {
        Self(numbers.map(|number| (number, number)).collect())
    }
}

fn add_later<'a>(tx: &'a Tx, items: &'a Items) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        for (number, quantity) in &items.0 {
            let name = number.to_string();
            tx.later(&[(INSERT, &[id(*number).into(), (&name).into(), (*quantity).into()])]).await?;
        }
        Ok(())
    })
}

#[tokio::test]
async fn what_is_kept_for_later_is_committed_all_or_nothing() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        for count in [0, 1, 2, 15, 16, 17, 40] {
            db.write(Items::numbered(count * 100..count * 101), add_later).await.unwrap();
            let added: Vec<_> =
                numbers(&db).await.into_iter().filter(|number| number / 100 == count).collect();
            assert_eq!(added, (count * 100..count * 101).collect::<Vec<_>>());
        }
        let before = numbers(&db).await;
        for place in [0, 5, 15, 16, 39] {
            let mut items = Items::numbered(9_000..9_040);
            items.0[place].1 = -1;
            let refused = db.write(items, add_later).await.unwrap_err();
            assert!(refused.violates("items_quantity"), "{refused}");
        }
        assert_eq!(numbers(&db).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_statement_that_follows_sees_what_was_kept_before_it() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let seen: Result<(i64, i64), Error> = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    let count = "SELECT COUNT(*) FROM items";
                    tx.exclude_others("things", &[id(1)]).await?;
                    tx.later(&[(INSERT, &[id(1).into(), "one".into(), 1.into()])]).await?;
                    let first = tx.one(count, &[], |row| row.get(0)).await?;
                    tx.later(&[("DELETE FROM items WHERE id = $1", &[id(1).into()])]).await?;
                    tx.later(&[(INSERT, &[id(1).into(), "two".into(), 2.into()])]).await?;
                    tx.execute("UPDATE items SET quantity = 3 WHERE name = 'two'", &[]).await?;
                    Ok((first, tx.one(count, &[], |row| row.get(0)).await?))
                })
            })
            .await;
        assert_eq!(seen, Ok((1, 1)));
        assert_eq!(numbers(&db).await, [3]);
    })
    .await;
}

#[tokio::test]
async fn what_was_kept_goes_with_a_refusal() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let refused: Result<(), Error> = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    tx.later(&[(INSERT, &[id(1).into(), "one".into(), 1.into()])]).await?;
                    Err(Error::Busy)
                })
            })
            .await;
        assert_eq!(refused, Err(Error::Busy));
        let late: Result<i64, Error> = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    let twice: [Value<'_>; 3] = [id(2).into(), "two".into(), 2.into()];
                    let kept = tx.later(&[(INSERT, &twice), (INSERT, &twice)]).await;
                    let count = tx.one("SELECT COUNT(*) FROM items", &[], |row| row.get(0)).await;
                    assert!(kept.and(count.clone().map(drop)).is_err());
                    assert_eq!(tx.execute("DELETE FROM items", &[]).await, Err(Error::Spent));
                    Ok(count.unwrap_or_default())
                })
            })
            .await;
        assert!(matches!(late, Err(Error::Constraint(_))), "{late:?}");
        assert_eq!(numbers(&db).await, [0; 0]);
        let read: Result<(), Error> =
            db.read((), |tx, ()| Box::pin(tx.later(&[("DELETE FROM items", &[])]))).await;
        assert!(matches!(read, Err(Error::Internal(_))), "{read:?}");
    })
    .await;
}

#[tokio::test]
async fn what_the_driver_refuses_to_send_is_not_left_out_of_a_commit() {
    each_engine(SCHEMA, async |database| {
        if database.engine == Engine::Sqlite {
            return;
        }
        let db = database.open().await;
        let mistaken: Result<(), Error> = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    tx.later(&[(INSERT, &[id(1).into(), "one".into(), 1.into()])]).await?;
                    tx.later(&[(INSERT, &[id(2).into(), "two".into(), "no number".into()])]).await?;
                    tx.later(&[(INSERT, &[id(3).into(), "three".into(), 3.into()])]).await
                })
            })
            .await;
        assert!(matches!(mistaken, Err(Error::Internal(_))), "{mistaken:?}");
        assert_eq!(numbers(&db).await, [0; 0]);
        add(&db, 4).await.unwrap();
    })
    .await;
}

/// Holds the writer until it is let go, so that what is queued meanwhile becomes one batch.
async fn hold<T>(db: &Db, queue: impl AsyncFnOnce(mpsc::Sender<()>) -> T) -> T {
    let ((started, wait_for_start), (release, wait_for_release)) = (mpsc::channel(), mpsc::channel());
    let gates = (Mutex::new(started), Mutex::new(wait_for_release));
    let mut blocker = Box::pin(db.write(gates, |_, (started, release)| {
        Box::pin(async move {
            started.lock().unwrap().send(()).unwrap();
            release.lock().unwrap().recv().unwrap();
            Ok::<_, Error>(())
        })
    }));
    assert!(poll_first(&mut blocker).is_pending());
    wait_for_start.recv().unwrap();
    let result = queue(release).await;
    blocker.await.unwrap();
    result
}

struct Counted {
    number: i64,
    fails: bool,
    runs: Arc<AtomicU64>,
    actions: Arc<AtomicU64>,
}

fn add_counted<'a>(tx: &'a Tx, counted: &'a Counted) -> BoxFuture<'a, Result<u64, Error>> {
    Box::pin(async move {
        let runs = counted.runs.fetch_add(1, Ordering::SeqCst) + 1;
        let actions = Arc::clone(&counted.actions);
        tx.after_commit(move || {
            actions.fetch_add(1, Ordering::SeqCst);
        });
        let name = counted.number.to_string();
        tx.execute(INSERT, &[id(counted.number).into(), (&name).into(), counted.number.into()]).await?;
        if counted.fails { Err(Error::Busy) } else { Ok(runs) }
    })
}

#[tokio::test]
async fn a_batch_that_ran_again_is_told_and_followed_once() {
    each_engine(SCHEMA, async |database| {
        if database.engine == Engine::Postgres {
            return;
        }
        let db = &database.open().await;
        // The first batch is run twice, the next has savepoints from its start.
        for (batch, runs_expected) in [(0, 2), (1, 1)] {
            let actions = Arc::new(AtomicU64::new(0));
            let results = hold(db, async |release| {
                let mut writes: Vec<_> = (0..3)
                    .map(|place| {
                        let (runs, actions) = (Arc::new(AtomicU64::new(0)), Arc::clone(&actions));
                        let number = batch * 10 + place;
                        Box::pin(db.write(Counted { number, fails: place == 1, runs, actions }, add_counted))
                    })
                    .collect();
                assert!(writes.iter_mut().all(|write| poll_first(write).is_pending()));
                release.send(()).unwrap();
                join_all(writes).await
            })
            .await;
            assert_eq!(results[0], Ok(runs_expected));
            assert_eq!(results[1], Err(Error::Busy));
            assert!(results[2].is_ok());
            assert_eq!(actions.load(Ordering::SeqCst), 2);
        }
        assert_eq!(numbers(db).await, [0, 2, 10, 12]);
    })
    .await;
}

#[tokio::test]
async fn a_write_that_failed_before_it_changed_anything_makes_no_other_run_again() {
    each_engine(SCHEMA, async |database| {
        if database.engine == Engine::Postgres {
            return;
        }
        let db = &database.open().await;
        add(db, 5).await.unwrap();
        let result = hold(db, async |release| {
            let counted = Counted { number: 6, fails: false, runs: Arc::default(), actions: Arc::default() };
            let (mut fine, mut known) = (Box::pin(db.write(counted, add_counted)), Box::pin(add(db, 5)));
            assert!(poll_first(&mut fine).is_pending() && poll_first(&mut known).is_pending());
            release.send(()).unwrap();
            assert!(matches!(known.await, Err(Error::Constraint(_))));
            fine.await
        })
        .await;
        assert_eq!(result, Ok(1));
        assert_eq!(numbers(db).await, [5, 6]);
    })
    .await;
}

/// A shared write that adds items: refuses odd ones, fails at those above a hundred, and counts its transactions.
fn adding(transactions: &Arc<AtomicU64>) -> Arc<SharedWrite<i64, i64, Error>> {
    let transactions = Arc::clone(transactions);
    Arc::new(SharedWrite::new(move |tx, items| {
        let transactions = Arc::clone(&transactions);
        Box::pin(async move {
            tx.after_commit(move || {
                transactions.fetch_add(1, Ordering::SeqCst);
            });
            let mut results = Vec::new();
            for number in items {
                if number % 2 == 1 {
                    results.push(Err(Error::Busy));
                    continue;
                }
                let quantity = if *number > 100 { -1 } else { *number };
                let name = number.to_string();
                tx.later(&[(INSERT, &[id(*number).into(), (&name).into(), quantity.into()])]).await?;
                results.push(Ok(number * 10));
            }
            Ok(results)
        })
    }))
}

#[tokio::test]
async fn writes_that_share_a_transaction_have_each_their_result() {
    each_engine(SCHEMA, async |database| {
        let db = &database.open().await;
        let transactions = Arc::new(AtomicU64::new(0));
        let kind = &adding(&transactions);
        let results = join_all((0..100).map(|number| db.write_shared(kind, number))).await;
        for (number, result) in (0..).zip(results) {
            assert_eq!(result, if number % 2 == 1 { Err(Error::Busy) } else { Ok(number * 10) });
        }
        assert_eq!(numbers(db).await, (0..100).filter(|number| number % 2 == 0).collect::<Vec<_>>());
        let transactions = transactions.load(Ordering::SeqCst);
        assert!(transactions < 50, "{transactions} transactions");
    })
    .await;
}

#[tokio::test]
async fn one_that_fails_is_in_no_others_way() {
    each_engine(SCHEMA, async |database| {
        let db = &database.open().await;
        let kind = &adding(&Arc::default());
        let results = join_all((0..40).map(|number| db.write_shared(kind, number * 4))).await;
        for (number, result) in (0..40).map(|number| number * 4).zip(results) {
            match result {
                Ok(told) => assert!(number <= 100 && told == number * 10),
                Err(error) => assert!(number > 100 && error.violates("items_quantity"), "{error}"),
            }
        }
        assert_eq!(numbers(db).await, (0..=100).filter(|number| number % 4 == 0).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_shared_write_outlives_its_caller_and_the_end_waits_for_it() {
    each_engine(SCHEMA, async |database| {
        let db = &database.open().await;
        let kind = &adding(&Arc::default());
        let mut writes: Vec<_> = (0..20).map(|number| Box::pin(db.write_shared(kind, number * 2))).collect();
        let pending: Vec<_> = writes.iter_mut().map(|write| poll_first(write).is_pending()).collect();
        assert!(pending.contains(&true));
        drop(writes);
        db.close().await;
        let db = database.open().await;
        assert!(has(&db, 0).await);
        assert_eq!(numbers(&db).await.len(), 20);
        let refused = database.open().await;
        refused.close().await;
        assert!(matches!(refused.write_shared(kind, 2).await, Err(Error::Unavailable(_))));
    })
    .await;
}
