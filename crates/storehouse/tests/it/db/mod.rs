//! The database layer.

/// Addresses, and what is shown of them.
mod addresses;
/// Callers that go away, a full queue, the end, and what follows a commit.
mod callers;
/// The log of SQLite: that it stays small, and is taken back.
mod checkpoints;
/// Many at once: guards, snapshots, group commit, lost conflicts.
mod concurrency;
/// A full disk, and one that refuses to sync.
mod disk;
/// Constraints, failed statements, panics, and closures that await something else.
mod failures;
/// Statements that are kept for later, and writes that share a transaction.
mod later;
/// Migrations: order, refusals, failures in the middle.
mod migrations;
/// Connections and servers of PostgreSQL that go away.
mod postgres;
/// Several processes and connections on one database.
mod sharing;
/// What statements take and give.
mod statements;
/// PostgreSQL over TLS.
mod tls;

use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use ::db::{Db, Error, Migration};
use rusqlite::Connection;
use uuid::Uuid;

/// The tables that these tests use.
const SCHEMA: &[Migration] = &[Migration::portable(
    1,
    "items",
    "CREATE TABLE guards (name TEXT NOT NULL CONSTRAINT guards_name PRIMARY KEY, n BIGINT NOT NULL);
     INSERT INTO guards (name, n) VALUES ('items', 0);
     CREATE TABLE items (
         id UUID NOT NULL CONSTRAINT items_id PRIMARY KEY,
         name TEXT NOT NULL,
         quantity BIGINT NOT NULL CONSTRAINT items_quantity CHECK (quantity >= 0),
         active BOOLEAN,
         picture BLOB,
         note TEXT,
         CONSTRAINT items_name UNIQUE (name)
     );
     CREATE UNIQUE INDEX items_note_once ON items (lower(note));
     CREATE TABLE shelves (
         room TEXT NOT NULL,
         number BIGINT NOT NULL,
         item_id UUID CONSTRAINT shelves_item_id REFERENCES items (id),
         CONSTRAINT shelves_room_number UNIQUE (room, number)
     );",
)];

const INSERT: &str = "INSERT INTO items (id, name, quantity) VALUES ($1, $2, $3)";

fn id(number: i64) -> Uuid {
    Uuid::from_u128(u128::try_from(number).unwrap())
}

/// Adds an item with this number as its id, name and quantity.
async fn add(db: &Db, number: i64) -> Result<(), Error> {
    db.write((number, number.to_string()), |tx, (number, name)| {
        Box::pin(async move {
            tx.execute(INSERT, &[id(*number).into(), name.into(), (*number).into()]).await?;
            Ok(())
        })
    })
    .await
}

/// Adds an item with a picture of a hundred kilobytes.
async fn add_large(db: &Db, number: i64) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO items (id, name, quantity, picture) VALUES ($1, $2, $3, $4)";
    db.write((number, number.to_string(), vec![7; 100_000]), |tx, (number, name, picture)| {
        Box::pin(async move {
            tx.execute(SQL, &[id(*number).into(), name.into(), (*number).into(), picture.into()]).await?;
            Ok(())
        })
    })
    .await
}

/// The numbers of all items, in order.
async fn numbers(db: &Db) -> Vec<i64> {
    let numbers: Result<_, Error> = db
        .read((), |tx, ()| {
            Box::pin(tx.rows("SELECT quantity FROM items ORDER BY quantity", &[], |row| row.get(0)))
        })
        .await;
    numbers.unwrap()
}

/// Is the item there, as a point read sees it?
async fn has(db: &Db, number: i64) -> bool {
    let found: Result<Option<i64>, Error> = db
        .lookup(id(number), |tx, id| {
            Box::pin(async move {
                tx.optional("SELECT quantity FROM items WHERE id = $1", &[(*id).into()], |row| row.get(0))
                    .await
            })
        })
        .await;
    found.unwrap().is_some()
}

/// Is the file whole?
fn check_integrity(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let answer: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(answer, "ok");
}

/// Starts a future, and looks no further.
fn poll_first<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}
