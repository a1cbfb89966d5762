//! Constraints, failed statements, panics, and closures that await something else.

use std::future::pending;

use ::db::{Db, Error, Tx, Value};
use futures_util::future::{BoxFuture, join_all};

use super::{INSERT, SCHEMA, add, has, id, numbers};
use crate::harness::{Engine, each_engine};

/// Runs one statement as a write.
async fn write(db: &Db, sql: &'static str) -> Result<u64, Error> {
    db.write(sql, |tx, sql| Box::pin(tx.execute(sql, &[]))).await
}

#[tokio::test]
async fn a_constraint_is_known_by_its_name() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        add(&db, 1).await.unwrap();
        write(&db, "UPDATE items SET note = 'Once'").await.unwrap();
        write(&db, "INSERT INTO shelves (room, number) VALUES ('a', 1)").await.unwrap();
        let cases = [
            ("INSERT INTO items (id, name, quantity) SELECT id, 'other', 0 FROM items", "items_id"),
            ("INSERT INTO guards (name, n) VALUES ('items', 7)", "guards_name"),
            ("UPDATE items SET quantity = -1", "items_quantity"),
            ("UPDATE items SET name = NULL", "items_name"),
            ("INSERT INTO shelves (room, number) VALUES ('a', 1)", "shelves_room_number"),
            ("INSERT INTO shelves (room, number) VALUES ('a', NULL)", "shelves_number"),
        ];
        for (sql, name) in cases {
            let refused = write(&db, sql).await.unwrap_err();
            assert!(refused.violates(name), "{refused} is not {name}");
        }
    })
    .await;
}

#[tokio::test]
async fn unique_columns_indexes_and_foreign_keys_have_names_too() {
    const ITEM: &str = "INSERT INTO items (id, name, quantity, note) VALUES ($1, $2, 0, $3)";
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let insert = async |number: i64, name: &'static str, note: &'static str| {
            db.write((number, name, note), |tx, (number, name, note)| {
                Box::pin(async move {
                    tx.execute(ITEM, &[id(*number).into(), (*name).into(), (*note).into()]).await
                })
            })
            .await
        };
        insert(1, "one", "Note").await.unwrap();
        let same_name: Error = insert(2, "one", "other").await.unwrap_err();
        assert!(same_name.violates("items_name"), "{same_name}");
        let same_note = insert(2, "two", "nOTE").await.unwrap_err();
        assert!(same_note.violates("items_note_once"), "{same_note}");
        let orphan: Result<u64, Error> = db
            .write(id(9), |tx, item| {
                let sql = "INSERT INTO shelves (room, number, item_id) VALUES ('a', 1, $1)";
                Box::pin(async move { tx.execute(sql, &[(*item).into()]).await })
            })
            .await;
        assert!(orphan.unwrap_err().violates("foreign_key"));
    })
    .await;
}

/// Adds an item, meets its name again, and goes on as if nothing had happened.
fn careless<'a>(tx: &'a Tx, number: &'a i64) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        let name = &number.to_string();
        let args: [Value<'_>; 3] = [id(*number).into(), name.into(), (*number).into()];
        tx.execute(INSERT, &args).await?;
        let again: [Value<'_>; 3] = [id(*number).into(), "again".into(), (*number).into()];
        assert!(tx.execute(INSERT, &again).await.unwrap_err().violates("items_id"));
        assert_eq!(tx.execute("UPDATE items SET quantity = 0", &[]).await, Err(Error::Spent));
        assert_eq!(tx.rows("SELECT 1", &[], |_| Ok(())).await, Err(Error::Spent));
        assert_eq!(tx.all(&[("UPDATE items SET quantity = 0", &[])]).await, Err(Error::Spent));
        Ok(())
    })
}

#[tokio::test]
async fn a_failed_statement_spends_the_transaction() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let result = db.write(7, careless).await;
        assert!(result.unwrap_err().violates("items_id"), "the first failure is the answer");
        assert!(!has(&db, 7).await, "and nothing is kept");
    })
    .await;
}

