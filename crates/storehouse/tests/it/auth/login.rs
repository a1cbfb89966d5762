//! `POST /auth/login`

use serde_json::{Value, json};

use super::{PASSWORD, client, log_in, register, text};
use crate::harness::{Answer, App, each_app};

#[tokio::test]
async fn it_answers_as_registering_does() {
    each_app(async |app| {
        let registered = register(app, "ada").await;
        let logged_in = log_in(app, "ada").await;
        assert_eq!(logged_in["user"], registered["user"]);
        assert_ne!(logged_in["refresh_token"], registered["refresh_token"], "a session of its own");
        let me = client(app, &logged_in).get("/users/me").await.expect(200).json();
        assert_eq!(me, registered["user"]);
        let shouted = json!({"email": "ADA@EXAMPLE.COM", "password": PASSWORD});
        app.nobody().post("/auth/login", shouted).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a03_a_password_is_compared_as_typed() {
    each_app(async |app| {
        register(app, "ada").await;
        for password in ["Password123", " password123", "password123 ", "password123\u{0}", "", "password12"]
        {
            attempt(app, "ada@example.com", password).await.problem(401, "invalid_credentials");
        }
    })
    .await;
}

#[tokio::test]
async fn a02_no_password_is_cut_off() {
    each_app(async |app| {
        for (number, start) in ["a".repeat(72), "€".repeat(24), "abc\u{0}defgh".to_owned()].iter().enumerate() {
            let name = format!("ada{number}");
            let body = json!({"email": format!("{name}@example.com"), "password": format!("{start}X"), "username": name});
            app.nobody().post("/auth/register", body).await.expect(201);
            let email = format!("{name}@example.com");
            for other in [format!("{start}Y"), start.clone(), start.split('\0').next().unwrap().to_owned()] {
                attempt(app, &email, &other).await.problem(401, "invalid_credentials");
            }
            attempt(app, &email, &format!("{start}X")).await.expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn a03_composed_and_decomposed_characters_are_two_passwords() {
    each_app(async |app| {
        let body = json!({"email": "ada@example.com", "password": "caf\u{e9} au lait", "username": "ada"});
        app.nobody().post("/auth/register", body).await.expect(201);
        attempt(app, "ada@example.com", "cafe\u{301} au lait").await.problem(401, "invalid_credentials");
        attempt(app, "ada@example.com", "caf\u{e9} au lait").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a07_whatever_is_wrong_the_answer_is_the_same() {
    each_app(async |app| {
        let admin = client(app, &register(app, "root").await);
        let disabled = text(&register(app, "disabled").await["user"], "id").to_owned();
        admin.put(&format!("/users/{disabled}"), json!({"disabled": true})).await.expect(200);
        let bare = json!({"email": "bare@example.com", "username": "bare"});
        admin.post("/users", bare).await.expect(201);
        let wrong =
            attempt(app, "root@example.com", "wrong password").await.problem(401, "invalid_credentials");
        for email in ["unknown@example.com", "disabled@example.com", "bare@example.com", "no email"] {
            let other = attempt(app, email, PASSWORD).await;
            assert_eq!(comparable(&other), comparable(&wrong), "{email}");
        }
    })
    .await;
}

async fn attempt(app: &App, email: &str, password: &str) -> Answer {
    app.nobody().post("/auth/login", json!({"email": email, "password": password})).await
}

/// All of an answer but what differs each time.
fn comparable(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let differs = |name: &str| matches!(name, "x-request-id" | "date");
    let headers = answer.headers.iter().filter(|(name, _)| !differs(name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let mut body = answer.json();
    body["request_id"] = Value::Null;
    (answer.status.as_u16(), headers.collect(), body)
}
