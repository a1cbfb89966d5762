//! Connections and servers of PostgreSQL that go away.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::thread;

use ::db::{Db, Error, Migration, Planning, Tx};
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::Notify;

use super::{INSERT, SCHEMA, add, has, id, numbers};
use crate::harness::{Server, TestDatabase, eventually};

/// A fresh database on the shared server, if there is one.
async fn fresh() -> Option<(TestDatabase, Db)> {
    let database = TestDatabase::on_postgres(SCHEMA).await?;
    let db = database.open().await;
    Some((database, db))
}

/// Adds an item and then ends its own connection.
fn hang_up<'a>(tx: &'a Tx, number: &'a i64) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        tx.execute(INSERT, &[id(*number).into(), "x".into(), (*number).into()]).await?;
        tx.execute("SELECT pg_terminate_backend(pg_backend_pid())", &[]).await?;
        Ok(())
    })
}

/// One number that a query finds.
async fn count(tx: &Tx, sql: &str) -> Result<i64, Error> {
    tx.one(sql, &[], |row| row.get(0)).await
}

/// Adds so many items and has them counted.
async fn fill(db: &Db, numbers: Range<i64>) -> Result<(), Error> {
    db.write(numbers, |tx, numbers| Box::pin(add_all(tx, numbers.clone()))).await?;
    db.analyze("items, shelves").await;
    Ok(())
}

async fn add_all(tx: &Tx, numbers: Range<i64>) -> Result<(), Error> {
    for number in numbers {
        let name = number.to_string();
        tx.execute(INSERT, &[id(number).into(), name.as_str().into(), number.into()]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_fills_a_table_has_it_counted() {
    const COUNTED: &str = "SELECT CAST(reltuples AS BIGINT) FROM pg_class WHERE relname = 'items'";
    let Some((_database, db)) = fresh().await else { return };
    fill(&db, 0..300).await.unwrap();
    let counted: Result<i64, Error> = db.write((), |tx, ()| Box::pin(count(tx, COUNTED))).await;
    assert_eq!(counted, Ok(300));
}

/// Looks for an item by its id, and tells how often the transaction has read all of the table so far.
async fn look(tx: &Tx) -> Result<i64, Error> {
    const READ_WHOLE: &str = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'items'";
    tx.rows("SELECT name FROM items WHERE id = $1", &[id(2).into()], |_| Ok(())).await?;
    count(tx, READ_WHOLE).await
}

#[tokio::test]
async fn who_fills_a_table_has_statements_planned_for_it_in_that_transaction() {
    let Some((_database, db)) = fresh().await else { return };
    fill(&db, 0..3).await.unwrap();
    let read: Result<[i64; 3], Error> = db
        .write((), |tx, ()| {
            Box::pin(async move {
                // The server keeps to a plan when it has run a statement some times.
                for _ in 0..9 {
                    look(tx).await?;
                }
                let small = look(tx).await?;
                add_all(tx, 3..3_000).await?;
                let large = look(tx).await?;
                tx.plan(Planning::Anew).await?;
                Ok([small, large, look(tx).await?])
            })
        })
        .await;
    assert_eq!(read, Ok([10, 11, 11]), "three are all read, and with the same plan so are three thousand");
}

#[tokio::test]
async fn statements_are_planned_anew_for_a_read_too() {
    let Some((_database, db)) = fresh().await else { return };
    let read: Result<i64, Error> = db
        .read((), |tx, ()| {
            Box::pin(async move {
                tx.plan(Planning::Anew).await?;
                count(tx, "SELECT COUNT(*) FROM items").await
            })
        })
        .await;
    assert_eq!(read, Ok(0));
}

#[tokio::test]
async fn a_connection_that_is_lost_loses_only_its_transaction() {
    let Some((_database, db)) = fresh().await else { return };
    let lost = db.write(1, hang_up).await;
    assert!(matches!(lost, Err(Error::Unavailable(_))), "{lost:?}");
    add(&db, 2).await.unwrap();
    assert_eq!(numbers(&db).await, [2]);
}

#[tokio::test]
async fn a_statement_that_is_dropped_cannot_turn_a_commit_into_a_silent_rollback() {
    let Some((_database, db)) = fresh().await else { return };
    let written: Result<(), Error> = db
        .write(1, |tx, number| {
            Box::pin(async move {
                tx.execute(INSERT, &[id(*number).into(), "x".into(), 1.into()]).await?;
                let mut failing = pin!(tx.execute("SELECT 1 / 0", &[]));
                poll_fn(|context| Poll::Ready(failing.as_mut().poll(context).is_ready())).await;
                Ok(())
            })
        })
        .await;
    assert!(matches!(written, Err(Error::Internal(_))), "{written:?}");
    assert!(!has(&db, 1).await);
    add(&db, 2).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_goes_away_leaves_no_transaction_behind() {
    let Some((_database, db)) = fresh().await else { return };
    for _ in 0..40 {
        let inside = Arc::new(Notify::new());
        let read = db.read(Arc::clone(&inside), |tx, inside| {
            Box::pin(async move {
                tx.one("SELECT 1", &[], |_| Ok(())).await?;
                inside.notify_one();
                std::future::pending::<Result<(), Error>>().await
            })
        });
        tokio::select! {
            result = read => panic!("ended with {result:?}"),
            () = inside.notified() => {}
        }
    }
    join_all((0..32).map(|number| add(&db, number))).await.into_iter().for_each(|added| added.unwrap());
    assert_eq!(numbers(&db).await.len(), 32);
}

#[tokio::test]
async fn a_commit_that_the_server_refuses_is_an_ordinary_failure() {
    const DEFERRED: &[Migration] = &[Migration {
        number: 1,
        name: "deferred",
        sqlite: "",
        postgres: "CREATE TABLE late (n BIGINT, CONSTRAINT late_n UNIQUE (n) DEFERRABLE INITIALLY DEFERRED)",
    }];
    let Some(database) = TestDatabase::on_postgres(DEFERRED).await else { return };
    let db = database.open().await;
    let refused: Result<u64, Error> =
        db.write((), |tx, ()| Box::pin(tx.execute("INSERT INTO late (n) VALUES (1), (1)", &[]))).await;
    assert!(refused.unwrap_err().violates("late_n"));
    let fine: Result<u64, Error> =
        db.write((), |tx, ()| Box::pin(tx.execute("INSERT INTO late (n) VALUES (1)", &[]))).await;
    assert_eq!(fine, Ok(1));
}

#[tokio::test]
async fn a_server_that_stops_or_dies_comes_back_without_a_restart_of_ours() {
    let Some(mut server) = Server::start() else { return };
    let db = Db::open(&server.url("postgres").parse().unwrap()).await.unwrap();
    db.migrate(SCHEMA).await.unwrap();
    let mut listener = db.listen("items").await.unwrap();
    add(&db, 1).await.unwrap();
    for (number, end) in [(2, Server::stop as fn(&mut Server)), (3, Server::kill)] {
        end(&mut server);
        let refused = add(&db, number).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        assert!(db.ping().await.is_err());
        server.start_again();
        eventually("the database is back", async || db.ping().await.is_ok()).await;
        add(&db, number).await.unwrap();
        listener.changed().await;
    }
    assert_eq!(numbers(&db).await, [1, 2, 3]);
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_server() {
    let Some(mut server) = Server::start() else { return };
    let db = Db::open(&server.url("postgres").parse().unwrap()).await.unwrap();
    db.migrate(SCHEMA).await.unwrap();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let tasks = (0..8).map(|task| {
        let (db, acknowledged) = (db.clone(), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            let mut own = Vec::new();
            for number in (0..).map(|step| step * 8 + task) {
                match add(&db, number).await {
                    Ok(()) => own.push(number),
                    Err(Error::Unavailable(_) | Error::OutcomeUnknown) => return own,
                    Err(other) => panic!("{other}"),
                }
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            own
        })
    });
    let tasks: Vec<_> = tasks.collect();
    eventually("some writes", async || acknowledged.load(Ordering::SeqCst) > 100).await;
    let mut server = tokio::task::spawn_blocking(move || {
        server.kill();
        server.start_again();
        server
    })
    .await
    .unwrap();
    eventually("the database is back", async || db.ping().await.is_ok()).await;
    let found = numbers(&db).await;
    for task in tasks {
        for number in task.await.unwrap() {
            assert!(found.contains(&number), "{number} was acknowledged and is gone");
        }
    }
    server.stop();
}

/// Stands between client and server, and cuts the connection once a COMMIT has passed to the server.
struct Proxy {
    port: u16,
    armed: Arc<AtomicBool>,
}

impl Proxy {
    fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let armed = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&armed);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, cut) = (client.unwrap(), Arc::clone(&cut));
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || pass_on(from, to, &AtomicBool::new(false)));
                thread::spawn(move || pass_on(client, server, &cut));
            }
        });
        Self { port, armed }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    let mut buffer = [0; 16384];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let passing = &buffer[..length];
        let commit = passing.windows(7).any(|bytes| bytes == b"COMMIT\0");
        let last = commit && cut.swap(false, Ordering::SeqCst);
        if last {
            // The client is cut off first, so that no answer can reach it.
            let _ = from.shutdown(Shutdown::Both);
        }
        if to.write_all(passing).is_err() || last {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Write);
}

