use std::time::Duration;

use ::audit::{Act, Action};
use ::db::{Db, Error};
use futures_util::FutureExt;
use kit::author::Author;
use kit::clock::new_id;
use serde_json::json;

use super::{check, entries, run, verified};
use crate::harness::{App, each_app, each_engine};

/// Every text that is stored of the audit log.
async fn all_text(app: &App) -> String {
    let found: Result<Vec<String>, Error> = app
        .db
        .read((), |tx, ()| {
            async move {
                let mut texts = tx.rows("SELECT value FROM audit_personal", &[], |row| row.get(0)).await?;
                for column in ["before_facts", "after_facts", "request_id"] {
                    let sql = format!("SELECT COALESCE({column}, '') FROM audit_entries");
                    texts.extend(tx.rows(&sql, &[], |row| row.get::<String>(0)).await?);
                }
                Ok(texts)
            }
            .boxed()
        })
        .await;
    found.unwrap().join("\n")
}

#[tokio::test]
async fn z09_who_is_deleted_leaves_nothing_personal_and_the_chain_holds() {
    each_app(async |app| {
        let admin = app.admin("root").await.at("192.0.2.1");
        let there = app.nobody().at("192.0.2.66");
        let registration =
            json!({"email": "ada@example.com", "password": "a long password 7", "username": "adalove"});
        let ada = there.post("/auth/register", registration).await.expect(201).json();
        let (id, token) = (ada["user"]["id"].as_str().unwrap(), ada["token"].as_str().unwrap());
        let ada = there.with_token(token);
        let wrong = json!({"email": "ada@example.com", "password": "wrong one"});
        there.post("/auth/login", wrong).await.expect(401);
        ada.get("/users").await.problem(403, "forbidden");
        admin.put(&format!("/users/{id}"), json!({"username": "lovelace"})).await.expect(200);
        let before = entries(&admin, "").await;
        let text = all_text(app).await;
        assert!(
            ["ada@example.com", "adalove", "lovelace", "192.0.2.66"].iter().all(|part| text.contains(part)),
            "{text}"
        );
        ada.delete(&format!("/users/{id}")).await.expect(204);
        check(app).await;
        let text = all_text(app).await;
        assert!(
            ["ada@", "adalove", "lovelace", "192.0.2.66"].iter().all(|part| !text.contains(part)),
            "{text}"
        );
        assert!(text.contains("192.0.2.1") && text.contains("root@example.com"), "{text}");
        let after = entries(&admin, "").await;
        assert_eq!(after.len(), before.len() + 1, "every entry is still there");
        for entry in after.iter().filter(|entry| entry["actor_id"] == id) {
            assert_eq!((&entry["erased"], &entry["address"]), (&json!(true), &json!(null)), "{entry}");
        }
        let by_admin = after.iter().find(|entry| entry["action"] == "user.changed").unwrap();
        assert_eq!((&by_admin["address"], &by_admin["person"]), (&json!("192.0.2.1"), &json!(null)));
    })
    .await;
}

#[tokio::test]
async fn z09_who_acted_for_the_business_stays_known_where_they_go() {
    each_app(async |app| {
        let (root, sam) = (app.admin("root").await, app.staff("sam").await.at("192.0.2.7"));
        let product = sam.post("/products", json!({"sku": "LAP-1", "name": "Laptop", "unit_price": 1}));
        product.await.expect(201);
        sam.delete(&format!("/users/{}", sam.id)).await.expect(204);
        let entries = entries(&root, &format!("actor_id={}", sam.id)).await;
        let deleted = entries.iter().find(|entry| entry["action"] == "user.deleted").unwrap();
        assert_eq!(deleted["person"]["before"]["email"], "sam@example.com", "{deleted}");
        assert!(!all_text(app).await.contains("192.0.2.7"));
        check(app).await;
    })
    .await;
}

/// An entry of its own.
async fn note(db: &Db, author: Author) {
    let act = Act::new(Action::LoggedIn, new_id());
    let write = db.write((author, act), |tx, (author, act)| ::audit::record(tx, author, act.clone()).boxed());
    let noted: Result<(), Error> = write.await;
    noted.unwrap();
}

/// What is written of somebody while the account is removed goes with the next sweep.
#[tokio::test]
async fn z09_what_came_too_late_to_be_erased_is_swept() {
    each_app(async |app| {
        // The sweep is the test's own.
        app.stop_work();
        let ada = app.customer("ada").await.at("192.0.2.5");
        ada.get("/users").await.problem(403, "forbidden");
        app.admin("root").await.delete(&format!("/users/{}", ada.id)).await.expect(204);
        app.keep_audit().await;
        assert!(!all_text(app).await.contains("192.0.2.5"), "counted before, written after");
        let author =
            Author { address: Some([192, 0, 2, 5].into()), ..Author::nobody(app.clock.now()).by(ada.id) };
        note(&app.db, author).await;
        app.keep_audit().await;
        assert!(all_text(app).await.contains("192.0.2.5"));
        ::audit::sweep(&app.db, app.clock.now(), None, 10).await.unwrap();
        let text = all_text(app).await;
        assert!(!text.contains("192.0.2.5") && text.contains("root@example.com"), "{text}");
        check(app).await;
    })
    .await;
}

#[tokio::test]
async fn z09_what_is_old_goes_and_the_chain_holds_from_there() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let db = database.open().await;
        let clock = kit::clock::Clock::stopped();
        let note_some = async |count: usize| {
            for _ in 0..count {
                note(&db, Author { address: Some([192, 0, 2, 1].into()), ..Author::nobody(clock.now()) })
                    .await;
            }
            ::audit::seal_all(&db, clock.now()).await.unwrap();
        };
        note_some(7).await;
        clock.advance(Duration::from_secs(3600));
        let moment = clock.now();
        note_some(5).await;
        assert_eq!(::audit::sweep(&db, clock.now(), Some(moment), 3).await.unwrap(), 3);
        assert_eq!((verified(&db).await.entries, verified(&db).await.faults.len()), (9, 0));
        assert_eq!(::audit::sweep(&db, clock.now(), Some(moment), 30).await.unwrap(), 4);
        assert_eq!(::audit::sweep(&db, clock.now(), Some(moment), 30).await.unwrap(), 0);
        let found = verified(&db).await;
        assert_eq!((found.entries, found.head.0, found.faults.len()), (5, 12, 0), "{found:?}");
        assert_eq!(run(&db, "DELETE FROM audit_personal WHERE account_id IS NULL").await.unwrap(), 5);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(::audit::sweep(&db, clock.now(), Some(clock.now()), 30).await.unwrap(), 5);
        note_some(1).await;
        let found = verified(&db).await;
        assert_eq!((found.entries, found.head.0, found.faults.len()), (1, 13, 0), "numbers go on: {found:?}");
    })
    .await;
}
