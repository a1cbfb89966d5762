use ::audit::{Act, Action};
use ::db::{Db, Error};
use futures_util::FutureExt;
use kit::author::Author;
use kit::clock::{Clock, new_id};
use storehouse::migrations::MIGRATIONS;

use serde_json::json;

use super::{check, run, verified};
use crate::harness::{App, Engine, Site, TestDatabase, each_engine};
use crate::process::commands::said;

/// A database with some entries, all sealed.
async fn filled(database: &TestDatabase) -> Db {
    let db = database.open().await;
    for number in 1..=12 {
        record(&db, number).await;
    }
    ::audit::seal_all(&db, Clock::default().now()).await.unwrap();
    db
}

async fn record(db: &Db, number: u8) {
    let author = Author {
        address: Some([192, 0, 2, number].into()),
        request_id: Some(format!("request-{number}")),
        ..Author::nobody(Clock::default().now())
    };
    let act = Act::new(Action::LoggedIn, new_id());
    let write = db.write((author, act), |tx, (author, act)| ::audit::record(tx, author, act.clone()).boxed());
    let recorded: Result<(), Error> = write.await;
    recorded.unwrap();
}

/// Whoever seals keeps the plan of the trigger's query for as long as the connection lasts, while the log grows.
#[tokio::test]
async fn what_is_sealed_is_found_by_its_id_however_little_there_was() {
    const READ_WHOLE: &str = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'audit_entries'";
    const AGAIN: &str = "INSERT INTO audit_unsealed (id, action, count, created_at)
                         SELECT id, action, count, created_at FROM audit_entries";
    let Some(database) = TestDatabase::on_postgres(MIGRATIONS).await else { return };
    let db = filled(&database).await;
    db.analyze("audit_entries").await;
    let read: Result<[i64; 2], Error> = db
        .write((), |tx, ()| {
            async move {
                tx.execute(AGAIN, &[]).await?;
                let before = tx.one(READ_WHOLE, &[], |row| row.get(0)).await?;
                assert_eq!(tx.execute("DELETE FROM audit_unsealed", &[]).await?, 12);
                Ok([before, tx.one(READ_WHOLE, &[], |row| row.get(0)).await?])
            }
            .boxed()
        })
        .await;
    assert_eq!(read, Ok([1, 1]));
}

#[tokio::test]
async fn z09_the_schema_refuses_every_change() {
    each_engine(MIGRATIONS, async |database| {
        let db = filled(database).await;
        record(&db, 13).await;
        for sql in [
            "UPDATE audit_entries SET action = 'x'",
            "UPDATE audit_entries SET hash = hash WHERE number = 1",
            "DELETE FROM audit_entries WHERE number = 12",
            "DELETE FROM audit_entries",
            "UPDATE audit_unsealed SET count = 2",
            "DELETE FROM audit_unsealed",
            "UPDATE audit_personal SET value = 'x'",
            "UPDATE audit_head SET number = 3",
            "UPDATE audit_head SET swept_number = 13",
        ] {
            assert!(run(&db, sql).await.is_err(), "{sql}");
        }
        assert!(verified(&db).await.faults.is_empty());
        db.close().await;
    })
    .await;
}

/// Who has the whole database can do without the triggers; `verify` names the first entry that isn't as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn z09_an_edit_behind_the_programs_back_is_named() {
    for (edit, named) in [
        ("UPDATE audit_entries SET object_id = actor_id WHERE number = 7", "entry 7 (login) was changed"),
        ("UPDATE audit_entries SET actor_id = id WHERE number >= 5", "entry 5 (login) was changed"),
        ("UPDATE audit_entries SET request_id = 'other' WHERE number = 12", "entry 12 (login) was changed"),
        (
            "UPDATE audit_entries SET created_at = created_at + 1 WHERE number = 1",
            "entry 1 (login) was changed",
        ),
        ("UPDATE audit_entries SET before_facts = '{}' WHERE number = 2", "entry 2 (login) was changed"),
        ("UPDATE audit_entries SET count = 0 WHERE number = 2", "entry 2 (login) was changed"),
        ("UPDATE audit_entries SET action = 'logout' WHERE number = 3", "entry 3 (logout) was changed"),
        ("DELETE FROM audit_entries WHERE number = 4", "entry 4 is missing"),
        ("DELETE FROM audit_entries WHERE number > 9", "entry 10 is missing, and all behind it"),
        ("DELETE FROM audit_entries", "entry 1 is missing"),
        (
            "UPDATE audit_personal SET value = '198.51.100.1'",
            "the actor's personal data of entry 1 was changed",
        ),
        ("UPDATE audit_entries SET number = number + 1 WHERE number = 12", "entry 12 is missing"),
        ("UPDATE audit_head SET number = 11", "entry 12 stands behind the last one, 11"),
        ("UPDATE audit_head SET swept_number = 2", "entry 3 (login) was changed"),
        ("DELETE FROM audit_head", "ends of the chain is missing"),
    ] {
        each_engine(MIGRATIONS, async |database| {
            let db = filled(database).await;
            without_triggers(&db, database.engine).await;
            run(&db, edit).await.unwrap();
            db.close().await;
            let site = Site::new(Some(database.url()));
            let found = site.run(&["verify"]);
            let (text, error) =
                (String::from_utf8(found.stdout).unwrap(), String::from_utf8(found.stderr).unwrap());
            assert!(text.contains(named), "{edit}: {text}");
            assert_eq!(
                (found.status.code(), &*error),
                (Some(1), "storehouse: the audit log does not hold\n")
            );
        })
        .await;
    }
}

