//! `POST /auth/register`

use accounts::FirstAdmin;
use serde_json::{Value, json};

use super::{client, register, registration, text};
use crate::harness::{App, TestDatabase, each_app, each_engine};

#[tokio::test]
async fn it_answers_with_the_user_and_tokens_that_work() {
    each_app(async |app| {
        let answer = app.nobody().post("/auth/register", registration("ada")).await.expect(201);
        let body = answer.json();
        assert_eq!(answer.header("location"), format!("/users/{}", text(&body["user"], "id")));
        assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(900)));
        let mut members: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["expires_in", "refresh_token", "token", "token_type", "user"]);
        let user = client(app, &body).get("/users/me").await.expect(200).json();
        assert_eq!(user, body["user"]);
        assert_eq!(user["preferences"], json!({}));
        assert_eq!(
            (&user["disabled"], &user["version"], &user["full_name"]),
            (&json!(false), &json!(1), &Value::Null)
        );
    })
    .await;
}

#[tokio::test]
async fn all_faults_are_named_at_once() {
    each_app(async |app| {
        let nobody = app.nobody();
        let missing = nobody.post("/auth/register", json!({})).await.problem(422, "validation_failed");
        assert_eq!(missing.faulty_fields(), ["email", "password", "username"]);
        let wrong = json!({"email": "ada", "password": 1, "username": "a", "role": "admin", "id": "x", "password_hash": "y"});
        let mut fields = nobody.post("/auth/register", wrong).await.problem(422, "validation_failed").faulty_fields();
        fields.sort();
        assert_eq!(fields, ["email", "id", "password", "password_hash", "role", "username"]);
        let mut grasping = registration("ada");
        grasping["role"] = "admin".into();
        nobody.post("/auth/register", grasping).await.problem(422, "unknown_field");
        let admin = app.admin("root").await;
        assert_eq!(admin.get("/users?count=exact").await.expect(200).json()["total"], 1, "nobody was made");
    })
    .await;
}

#[tokio::test]
async fn a14_email_and_username_are_taken_in_every_case() {
    each_app(async |app| {
        register(app, "ada.lovelace").await;
        let nobody = app.nobody();
        for (email, username, code) in [
            ("ada.lovelace@example.com", "other", "email_taken"),
            ("ADA.Lovelace@EXAMPLE.com", "other", "email_taken"),
            ("other@example.com", "ada.lovelace", "username_taken"),
            ("other@example.com", "Ada.LOVELACE", "username_taken"),
            ("other@example.com", "Ａda.lovelace", "username_taken"),
        ] {
            let body = json!({"email": email, "password": "password123", "username": username});
            nobody.post("/auth/register", body).await.problem(409, code);
        }
    })
    .await;
}

#[tokio::test]
async fn a01_a_password_has_a_length_and_no_other_rule() {
    each_app(async |app| {
        let longest = "x".repeat(256);
        let taken = [
            "12345678",
            "        ",
            "🦀🦀🦀🦀🦀🦀🦀🦀",
            " spaces at both ends ",
            "a\u{0}bcdefgh",
            longest.as_str(),
        ];
        for (number, password) in taken.into_iter().enumerate() {
            let email = format!("taken{number}@example.com");
            let body = json!({"email": email, "password": password, "username": format!("taken{number}")});
            app.nobody().post("/auth/register", body).await.expect(201);
            let login = json!({"email": email, "password": password});
            app.nobody().post("/auth/login", login).await.expect(200);
            let shorter = &password[..password.char_indices().last().unwrap().0];
            let login = json!({"email": email, "password": shorter});
            app.nobody().post("/auth/login", login).await.problem(401, "invalid_credentials");
        }
        let (long, crabs) = ("x".repeat(257), "🦀".repeat(257));
        for password in [
            "",
            "1234567",
            "🦀🦀🦀🦀🦀🦀🦀",
            &long,
            &crabs,
            "refused@example.com",
            "REFUSED@example.com",
            "Refused1",
        ] {
            let body = json!({"email": "refused@example.com", "password": password, "username": "refused1"});
            let problem = app.nobody().post("/auth/register", body).await.problem(422, "validation_failed");
            assert_eq!(problem.faulty_fields(), ["password"], "{password}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_first_is_an_admin_and_no_other() {
    each_app(async |app| {
        assert_eq!(register(app, "first").await["user"]["role"], "admin");
        assert_eq!(register(app, "second").await["user"]["role"], "customer");
    })
    .await;
}

#[tokio::test]
async fn in_production_the_first_is_a_customer() {
    let test = async |database: &TestDatabase| {
        let app = App::with(database, |options| options.first_admin = FirstAdmin::NotPromoted).await;
        assert_eq!(register(&app, "first").await["user"]["role"], "customer");
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}
