use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Stdio;

use ::db::{Db, Draft, Error, Migration, Movable};
use futures_util::FutureExt;
use rusqlite::Connection;
use serde_json::json;
use storehouse::migrations::MIGRATIONS;

use super::{content_of, file_of, small_database};
use crate::harness::{Engine, PASSWORD, Site, TestDatabase, postgres_server};
use crate::load::check_database;
use crate::process::commands::said;

/// Every table of a SQLite file, and how many rows it has.
fn tables(database: &TestDatabase) -> BTreeMap<String, i64> {
    let connection = Connection::open(file_of(database)).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
    let names: Vec<String> = connection
        .prepare(sql)
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let count = |name: String| {
        let count =
            connection.query_row(&format!("SELECT COUNT(*) FROM {name}"), [], |row| row.get(0)).unwrap();
        (name, count)
    };
    names.into_iter().map(count).collect()
}

async fn count(db: &Db, table: &str) -> i64 {
    let counted: Result<i64, Error> = db
        .read(format!("SELECT COUNT(*) FROM {table}"), |tx, sql| {
            async move { tx.one(sql, &[], |row| row.get(0)).await }.boxed()
        })
        .await;
    counted.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_every_table_arrives_and_the_system_goes_on() {
    if postgres_server().is_none() {
        return;
    }
    let (source, site) = small_database(Engine::Sqlite).await;
    let target = TestDatabase::new(Engine::Postgres, &[]).await;
    let before = fs::read(file_of(&source)).unwrap();
    let told = said(&site.run(&["migrate-to", target.url()]));
    assert_eq!(fs::read(file_of(&source)).unwrap(), before, "the source is as it was");
    let db = target.open().await;
    for (table, rows) in tables(&source) {
        // The series of numbers is a sequence there.
        let arrived = count(&db, &table).await + i64::from(table == "guards");
        assert_eq!(arrived, rows, "{table}");
        assert!(
            table == "schema_migrations" || told.contains(&format!("{table}: {rows}\n")),
            "{table}: {told}"
        );
    }
    db.close().await;
    assert!(told.contains("differences: 0.") && told.contains("Set DATABASE_URL"), "{told}");
    assert_eq!(content_of(&target).await, content_of(&source).await);
    check_database(target.url()).await;
    let process = Site::new(Some(target.url())).start().await;
    let login = json!({"email": "boss@example.com", "password": PASSWORD});
    let mut wire = process.connect().await;
    let session = wire.post("/auth/login", &login).await.unwrap().expect(200).json();
    let mut wire = wire.with_token(session["token"].as_str().unwrap());
    let body = json!({"lines": [{"sku": "LAP-1", "quantity": 1}]});
    let placed = wire.post("/orders", &body).await.unwrap().expect(201).json();
    assert_eq!(placed["number"], 1006, "the series goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_only_one_engine_has_is_not_forgotten() {
    if postgres_server().is_none() {
        return;
    }
    const NEW: &str =
        "CREATE TABLE more (id UUID NOT NULL, a BOOLEAN, b BLOB, CONSTRAINT more_id PRIMARY KEY (id))";
    const BOTH: &[Migration] = &[MIGRATIONS[0], MIGRATIONS[1], Migration::portable(3, "more", NEW)];
    const SQLITE: &[Migration] = &[
        MIGRATIONS[0],
        MIGRATIONS[1],
        Migration { postgres: "SELECT 1", ..Migration::portable(3, "more", NEW) },
    ];
    for (migrations, is_moved) in [(BOTH, true), (SQLITE, false)] {
        let source = TestDatabase::new(Engine::Sqlite, migrations).await;
        let db = source.open().await;
        super::run(
            &db,
            "INSERT INTO more (id, a, b) VALUES (X'01930000000070008000000000000001', TRUE, X'00FF')",
        )
        .await;
        db.close().await;
        let target = TestDatabase::new(Engine::Postgres, &[]).await;
        let draft = Draft::begin(&target.url().parse().unwrap()).await.unwrap();
        let nobody: ::db::Progress = std::sync::Arc::new(|_, _, _| ());
        let movable = Movable::open(&source.url().parse().unwrap(), migrations).await.unwrap();
        let moved = ::db::transfer(movable, &draft, &nobody).await;
        if is_moved {
            assert!(moved.unwrap().iter().any(|moved| moved.table == "more" && moved.rows == 1));
            draft.finish().await.unwrap();
            assert_eq!(count(&target.open().await, "more").await, 1);
        } else {
            let error = moved.unwrap_err().to_string();
            assert!(error.contains("more.id is in SQLite alone"), "{error}");
            assert!(Db::open(&target.url().parse().unwrap()).await.is_err(), "it stays refused");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_system_at_rest_is_moved_and_only_to_an_empty_place() {
    if postgres_server().is_none() {
        return;
    }
    let (source, site) = small_database(Engine::Sqlite).await;
    let target = TestDatabase::new(Engine::Postgres, &[]).await;
    let process = site.start().await;
    let line = site.refusal(&["migrate-to", target.url()]);
    assert!(line.contains("is in use: stop Storehouse first"), "{line}");
    process.connect().await.get("/health/ready").await.unwrap().expect(200);
    assert_eq!(process.signal_and_wait("TERM").await, Some(0));
    // By standard input, where the address isn't shown to others.
    let mut child =
        site.command(&["migrate-to", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", target.url()).unwrap();
    said(&child.wait_with_output().unwrap());
    let line = site.refusal(&["migrate-to", target.url()]);
    assert!(line.contains("is not empty"), "{line}");
    let line = site.refusal(&["migrate-to", "elsewhere.db"]);
    assert!(line.contains("no address of PostgreSQL"), "{line}");
    let line = Site::new(Some(target.url())).refusal(&["migrate-to", target.url()]);
    assert!(line.contains("no SQLite database"), "{line}");
    let old = TestDatabase::new(Engine::Sqlite, &MIGRATIONS[..2]).await;
    let empty = TestDatabase::new(Engine::Postgres, &[]).await;
    let line = Site::new(Some(old.url())).refusal(&["migrate-to", empty.url()]);
    assert!(line.contains("storehouse migrate"), "{line}");
    check_database(source.url()).await;
}

/// What arrives otherwise than it was sent is noticed, whatever made it so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_changes_on_its_way_is_noticed() {
    if postgres_server().is_none() {
        return;
    }
    const SPOILT: &str = "
        CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := NEW.name || '!'; RETURN NEW; END $$;
        CREATE TRIGGER reason_codes_spoil BEFORE INSERT ON guards FOR EACH ROW EXECUTE FUNCTION spoil();";
    const SPOILING: &[Migration] = &[
        MIGRATIONS[0],
        MIGRATIONS[1],
        Migration { number: 3, name: "spoilt", sqlite: "SELECT 1", postgres: SPOILT },
    ];
    let source = TestDatabase::new(Engine::Sqlite, SPOILING).await;
    let target = TestDatabase::new(Engine::Postgres, &[]).await;
    let draft = Draft::begin(&target.url().parse().unwrap()).await.unwrap();
    let nobody: ::db::Progress = std::sync::Arc::new(|_, _, _| ());
    let movable = Movable::open(&source.url().parse().unwrap(), SPOILING).await.unwrap();
    let moved = ::db::transfer(movable, &draft, &nobody).await;
    let error = moved.unwrap_err().to_string();
    assert!(error.contains("guards did not arrive as it was"), "{error}");
}
