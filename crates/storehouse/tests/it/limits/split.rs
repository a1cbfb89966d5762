//! Gateway and services in processes of their own: requests are limited at the gateway alone, logins at auth.

use http::Method;
use serde_json::json;

use crate::harness::{Answer, App, Call, each_engine};

/// A split system with limits, whose gateway stands behind a proxy on this machine.
async fn split_app(test: impl AsyncFn(&App)) {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let app = App::split_with(database, |options| {
            options.rate_limit = true;
            options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        });
        test(&app.await).await;
    })
    .await;
}

#[tokio::test]
async fn a_request_counts_once_and_at_the_gateway_alone() {
    split_app(async |app| {
        let ada = app.customer("ada").await;
        for left in ["199", "198"] {
            let answer = ada.get("/orders").await.expect(200);
            assert!(answer.header("ratelimit").starts_with(&format!("\"default\";r={left};")), "{answer:?}");
            assert_eq!(answer.headers.get_all("ratelimit").iter().count(), 1);
        }
        for _ in 0..250 {
            let answer = ada.request(Method::GET, "/orders").to("orders").send().await.expect(200);
            assert!(!answer.headers.contains_key("ratelimit"), "{answer:?}");
        }
        let answer = ada.get("/orders").await.expect(200);
        assert!(answer.header("ratelimit").starts_with("\"default\";r=197;"), "{answer:?}");
    })
    .await;
}

/// A wrong password; a proxy says that it comes from there.
fn guess<'a>(app: &'a App, address: &str) -> Call<'a> {
    let body = json!({"email": "ada@example.com", "password": "wrong password"});
    app.nobody().request(Method::POST, "/auth/login").header("x-forwarded-for", address).json(&body)
}

fn wrong(answer: Answer) {
    answer.problem(401, "invalid_credentials");
}

fn limited(answer: Answer) {
    answer.problem(429, "rate_limited");
}

#[tokio::test]
async fn a_login_counts_for_the_clients_own_address() {
    split_app(async |app| {
        for _ in 0..5 {
            wrong(guess(app, "203.0.113.7").send().await);
        }
        limited(guess(app, "203.0.113.7").send().await);
        wrong(guess(app, "203.0.113.8").send().await);
        // Past the gateway nobody is believed to come from elsewhere: these are all of this machine, and its first.
        for number in 0..5 {
            wrong(guess(app, &format!("203.0.113.{number}")).to("auth").send().await);
        }
        limited(guess(app, "203.0.113.9").to("auth").send().await);
        limited(guess(app, "127.0.0.1").send().await);
        wrong(guess(app, "203.0.113.8").send().await);
    })
    .await;
}