/// What is personal goes with its owner's account, and no sooner.
#[tokio::test]
async fn z09_what_is_personal_and_went_while_its_owner_is_there_is_named() {
    const OF_ROOT: &str = "account_id = (SELECT id FROM accounts WHERE username = 'root')";
    for (edit, named) in [
        (format!("DELETE FROM audit_personal WHERE whose = 'actor' AND {OF_ROOT}"), "is missing"),
        (format!("DELETE FROM audit_personal WHERE whose = 'object' AND {OF_ROOT}"), "is missing"),
        ("DELETE FROM audit_personal WHERE account_id IS NULL".to_owned(), "is missing"),
        (
            format!("UPDATE audit_personal SET account_id = entry_id WHERE {OF_ROOT}"),
            "was made another account's",
        ),
    ] {
        each_engine(MIGRATIONS, async |database| {
            let app = App::new(database).await;
            let (root, sam) =
                (app.admin("root").await.at("192.0.2.1"), app.staff("sam").await.at("192.0.2.2"));
            let bob = app.customer("bob").await.at("192.0.2.3");
            app.nobody()
                .at("192.0.2.4")
                .post("/auth/login", json!({"email": "no@example.com", "password": "x"}))
                .await
                .expect(401);
            root.put(&format!("/users/{}", bob.id), json!({"username": "bobby"})).await.expect(200);
            for gone in [sam, bob] {
                gone.delete(&format!("/users/{}", gone.id)).await.expect(204);
            }
            check(&app).await;
            without_triggers(&app.db, database.engine).await;
            assert!(run(&app.db, &edit).await.unwrap() > 0, "{edit}");
            let faults = verified(&app.db).await.faults.join("\n");
            assert!(faults.contains("personal data of entry") && faults.contains(named), "{edit}: {faults}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn z09_a_trigger_that_is_missing_is_named() {
    each_engine(MIGRATIONS, async |database| {
        let db = filled(database).await;
        without_triggers(&db, database.engine).await;
        db.close().await;
        let found = Site::new(Some(database.url())).run(&["verify"]);
        let (text, error) =
            (String::from_utf8(found.stdout).unwrap(), String::from_utf8(found.stderr).unwrap());
        for name in ["entries_no_update", "entries_no_delete", "personal_no_update", "head_no_way_back"] {
            assert!(text.contains(&format!("the trigger audit_{name} is missing or turned off")), "{text}");
        }
        assert!(!text.contains("stock_movements"), "{text}");
        assert_eq!(
            (found.status.code(), &*error),
            (Some(1), "storehouse: triggers of the schema are missing\n")
        );
    })
    .await;
}

async fn without_triggers(db: &Db, engine: Engine) {
    let drops: Vec<String> = match engine {
        Engine::Sqlite => {
            ["entries_no_update", "entries_no_delete", "personal_no_update", "head_no_way_back"]
                .map(|name| format!("DROP TRIGGER audit_{name}"))
                .into()
        }
        Engine::Postgres => ["entries", "personal", "head"]
            .map(|name| format!("ALTER TABLE audit_{name} DISABLE TRIGGER USER"))
            .into(),
    };
    for drop in drops {
        run(db, &drop).await.unwrap();
    }
}

/// A chain that was computed anew holds by itself; what was noted of the old one shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn z09_a_note_taken_outside_shows_a_chain_that_was_made_anew() {
    let (first, other) = (
        TestDatabase::new(Engine::Sqlite, MIGRATIONS).await,
        TestDatabase::new(Engine::Sqlite, MIGRATIONS).await,
    );
    filled(&first).await.close().await;
    filled(&other).await.close().await;
    let told = said(&Site::new(Some(first.url())).run(&["verify"]));
    let anchor = told.split_once("sealed up to ").unwrap().1.split_once(',').unwrap().0.to_owned();
    let (first, other) = (Site::new(Some(first.url())), Site::new(Some(other.url())));
    said(&first.run(&["verify", "--audit-anchor", &anchor]));
    let found = other.run(&["verify", "--audit-anchor", &anchor]);
    let text = String::from_utf8(found.stdout).unwrap();
    assert!(text.contains("this is another chain than the one that was noted"), "{text}");
    assert_eq!(found.status.code(), Some(1));
    assert_eq!(other.run(&["verify", "--audit-anchor", "12:abc"]).status.code(), Some(2), "that is no note");
}