#[tokio::test]
async fn a_commit_without_an_answer_is_neither_repeated_nor_called_a_failure() {
    let Some(server) = Server::start() else { return };
    let direct = Db::open(&server.url("postgres").parse().unwrap()).await.unwrap();
    direct.migrate(SCHEMA).await.unwrap();
    let proxy = Proxy::start(server.port());
    let db = Db::open(&Server::url_at(proxy.port, "postgres").parse().unwrap()).await.unwrap();
    add(&db, 1).await.unwrap();
    let (attempts, followed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    for (number, is_later) in [(2, false), (3, true)] {
        proxy.armed.store(true, Ordering::SeqCst);
        let input = (number, is_later, Arc::clone(&attempts), Arc::clone(&followed));
        let written = db.write(input, add_once).await;
        assert_eq!(written, Err(Error::OutcomeUnknown));
        eventually("the server carried out what it was sent", async || has(&direct, number).await).await;
    }
    assert_eq!(attempts.load(Ordering::SeqCst), 2, "nothing is tried again");
    assert!(!followed.load(Ordering::SeqCst));
    add(&db, 4).await.unwrap();
    assert_eq!(numbers(&db).await, [1, 2, 3, 4]);
}

/// Adds an item at once, or later, and tells how often it was run and whether something followed.
fn add_once<'a>(
    tx: &'a Tx,
    (number, is_later, attempts, followed): &'a (i64, bool, Arc<AtomicU64>, Arc<AtomicBool>),
) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        attempts.fetch_add(1, Ordering::SeqCst);
        let followed = Arc::clone(followed);
        tx.after_commit(move || followed.store(true, Ordering::SeqCst));
        let name = number.to_string();
        let args = [id(*number).into(), (&name).into(), (*number).into()];
        if *is_later { tx.later(&[(INSERT, &args)]).await } else { tx.execute(INSERT, &args).await.map(drop) }
    })
}
