//! How often passwords may be guessed: at auth itself, so through the gateway and past it.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, App, Client, limited_app};

const PASSWORD: &str = "password123";

async fn register<'a>(app: &'a App, name: &str) -> Client<'a> {
    let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD, "username": name});
    let answer = app.nobody().post("/auth/register", body).await.expect(201).json();
    app.nobody().with_token(answer["token"].as_str().unwrap())
}

async fn log_in(client: &Client<'_>, email: &str, password: &str) -> Answer {
    client.post("/auth/login", json!({"email": email, "password": password})).await
}

/// Wrong `count` times; then the next has to wait a second.
async fn guess(client: &Client<'_>, email: &str, count: u32) {
    for _ in 0..count {
        log_in(client, email, "wrong password").await.problem(401, "invalid_credentials");
    }
}

#[track_caller]
fn refused(answer: Answer, seconds: &str) -> Answer {
    let answer = answer.problem(429, "rate_limited");
    assert_eq!(answer.header("retry-after"), seconds, "{}", answer.text());
    answer
}

#[tokio::test]
async fn each_guess_after_the_fifth_waits_twice_as_long() {
    limited_app(async |app| {
        register(app, "ada").await;
        let here = app.nobody();
        guess(&here, "ada@example.com", 5).await;
        for (delay, seconds) in [(1, "1"), (2, "2"), (4, "4")] {
            refused(log_in(&here, "ada@example.com", "wrong password").await, seconds);
            // The right one has to wait as well, else the wait would tell nothing wrong from right.
            refused(log_in(&here, "ADA@example.com", PASSWORD).await, seconds);
            app.clock.advance(Duration::from_secs(delay));
            guess(&here, "ada@example.com", 1).await;
        }
        app.clock.advance(Duration::from_secs(8));
        log_in(&here, "ada@example.com", PASSWORD).await.expect(200);
        guess(&here, "ada@example.com", 1).await;
        log_in(&here, "ada@example.com", PASSWORD).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a11_no_stranger_keeps_anybody_out() {
    limited_app(async |app| {
        register(app, "ada").await;
        let (here, there) = (app.nobody(), app.nobody().at("192.0.2.7"));
        guess(&there, "ada@example.com", 5).await;
        refused(log_in(&there, "ada@example.com", PASSWORD).await, "1");
        log_in(&here, "ada@example.com", PASSWORD).await.expect(200);
        // Neither does that success help the stranger.
        refused(log_in(&there, "ada@example.com", PASSWORD).await, "1");
    })
    .await;
}

#[tokio::test]
async fn a08_an_unknown_email_is_treated_as_any_other() {
    limited_app(async |app| {
        register(app, "ada").await;
        let mut said = Vec::new();
        for (address, email) in [
            ("192.0.2.1", "ada@example.com"),
            ("192.0.2.2", "unknown@example.com"),
            ("192.0.2.3", "no email"),
        ] {
            let client = app.nobody().at(address);
            guess(&client, email, 5).await;
            let mut answer = refused(log_in(&client, email, "wrong password").await, "1");
            for differs in ["x-request-id", "date", "ratelimit"] {
                answer.headers.remove(differs);
            }
            let mut body = answer.json();
            body["request_id"] = Value::Null;
            said.push((answer.headers, body));
        }
        assert_eq!((&said[1], &said[2]), (&said[0], &said[0]));
    })
    .await;
}

#[tokio::test]
async fn an_address_is_wrong_ten_times_a_minute() {
    limited_app(async |app| {
        register(app, "ada").await;
        let here = app.nobody();
        for number in 0..10 {
            guess(&here, &format!("user{number}@example.com"), 1).await;
        }
        refused(log_in(&here, "ada@example.com", PASSWORD).await, "6");
        // Before its body is even read.
        refused(here.request(Method::POST, "/auth/login").raw("text/plain", "odd").send().await, "6");
        log_in(&here.at("192.0.2.7"), "ada@example.com", PASSWORD).await.expect(200);
        app.clock.advance(Duration::from_secs(6));
        log_in(&here, "ada@example.com", PASSWORD).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn an_address_logs_in_thirty_times_a_minute() {
    limited_app(async |app| {
        let here = app.nobody();
        for _ in 0..30 {
            here.post("/auth/login", json!({})).await.problem(422, "validation_failed");
        }
        refused(here.post("/auth/login", json!({})).await, "2");
        here.at("192.0.2.7").post("/auth/login", json!({})).await.problem(422, "validation_failed");
    })
    .await;
}

#[tokio::test]
async fn an_address_registers_ten_times_a_minute() {
    limited_app(async |app| {
        let here = app.nobody();
        register(app, "ada").await;
        let ada = json!({"email": "ada@example.com", "password": PASSWORD, "username": "ada2"});
        for _ in 0..9 {
            here.post("/auth/register", ada.clone()).await.problem(409, "email_taken");
        }
        refused(here.post("/auth/register", ada.clone()).await, "6");
        // Before its body is even read, and past the gateway too.
        let odd = || here.request(Method::POST, "/auth/register").raw("text/plain", "odd");
        refused(odd().send().await, "6");
        refused(odd().to("auth").send().await, "6");
        here.at("192.0.2.7").post("/auth/register", ada.clone()).await.problem(409, "email_taken");
        log_in(&here, "ada@example.com", PASSWORD).await.expect(200);
        app.clock.advance(Duration::from_secs(6));
        here.post("/auth/register", ada.clone()).await.problem(409, "email_taken");
        refused(here.post("/auth/register", ada).await, "6");
        let metrics = app.nobody().get("/metrics").await.expect(200).text();
        assert!(metrics.contains("storehouse_rate_limited_total{policy=\"register\"} 4\n"), "{metrics}");
    })
    .await;
}

#[tokio::test]
async fn the_gateway_is_no_way_around() {
    limited_app(async |app| {
        register(app, "ada").await;
        guess(&app.nobody(), "ada@example.com", 5).await;
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let call = || app.nobody().request(Method::POST, "/auth/login").json(&body);
        let through = refused(call().send().await, "1");
        assert!(!through.headers.contains_key("ratelimit"), "the gateway would not refuse: {through:?}");
        refused(call().to("auth").send().await, "1");
    })
    .await;
}

#[tokio::test]
async fn a12_guesses_at_once_are_no_more_than_guesses_in_a_row() {
    limited_app(async |app| {
        register(app, "ada").await;
        let client = app.nobody();
        let at = |number: usize| format!("user{number}@example.com");
        let one = join_all((0..30).map(|_| log_in(&client, "ada@example.com", "wrong password"))).await;
        assert_eq!(statuses(&one), (5, 25));
        let there = client.at("192.0.2.7");
        let emails: Vec<String> = (0..200).map(at).collect();
        let many = join_all(emails.iter().map(|email| log_in(&there, email, "wrong password"))).await;
        assert_eq!(statuses(&many), (10, 190));
    })
    .await;
}

/// How many were looked at, and how many refused.
fn statuses(answers: &[Answer]) -> (usize, usize) {
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(count(401) + count(429), answers.len());
    (count(401), count(429))
}

#[tokio::test]
async fn a_wrong_current_password_counts_as_a_guess() {
    limited_app(async |app| {
        let ada = register(app, "ada").await;
        let change = |current: &str| json!({"current_password": current, "new_password": "another password"});
        let email = |current: &str| json!({"current_password": current, "email": "countess@example.com"});
        for _ in 0..2 {
            ada.post("/auth/password", change("wrong")).await.problem(401, "invalid_credentials");
            ada.put("/users/me", email("wrong")).await.problem(401, "invalid_credentials");
        }
        guess(&app.nobody(), "ada@example.com", 1).await;
        refused(ada.post("/auth/password", change(PASSWORD)).await, "1");
        refused(ada.put("/users/me", email(PASSWORD)).await, "1");
        refused(log_in(&app.nobody(), "ada@example.com", PASSWORD).await, "1");
        ada.put("/users/me", json!({"full_name": "Ada"})).await.expect(200);
        app.clock.advance(Duration::from_secs(1));
        ada.put("/users/me", email(PASSWORD)).await.expect(200);
        ada.post("/auth/password", change(PASSWORD)).await.expect(204);
    })
    .await;
}
