//! Passwords that anybody would try first, refused where `PASSWORD_DENYLIST` is on.

use serde_json::json;

use super::client;
use crate::harness::{Answer, App, TestDatabase, each_app, each_engine};

/// Passwords of ada.lovelace@engine.example, called Countess, that are refused, and as what.
const REFUSED: &[(&str, &str)] = &[
    ("password", "common_password"),
    ("Password123", "common_password"),
    ("p@ssw0rd", "common_password"),
    ("iloveyou", "common_password"),
    ("sunshine2024", "common_password"),
    ("12345678", "common_password"),
    ("storehouse", "guessable_password"),
    ("Storehouse-2026", "guessable_password"),
    ("countess!", "guessable_password"),
    ("ada.lovelace", "guessable_password"),
    ("AdaLovelace1", "guessable_password"),
    ("engine-ada", "guessable_password"),
    ("lkjhgfdsa;'", "guessable_password"),
    ("4rfv5tgb6yhn7ujm", "guessable_password"),
    ("zzzzzzzzzz", "guessable_password"),
    ("Countess", "invalid_password"),
];

#[track_caller]
fn refused(answer: Answer, field: &str, code: &str) {
    let answer = answer.problem(422, "validation_failed");
    let faults = answer.json()["errors"].clone();
    assert_eq!((&faults[0]["field"], &faults[0]["code"]), (&json!(field), &json!(code)), "{faults}");
    let says_why = faults[0]["message"].as_str().is_some_and(|message| message.len() > 20);
    assert!(says_why, "{faults}");
}

#[tokio::test]
async fn a05_what_is_tried_first_is_refused_with_a_reason() {
    let test = async |database: &TestDatabase| {
        let app = App::with(database, |options| options.password_denylist = true).await;
        let admin = app.admin("root").await;
        let (email, username) = ("ada.lovelace@engine.example", "Countess");
        let body = |password: &str| json!({"email": email, "password": password, "username": username});
        for (password, code) in REFUSED {
            refused(app.nobody().post("/auth/register", body(password)).await, "password", code);
            refused(admin.post("/users", body(password)).await, "password", code);
        }
        let good = "a bird in the bush";
        let ada = app.nobody().post("/auth/register", body(good)).await.expect(201).json();
        let change = |password: &str| json!({"current_password": good, "new_password": password});
        for (password, code) in REFUSED {
            let answer = client(&app, &ada).post("/auth/password", change(password)).await;
            refused(answer, "new_password", code);
        }
        client(&app, &ada).post("/auth/password", change("two birds in the hand")).await.expect(204);
        assert_eq!(admin.get("/users?count=exact").await.expect(200).json()["total"], 2);
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

#[tokio::test]
async fn where_the_list_is_off_they_are_taken() {
    each_app(async |app| {
        for (name, password) in [("ada", "password123"), ("bob", "storehouse1")] {
            let body =
                json!({"email": format!("{name}@example.com"), "password": password, "username": name});
            app.nobody().post("/auth/register", body).await.expect(201);
        }
    })
    .await;
}
