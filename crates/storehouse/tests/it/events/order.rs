//! The order, whoever writes beside: never back, never skipping; and what is kept.

use std::collections::HashMap;
use std::sync::Arc;

use ::db::{Db, Error};
use ::events::{Event, EventType, Position, ReadError};
use futures_util::FutureExt;
use futures_util::future::join_all;
use storehouse::migrations::MIGRATIONS;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{newest_of, note, numbers, read, record_number, sweep_before};
use crate::harness::{Engine, Random, each_engine, eventually};

#[tokio::test]
async fn pages_follow_each_other_to_the_end() {
    each_engine(MIGRATIONS, async |database| {
        let db = database.open().await;
        let empty = read(&db, None, 10, &[]).await.unwrap();
        assert_eq!((empty.items.len(), empty.end, empty.has_more), (0, Position::default(), false));
        for number in 1..=25 {
            record_number(&db, number).await.unwrap();
        }
        settled(&db, 25).await;
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = read(&db, after, 10, &[]).await.unwrap();
            seen.extend(numbers(&page));
            after = Some(page.end);
            if page.items.is_empty() {
                break;
            }
        }
        assert_eq!(seen, (1..=25).collect::<Vec<_>>());
        assert_eq!(newest_of(&db).await, after.unwrap());
        let none = read(&db, None, 10, &[EventType::OrderPlaced]).await.unwrap();
        assert_eq!((none.items.len(), none.end, none.has_more), (0, after.unwrap(), false));
        let some = read(&db, None, 10, &[EventType::OrderPlaced, EventType::WebhookDisabled]).await.unwrap();
        assert_eq!((numbers(&some), some.has_more), ((1..=10).collect::<Vec<_>>(), true));
        // A position that a log can't have reached is one of another log.
        let ahead = Position { seq: after.unwrap().seq + 1, ..after.unwrap() };
        assert!(matches!(read(&db, Some(ahead), 10, &[]).await, Err(ReadError::Expired { .. })));
    })
    .await;
}