#[tokio::test]
async fn a_failure_harms_no_other_write_of_its_batch() {
    each_engine(SCHEMA, async |database| {
        let db = &database.open().await;
        let results = join_all((0..60).map(|number| async move {
            match number % 4 {
                0 => db.write(number, careless).await,
                1 => db.write(number, |_, _| Box::pin(async { panic!("on purpose") })).await,
                2 => db.write(number, refuse).await,
                _ => add(db, number).await,
            }
        }))
        .await;
        for (number, result) in results.into_iter().enumerate() {
            match number % 4 {
                0 => assert!(result.unwrap_err().violates("items_id")),
                1 => assert_eq!(result, Err(Error::Panicked)),
                2 => assert_eq!(result, Err(Error::Busy)),
                _ => result.unwrap(),
            }
        }
        assert_eq!(numbers(db).await, (0..60).filter(|number| number % 4 == 3).collect::<Vec<_>>());
    })
    .await;
}

/// Adds an item and then decides against it.
fn refuse<'a>(tx: &'a Tx, number: &'a i64) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        let name = number.to_string();
        tx.execute(INSERT, &[id(*number).into(), (&name).into(), (*number).into()]).await?;
        Err(Error::Busy)
    })
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let written: Result<(), Error> = db
            .write(1, |tx, number| {
                Box::pin(async move {
                    tx.execute(INSERT, &[id(*number).into(), "x".into(), 1.into()]).await?;
                    panic!("on purpose")
                })
            })
            .await;
        assert_eq!(written, Err(Error::Panicked));
        let in_a_row: Result<Vec<()>, Error> = db
            .write((), |tx, ()| Box::pin(tx.rows("SELECT name FROM guards", &[], |_| panic!("on purpose"))))
            .await;
        assert_eq!(in_a_row, Err(Error::Panicked));
        let read: Result<(), Error> = db.read((), |_, ()| panic!("on purpose")).await;
        assert_eq!(read, Err(Error::Panicked));
        let looked: Result<(), Error> = db.lookup((), |_, ()| Box::pin(async { panic!("on purpose") })).await;
        assert_eq!(looked, Err(Error::Panicked));
        add(&db, 2).await.unwrap();
        assert_eq!(numbers(&db).await, [2]);
    })
    .await;
}

#[tokio::test]
async fn only_the_database_may_be_awaited_on_sqlite() {
    each_engine(SCHEMA, async |database| {
        if database.engine == Engine::Postgres {
            return;
        }
        let db = database.open().await;
        let write: Result<(), Error> = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    tx.execute(INSERT, &[id(1).into(), "x".into(), 1.into()]).await?;
                    tokio::time::sleep(std::time::Duration::ZERO).await;
                    pending().await
                })
            })
            .await;
        assert_eq!(write, Err(Error::Awaited));
        assert_eq!(db.read((), |_, ()| Box::pin(pending::<Result<(), Error>>())).await, Err(Error::Awaited));
        assert_eq!(
            db.lookup((), |_, ()| Box::pin(pending::<Result<(), Error>>())).await,
            Err(Error::Awaited)
        );
        add(&db, 2).await.unwrap();
        assert_eq!(numbers(&db).await, [2]);
    })
    .await;
}

#[tokio::test]
async fn a_read_cannot_write() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        add(&db, 1).await.unwrap();
        for sql in
            ["DELETE FROM items", "delete from items", "INSERT INTO guards VALUES ('x', 1) RETURNING n"]
        {
            let read: Result<(), Error> = db
                .read(sql, |tx, sql| Box::pin(async move { tx.rows(sql, &[], |_| Ok(())).await.map(drop) }))
                .await;
            assert!(matches!(read, Err(Error::Internal(_))), "{read:?}");
            let looked: Result<u64, Error> = db.lookup(sql, |tx, sql| Box::pin(tx.execute(sql, &[]))).await;
            assert!(matches!(looked, Err(Error::Internal(_))), "{looked:?}");
        }
        assert_eq!(numbers(&db).await, [1]);
    })
    .await;
}

#[tokio::test]
async fn a_mistake_in_a_statement_is_told_to_the_log() {
    each_engine(&[], async |database| {
        let db = database.open().await;
        let mistake = write(&db, "UPDATE nowhere SET nothing = 1").await.unwrap_err();
        assert!(matches!(&mistake, Error::Internal(text) if text.contains("nowhere")), "{mistake}");
    })
    .await;
}
