//! Migrations: order, refusals, failures in the middle.

use ::db::{Db, Error, Migration, Value};
use futures_util::FutureExt;
use futures_util::future::join_all;
use storehouse::migrations::MIGRATIONS;
use uuid::Uuid;

use crate::harness::{TestDatabase, child_address, each_engine, eventually, start_child};

const ONE: Migration = Migration::portable(1, "one", "CREATE TABLE one (name TEXT, picture BLOB)");
const TWO: Migration =
    Migration::portable(2, "two", "CREATE TABLE two (n BIGINT); INSERT INTO two (n) VALUES (2)");
const THREE: Migration = Migration {
    number: 5,
    name: "three",
    sqlite: "CREATE TABLE three (a INTEGER)",
    postgres: "CREATE TABLE three (a SERIAL)",
};
const BROKEN: Migration = Migration::portable(
    2,
    "two",
    "CREATE TABLE two (n BIGINT); INSERT INTO two (n) VALUES (2); INSERT INTO nowhere VALUES (1)",
);

async fn count(db: &Db, sql: &'static str) -> Result<i64, Error> {
    db.read(sql, |tx, sql| Box::pin(tx.one(sql, &[], |row| row.get(0)))).await
}

async fn refusal(database: &TestDatabase, migrations: &[Migration]) -> String {
    match database.open().await.migrate(migrations).await {
        Err(Error::Internal(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn each_migration_is_applied_once() {
    each_engine(&[], async |database| {
        let db = database.open().await;
        assert_eq!(db.migrate(&[]).await, Ok(0));
        assert_eq!(db.migrate(&[ONE]).await, Ok(1));
        assert_eq!(db.migrate(&[ONE, TWO, THREE]).await, Ok(2));
        assert_eq!(db.migrate(&[ONE, TWO, THREE]).await, Ok(0));
        assert_eq!(count(&db, "SELECT COUNT(*) FROM two").await, Ok(1));
        assert_eq!(count(&db, "SELECT MAX(number) FROM schema_migrations").await, Ok(5));
    })
    .await;
}

#[tokio::test]
async fn lines_that_stand_already_survive_the_table_that_is_made_anew() {
    let before = MIGRATIONS.get(..2).unwrap();
    each_engine(before, async |database| {
        let db = database.open().await;
        let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let insert = "INSERT INTO order_lines (order_id, position, id, sku, product_id, name, quantity, shipped, delivered, returned, unit_minor, total_minor)
                      VALUES ($2, 1, $1, NULL, NULL, 'b', 2, 1, 0, 0, NULL, 9), ($2, 0, $1, 'x', $2, 'a', 3, 3, 2, 1, 5, 15),
                             ($1, 0, $2, NULL, NULL, 'c', 1, 0, 0, 0, 7, 7)";
        db.write(ids, move |tx, ids| {
            async move { tx.execute(insert, &[ids[0].into(), ids[1].into()]).await }.boxed()
        })
            .await
            .unwrap();
        let stood = lines(&db).await;
        assert!(db.migrate(MIGRATIONS).await.unwrap() > 0);
        assert_eq!((lines(&db).await, stood.len()), (stood, 3));
    })
    .await;
}

async fn lines(db: &Db) -> Vec<String> {
    let sql = "SELECT order_id, position, id, sku, product_id, name, quantity, shipped, delivered, returned, unit_minor, total_minor
               FROM order_lines ORDER BY order_id, position";
    let read = db.read(sql, |tx, sql| {
        tx.rows(sql, &[], |row| {
            let ids = [0, 2].map(|index| row.get::<Uuid>(index));
            let texts: (Option<String>, Option<Uuid>, String) = (row.get(3)?, row.get(4)?, row.get(5)?);
            let numbers = [1, 6, 7, 8, 9, 10, 11].map(|index| row.get::<Option<i64>>(index));
            Ok(format!("{ids:?} {texts:?} {numbers:?}"))
        })
        .boxed()
    });
    read.await.unwrap()
}

#[tokio::test]
async fn history_that_stands_already_survives_the_table_that_is_made_anew() {
    let before = MIGRATIONS.get(..15).unwrap();
    each_engine(before, async |database| {
        let db = database.open().await;
        let ids = [1, 2, 3].map(Uuid::from_u128);
        let insert = "INSERT INTO order_history (id, order_id, action, from_status, to_status, actor_id, reason, details, request_id, created_at)
                      VALUES ($3, $2, 'confirm', 'pending', 'confirmed', $1, 'why', '{}', 'r', 7), ($2, $2, 'place', NULL, 'pending', NULL, NULL, '[]', NULL, 7),
                             ($1, $1, 'place', NULL, 'pending', NULL, NULL, '{}', NULL, 9)";
        db.write(ids, move |tx, ids| {
            async move { tx.execute(insert, &ids.map(Value::from)).await }.boxed()
        })
        .await
        .unwrap();
        let stood = history(&db).await;
        assert!(db.migrate(MIGRATIONS).await.unwrap() > 0);
        assert_eq!((history(&db).await, stood.len()), (stood, 3));
    })
    .await;
}

async fn history(db: &Db) -> Vec<String> {
    let sql = "SELECT id, order_id, actor_id, action, from_status, to_status, reason, details, request_id, created_at
               FROM order_history ORDER BY order_id, created_at, id";
    let read = db.read(sql, |tx, sql| {
        tx.rows(sql, &[], |row| {
            let ids = [0, 1, 2].map(|index| row.get::<Option<Uuid>>(index));
            let texts = [3, 4, 5, 6, 7, 8].map(|index| row.get::<Option<String>>(index));
            Ok(format!("{ids:?} {texts:?} {}", row.get::<i64>(9)?))
        })
        .boxed()
    });
    read.await.unwrap()
}

#[tokio::test]
async fn a_failed_migration_leaves_those_before_it_and_nothing_of_itself() {
    each_engine(&[], async |database| {
        let refused = refusal(database, &[ONE, BROKEN, THREE]).await;
        assert!(refused.contains("migration 2 (two) failed") && refused.contains("nowhere"), "{refused}");
        let db = database.open().await;
        assert_eq!(count(&db, "SELECT COUNT(*) FROM schema_migrations").await, Ok(1));
        assert!(count(&db, "SELECT COUNT(*) FROM two").await.is_err());
        assert_eq!(db.migrate(&[ONE, TWO, THREE]).await, Ok(2));
    })
    .await;
}

#[tokio::test]
async fn another_history_is_refused_in_words() {
    each_engine(&[], async |database| {
        database.open().await.migrate(&[ONE, TWO]).await.unwrap();
        let newer = refusal(database, &[ONE]).await;
        assert!(newer.contains("newer Storehouse") && newer.contains("migration 2, two"), "{newer}");
        let renamed = Migration { name: "uno", ..ONE };
        assert!(refusal(database, &[renamed, TWO]).await.contains("migration 1 (one)"));
        let inserted = Migration { number: 3, ..THREE };
        assert!(refusal(database, &[ONE, inserted]).await.contains("migration 2 (two)"));
        assert!(refusal(database, &[TWO, ONE]).await.contains("out of order"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_migrate_at_once() {
    each_engine(&[], async |database| {
        let url = database.url().parse().unwrap();
        let url = &url;
        let applied = join_all((0..8).map(|_| async move {
            let db = Db::open(url).await?;
            db.migrate(&[ONE, TWO, THREE]).await
        }))
        .await;
        let applied: Result<Vec<usize>, Error> = applied.into_iter().collect();
        assert_eq!(applied.unwrap().iter().sum::<usize>(), 3);
        assert_eq!(count(&database.open().await, "SELECT COUNT(*) FROM two").await, Ok(1));
    })
    .await;
}

#[tokio::test]
async fn a_migration_that_would_leave_orphans_is_rolled_back() {
    const TABLES: Migration = Migration::portable(
        1,
        "tables",
        "CREATE TABLE parents (id BIGINT NOT NULL CONSTRAINT parents_id PRIMARY KEY);
         CREATE TABLE children (parent BIGINT CONSTRAINT children_parent REFERENCES parents (id));
         INSERT INTO parents (id) VALUES (1);
         INSERT INTO children (parent) VALUES (1);",
    );
    const ORPHANS: Migration = Migration::portable(2, "orphans", "DELETE FROM parents");
    each_engine(&[], async |database| {
        refusal(database, &[TABLES, ORPHANS]).await;
        assert_eq!(count(&database.open().await, "SELECT COUNT(*) FROM parents").await, Ok(1));
    })
    .await;
}

/// Takes a second or so; repeated, it may do less.
const SLOW: Migration = Migration::portable(
    2,
    "two",
    "CREATE TABLE two (n BIGINT);
     INSERT INTO two (n) WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000000) SELECT n FROM c;
     CREATE TABLE half (n BIGINT)",
);

/// Names that PostgreSQL would read otherwise without quotes.
#[tokio::test]
async fn a_schema_of_any_name_will_do() {
    let Some(database) = TestDatabase::on_postgres(&[]).await else { return };
    let make = "CREATE SCHEMA \"My.Shop\"";
    let made: Result<_, Error> =
        database.open().await.write((), |tx, ()| Box::pin(tx.execute(make, &[]))).await;
    made.unwrap();
    let url = format!("{}?options=-csearch_path%3D%22My.Shop%22", database.url());
    for applied in [2, 0] {
        let db = Db::open(&url.parse().unwrap()).await.unwrap();
        assert_eq!(db.migrate(&[ONE, TWO]).await, Ok(applied));
        assert_eq!(count(&db, "SELECT n FROM \"My.Shop\".two").await, Ok(2));
    }
}

/// Not a test by itself: it is killed.
#[tokio::test]
#[ignore = "started by another test, as a process of its own"]
async fn child_migrates_slowly() {
    let Some(url) = child_address() else { return };
    Db::open(&url).await.unwrap().migrate(&[ONE, SLOW]).await.unwrap();
}

#[tokio::test]
async fn a_process_killed_in_the_middle_leaves_nothing_by_halves() {
    each_engine(&[], async |database| {
        let mut child = start_child("db::migrations::child_migrates_slowly", database.url(), &[]);
        let db = database.open().await;
        eventually("the first migration is there", async || {
            count(&db, "SELECT COUNT(*) FROM one").await.is_ok()
        })
        .await;
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it was killed, and had not ended");
        assert!(count(&db, "SELECT COUNT(*) FROM two").await.is_err());
        assert_eq!(count(&db, "SELECT COUNT(*) FROM schema_migrations").await, Ok(1));
        assert_eq!(db.migrate(&[ONE, TWO, THREE]).await, Ok(2));
        assert_eq!(count(&db, "SELECT n FROM two").await, Ok(2));
        db.close().await;
    })
    .await;
}
