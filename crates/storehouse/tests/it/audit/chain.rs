use std::collections::{HashMap, HashSet};

use ::audit::{Act, Action};
use ::db::{Db, Error};
use futures_util::FutureExt;
use futures_util::future::join_all;
use kit::author::Author;
use kit::clock::{Clock, new_id};
use serde_json::json;
use storehouse::migrations::MIGRATIONS;
use uuid::Uuid;

use super::{check, verified};
use crate::harness::{App, Engine, Site, Wire, each_engine, eventually};

/// Counts up a number in a row of its own, and tells of it in the same transaction: the log must have the numbers in their order.
async fn count_up(db: &Db, name: Uuid, clock: &Clock) -> Result<i64, Error> {
    let author = Author::nobody(clock.now());
    db.write((name, author), |tx, (name, author)| {
        async move {
            let sql = "UPDATE guards SET n = n + 1 WHERE name = $1 RETURNING n";
            let n: i64 = tx.one(sql, &[name.to_string().as_str().into()], |row| row.get(0)).await?;
            let author = Author { request_id: Some(n.to_string()), ..author.clone() };
            ::audit::record(tx, &author, Act::new(Action::LoggedIn, *name)).await?;
            Ok(n)
        }
        .boxed()
    })
    .await
}

/// All that is sealed, in the order of the chain: what each is about, and its number there.
async fn sealed(db: &Db) -> Vec<(Uuid, i64)> {
    let found: Result<Vec<(Uuid, String)>, Error> = db
        .read((), |tx, ()| {
            async move {
                let sql =
                    "SELECT object_id, request_id FROM audit_entries WHERE action = 'login' ORDER BY number";
                tx.rows(sql, &[], |row| Ok((row.get(0)?, row.get(1)?))).await
            }
            .boxed()
        })
        .await;
    found.unwrap().into_iter().map(|(object, number)| (object, number.parse().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn z09_many_writers_and_sealers_make_one_chain_in_the_order_of_the_commits() {
    const WRITERS: usize = 12;
    const EACH: usize = 25;
    each_engine(MIGRATIONS, async |database| {
        let dbs = join_all((0..3).map(|_| database.open())).await;
        let clock = Clock::stopped();
        let rows: Vec<Uuid> = (0..4).map(|_| new_id()).collect();
        for row in &rows {
            let sql = format!("INSERT INTO guards (name, n) VALUES ('{row}', 0)");
            super::run(&dbs[0], &sql).await.unwrap();
        }
        let writers = (0..WRITERS).map(|writer| {
            let (db, rows, clock) = (&dbs[writer % 3], &rows, &clock);
            async move {
                for number in 0..EACH {
                    count_up(db, rows[(writer + number) % rows.len()], clock).await.unwrap();
                }
            }
        });
        let sealers = dbs.iter().map(|db| {
            let clock = &clock;
            async move {
                for _ in 0..40 {
                    ::audit::seal_all(db, clock.now()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        futures_util::future::join(join_all(writers), join_all(sealers)).await;
        ::audit::seal_all(&dbs[0], clock.now()).await.unwrap();
        let found = verified(&dbs[1]).await;
        assert_eq!((found.entries, found.unsealed), ((WRITERS * EACH) as u64, 0), "{found:?}");
        assert!(found.faults.is_empty(), "{found:?}");
        let mut last: HashMap<Uuid, i64> = HashMap::new();
        for (row, number) in sealed(&dbs[2]).await {
            let before = last.insert(row, number).unwrap_or(0);
            assert_eq!(number, before + 1, "who waited for another comes after it");
        }
        for db in dbs {
            db.close().await;
        }
    })
    .await;
}

/// An entry that is committed late is not forgotten because others went before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn z09_a_transaction_that_stays_open_holds_nobody_up_and_is_sealed_later() {
    each_engine(MIGRATIONS, async |database| {
        if database.engine == Engine::Sqlite {
            // There is one writer: nothing can be beside it.
            return;
        }
        let (db, clock) = (database.open().await, Clock::stopped());
        let (slow, quick) = (new_id(), new_id());
        let signals = std::sync::Arc::new((tokio::sync::Notify::new(), tokio::sync::Notify::new()));
        let writing = tokio::spawn({
            let (db, author, signals) = (db.clone(), Author::nobody(clock.now()), signals.clone());
            async move {
                let input = (slow, author, signals);
                db.write(input, |tx, (slow, author, signals)| {
                    async move {
                        ::audit::record(tx, author, Act::new(Action::LoggedIn, *slow)).await?;
                        // Sent at the latest with a statement.
                        tx.one("SELECT CAST(1 AS BIGINT)", &[], |row| row.get::<i64>(0)).await?;
                        signals.0.notify_one();
                        signals.1.notified().await;
                        Ok::<_, Error>(())
                    }
                    .boxed()
                })
                .await
            }
        });
        signals.0.notified().await;
        let author = Author::nobody(clock.now());
        let done: Result<(), Error> = db
            .write((quick, author), |tx, (quick, author)| {
                async move { ::audit::record(tx, author, Act::new(Action::LoggedIn, *quick)).await }.boxed()
            })
            .await;
        done.unwrap();
        assert_eq!(::audit::seal_all(&db, clock.now()).await.unwrap(), 1);
        signals.1.notify_one();
        let outcome: Result<(), Error> = writing.await.unwrap();
        outcome.unwrap();
        assert_eq!(::audit::seal_all(&db, clock.now()).await.unwrap(), 1);
        let found = verified(&db).await;
        assert_eq!((found.entries, found.unsealed, found.faults.len()), (2, 0, 0), "{found:?}");
        db.close().await;
    })
    .await;
}

#[tokio::test]
async fn z09_what_is_rolled_back_is_not_told() {
    each_engine(MIGRATIONS, async |database| {
        let app = App::new(database).await;
        let author = Author::nobody(app.clock.now());
        let failed: Result<(), Error> = app
            .db
            .write(author, |tx, author| {
                async move {
                    ::audit::record(tx, author, Act::new(Action::LoggedIn, new_id())).await?;
                    Err(Error::Busy)
                }
                .boxed()
            })
            .await;
        failed.unwrap_err();
        check(&app).await;
        assert_eq!(verified(&app.db).await.entries, 0);
    })
    .await;
}

/// Processes that are killed while they log in and seal: what was acknowledged is told, the chain is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn z09_a_killed_sealer_leaves_a_whole_chain() {
    let (rounds, _) = crate::crash::rounds();
    each_engine(&[], async |database| {
        let site = Site::new(Some(database.url()));
        let mut made: HashSet<String> = HashSet::new();
        let process = site.start().await;
        let (wire, _) = process.connect().await.register("boss").await;
        let token = wire.token().to_owned();
        assert_eq!(process.signal_and_wait("TERM").await, Some(0));
        for round in 0..rounds {
            let mut process = site.start().await;
            let mut wire = process.connect().await.with_token(&token);
            for number in 0..40 {
                let name = format!("user-{round}-{number}");
                let body = json!({"email": format!("{name}@example.com"), "username": name});
                let user = wire.post("/users", &body).await.unwrap().expect(201).json();
                made.insert(user["id"].as_str().unwrap().to_owned());
            }
            process.kill();
        }
        let process = site.start().await;
        eventually("all is sealed", async || {
            let listed = list(&mut process.connect().await.with_token(&token)).await;
            made.iter().all(|id| listed.contains(id))
        })
        .await;
        let text = crate::process::commands::said(&site.run(&["verify"]));
        assert!(text.contains("Audit entries: ") && text.contains("differences: 0."), "{text}");
    })
    .await;
}

async fn list(wire: &mut Wire) -> HashSet<String> {
    let (mut ids, mut cursor) = (HashSet::new(), String::new());
    loop {
        let path = format!("/audit?action=user.created&limit=200{cursor}");
        let page = wire.get(&path).await.unwrap().expect(200).json();
        let items = page["items"].as_array().unwrap();
        ids.extend(items.iter().map(|entry| entry["object"]["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}
