//! Emails and user names that look alike.

use ::db::{Db, Error};
use futures_util::FutureExt;
use serde_json::json;
use uuid::Uuid;

use super::{PASSWORD, client, register};
use crate::harness::{App, TestDatabase, each_app, each_engine};

/// Emails that a reader takes for `mike@github.example`, or that are no emails.
const EMAILS: &[&str] = &[
    "MIKE@github.example",
    "mike@GitHub.Example",
    "\u{ff4d}\u{ff49}\u{ff4b}\u{ff45}@github.example", // full-width
    "m\u{131}ke@github.example",                       // dotless i
    "M\u{130}KE@github.example",                       // dotted capital I
    "mi\u{212a}e@github.example",                      // Kelvin sign
    "mi\u{200b}ke@github.example",                     // zero width
    "mike@git\u{200b}hub.example",
    "mike\u{ad}@github.example", // soft hyphen
    "m\u{456}ke@github.example", // Cyrillic
    "mi\u{307}ke@github.example",
    "\"mike\"@github.example",
    "mike@github.example.",       // trailing dot
    "mike@github\u{3002}example", // ideographic full stop
    "mike@g\u{131}thub.example",
    "mike@xn--gthub-n4a.example", // the same in punycode
    "mike@\u{ff47}ithub.example",
];

/// User names that a reader takes for `mike`, or that are none.
const USERNAMES: &[&str] = &[
    "MIKE",
    "\u{ff2d}\u{ff29}\u{ff2b}\u{ff25}",
    "m\u{131}ke",
    "M\u{130}KE",
    "mi\u{212a}e",
    "mi\u{200b}ke",
    "mi\u{3164}ke",
    "m\u{456}ke",
    "\u{1d426}ike",
    "mike.\u{200d}",
    "mike ",
];

#[tokio::test]
async fn a14_who_looks_like_somebody_else_can_not_register() {
    each_app(async |app| {
        let body = json!({"email": "mike@github.example", "password": PASSWORD, "username": "mike"});
        app.nobody().post("/auth/register", body).await.expect(201);
        let try_with = async |email: &str, username: &str, code: &str| {
            let body = json!({"email": email, "password": PASSWORD, "username": username});
            let answer = app.nobody().post("/auth/register", body).await;
            let is_refused = answer.code() == code || answer.code() == "validation_failed";
            assert!(is_refused, "{email:?} {username:?}: {}", answer.text());
        };
        for email in EMAILS {
            try_with(email, "another", "email_taken").await;
        }
        for username in USERNAMES {
            try_with("another@github.example", username, "username_taken").await;
        }
        let composed = json!({"email": "ange\u{301}lique@b\u{fc}cher.example", "password": PASSWORD, "username": "Ange\u{301}lique"});
        app.nobody().post("/auth/register", composed).await.expect(201);
        try_with("ang\u{e9}lique@xn--bcher-kva.example", "another", "email_taken").await;
        try_with("another@github.example", "ang\u{c9}lique", "username_taken").await;
        let admin = app.admin("root").await;
        assert_eq!(admin.get("/users?count=exact").await.expect(200).json()["total"], 3, "nobody was made");
    })
    .await;
}

#[tokio::test]
async fn a14_an_email_is_shown_as_typed_and_found_by_all_that_look_like_it() {
    each_app(async |app| {
        let typed = "Ange\u{301}lique@B\u{fc}cher.example";
        let body = json!({"email": typed, "password": PASSWORD, "username": "Ange\u{301}lique"});
        let registered = app.nobody().post("/auth/register", body).await.expect(201).json();
        // Mail servers know no marks that stand beside their letters.
        assert_eq!(
            (&registered["user"]["email"], &registered["user"]["username"]),
            (&json!("Ang\u{e9}lique@B\u{fc}cher.example"), &json!("Ange\u{301}lique"))
        );
        for email in [typed, "ang\u{e9}lique@xn--bcher-kva.example", "ANG\u{c9}LIQUE@B\u{dc}CHER.example."] {
            let body = json!({"email": email, "password": PASSWORD});
            let answer = app.nobody().post("/auth/login", body).await.expect(200).json();
            assert_eq!(answer["user"], registered["user"], "{email}");
        }
    })
    .await;
}

#[tokio::test]
async fn a14_neither_a_change_nor_an_admin_makes_a_second_one() {
    each_app(async |app| {
        let root = client(app, &register(app, "root").await);
        register(app, "mike").await;
        let other = register(app, "other").await;
        let path = format!("/users/{}", other["user"]["id"].as_str().unwrap());
        root.put(&path, json!({"username": "m\u{131}ke"})).await.problem(409, "username_taken");
        root.put(&path, json!({"email": "m\u{131}ke@example.com"})).await.problem(409, "email_taken");
        let twin = json!({"email": "mike@\u{ff45}xample.com", "username": "third"});
        root.post("/users", twin).await.problem(409, "email_taken");
        client(app, &other)
            .put("/users/me", json!({"username": "\u{ff4d}ike"}))
            .await
            .problem(409, "username_taken");
        root.put(&path, json!({"username": "OTHER"})).await.expect(200);
    })
    .await;
}

/// Stores an account as an earlier version did, whose keys told fewer names to be alike.
async fn insert_old(db: &Db, email: &'static str, username: &'static str) -> Uuid {
    let id = kit::clock::new_id();
    let insert = "INSERT INTO accounts (id, email, email_key, username, username_key, role, password_hash, preferences, disabled, search,
                                        created_at, updated_at, version)
                  SELECT $1, $2, $2, $3, $3, 'customer', password_hash, '{}', FALSE, '', 1, 1, 1 FROM accounts WHERE username_key = 'root'";
    db.write((), move |tx, ()| {
        async move { tx.execute(insert, &[id.into(), email.into(), username.into()]).await }.boxed()
    })
    .await
    .unwrap();
    id
}

#[tokio::test]
async fn accounts_of_an_earlier_version_get_new_keys_and_twins_stay_apart() {
    let test = async |database: &TestDatabase| {
        let app = App::new(database).await;
        register(&app, "root").await;
        let alone = insert_old(&app.db, "zo\u{eb}@b\u{fc}cher.example", "m\u{131}na").await;
        let first = insert_old(&app.db, "mike@github.example", "mike").await;
        let twin = insert_old(&app.db, "m\u{131}ke@github.example", "m\u{131}ke").await;
        assert_eq!(accounts::renew_keys(&app.db).await, Ok(3));
        assert_eq!(accounts::renew_keys(&app.db).await, Ok(0), "once");
        for (email, id) in [
            ("ZO\u{cb}@xn--bcher-kva.example", alone),
            ("mike@github.example", first),
            ("MIKE@GITHUB.example", first),
            ("m\u{131}ke@github.example", twin),
        ] {
            let body = json!({"email": email, "password": PASSWORD});
            let user = app.nobody().post("/auth/login", body).await.expect(200).json()["user"].clone();
            assert_eq!(user["id"], json!(id), "{email}");
        }
        let mina = json!({"email": "new@example.com", "password": PASSWORD, "username": "mina"});
        app.nobody().post("/auth/register", mina).await.problem(409, "username_taken");
        // What an earlier version took, this one need not: the account lives on, and may change all else.
        let odd = insert_old(&app.db, "odd@x_y.example", "o\u{3164}d").await;
        assert_eq!(accounts::renew_keys(&app.db).await, Ok::<u64, Error>(1));
        let root = client(&app, &super::log_in(&app, "root").await);
        root.put(&format!("/users/{odd}"), json!({"full_name": "Odd"})).await.expect(200);
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}