/// Other tests' transactions hold the log back for a moment, since they run on the same server.
async fn settled(db: &Db, count: usize) {
    eventually("all can be read", async || read(db, None, 10_000, &[]).await.unwrap().items.len() == count)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_slow_transaction_holds_back_is_told_in_its_order() {
    each_engine(MIGRATIONS, async |database| {
        if database.engine == Engine::Sqlite {
            // There is one writer: nothing can be beside it.
            return;
        }
        let db = database.open().await;
        record_number(&db, 1).await.unwrap();
        settled(&db, 1).await;
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = tokio::spawn({
            let (db, signals) = (db.clone(), (Arc::clone(&begun), Arc::clone(&go_on)));
            async move {
                db.write(signals, |tx, (begun, go_on)| {
                    async move {
                        note(tx, Uuid::from_u128(2), 2).await?;
                        // What is kept for later is sent with the next query.
                        tx.one("SELECT 1", &[], |_| Ok(())).await?;
                        begun.notify_one();
                        go_on.notified().await;
                        note(tx, Uuid::from_u128(2), 3).await
                    }
                    .boxed()
                })
                .await
            }
        });
        begun.notified().await;
        for number in 4..=20 {
            record_number(&db, number).await.unwrap();
        }
        // All of these are committed and seen, and none is told before what the open transaction may still say.
        let page = read(&db, None, 100, &[]).await.unwrap();
        assert_eq!((numbers(&page), page.end), (vec![1], newest_of(&db).await));
        go_on.notify_one();
        let written: Result<(), Error> = slow.await.unwrap();
        written.unwrap();
        settled(&db, 20).await;
        let rest = read(&db, Some(page.end), 100, &[]).await.unwrap();
        assert_eq!(numbers(&rest), (2..=20).collect::<Vec<_>>());
    })
    .await;
}

/// A writer's events, some in a transaction together, some rolled back.
async fn write_some(db: Db, writer: u128, seed: u64, count: i64) {
    let mut random = Random::from(seed);
    let mut number = 0;
    while number < count {
        let (together, fails) = (random.between(1, 3), random.once_in(5));
        let written: Result<(), Error> = db
            .write((writer, number, together, fails), |tx, (writer, number, together, fails)| {
                async move {
                    for number in *number..number + together {
                        note(tx, Uuid::from_u128(*writer), number).await?;
                    }
                    if *fails { Err(Error::Internal("on purpose".to_owned())) } else { Ok(()) }
                }
                .boxed()
            })
            .await;
        assert_eq!(written.is_err(), fails);
        number += if fails { 0 } else { together };
    }
}

/// How many events are stored, whether they can be read yet or not.
async fn count(db: &Db) -> usize {
    let count: Result<i64, Error> =
        db.read((), |tx, ()| tx.one("SELECT COUNT(*) FROM events", &[], |row| row.get(0)).boxed()).await;
    usize::try_from(count.unwrap()).unwrap()
}

/// Reads on until the writers are done and all was told.
async fn follow(db: &Db, is_done: impl Fn() -> bool) -> Vec<Event> {
    let (mut after, mut seen) = (None, Vec::new());
    while !is_done() || seen.len() < count(db).await {
        let page = read(db, after, 7, &[]).await.unwrap();
        after = Some(page.end);
        seen.extend(page.items);
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_beside_many_writers_see_each_event_once_and_in_its_order() {
    each_engine(MIGRATIONS, async |database| {
        let (writers, each) = (6, 60);
        let db = database.open().await;
        let other = database.open().await;
        let mut random = Random::new();
        let running: Vec<_> = (0..writers)
            .map(|writer| {
                let db = if writer % 2 == 0 { db.clone() } else { other.clone() };
                tokio::spawn(write_some(db, writer, random.next(), each))
            })
            .collect();
        let is_done = || running.iter().all(|writer| writer.is_finished());
        let (seen, beside) = tokio::join!(follow(&db, is_done), follow(&other, is_done));
        for writer in join_all(running).await {
            writer.unwrap();
        }
        for seen in [seen, beside] {
            assert!(seen.windows(2).all(|pair| pair[0].id < pair[1].id), "never back");
            let mut by_writer: HashMap<Uuid, Vec<i64>> = HashMap::new();
            for event in &seen {
                by_writer.entry(event.object.id).or_default().push(event.created_at.0);
            }
            for numbers in by_writer.values() {
                let count = i64::try_from(numbers.len()).unwrap();
                assert!(count >= each && *numbers == (0..count).collect::<Vec<_>>(), "{numbers:?}");
            }
            assert_eq!(by_writer.len(), usize::try_from(writers).unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_old_is_swept_and_who_has_not_read_it_is_told() {
    each_engine(MIGRATIONS, async |database| {
        let db = database.open().await;
        for number in 1..=10 {
            record_number(&db, number).await.unwrap();
        }
        settled(&db, 10).await;
        let all = read(&db, None, 100, &[]).await.unwrap();
        let at = |number: usize| Some(all.items[number - 1].id);
        assert_eq!(sweep_before(&db, 1, 100).await, 0);
        assert_eq!([sweep_before(&db, 4, 2).await, sweep_before(&db, 4, 2).await], [2, 1]);
        assert_eq!(sweep_before(&db, 4, 2).await, 0);
        let Err(ReadError::Expired { oldest }) = read(&db, at(2), 100, &[]).await else { panic!("skipped") };
        assert_eq!(Some(oldest), at(3));
        for after in [None, Some(oldest), at(3)] {
            assert_eq!(numbers(&read(&db, after, 100, &[]).await.unwrap()), (4..=10).collect::<Vec<_>>());
        }
        // The newest stays, so that its position doesn't come twice.
        assert_eq!(sweep_before(&db, 1000, 100).await, 6);
        assert_eq!(sweep_before(&db, 1000, 100).await, 0);
        record_number(&db, 11).await.unwrap();
        settled(&db, 2).await;
        assert_eq!(numbers(&read(&db, at(10), 100, &[]).await.unwrap()), [11]);
        let oldest = read(&db, Some(Position::default()), 1, &[]).await;
        assert!(matches!(oldest, Err(ReadError::Expired { .. })));
    })
    .await;
}
