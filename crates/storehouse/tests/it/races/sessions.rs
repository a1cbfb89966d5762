//! Sessions: whoever logs out is out, whatever happens at that moment.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join;
use http::Method;
use serde_json::{Value, json};

use super::{MANY, at_once, count, registration};
use crate::harness::{App, Client, each_app, eventually};

/// Polls a request a few times, then drops it, as a server does when its client is gone.
async fn abandon(request: impl Future, polls: usize) {
    let mut request = Box::pin(request);
    for _ in 0..polls {
        if request.as_mut().now_or_never().is_some() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Whether every way in is closed to a token.
async fn is_out(app: &App, client: &Client<'_>) -> bool {
    for service in ["gateway", "auth", "users", "orders", "inventory"] {
        let path = match service {
            "orders" => "/orders",
            "auth" => "/auth/validate",
            "inventory" => "/products",
            _ => "/users/me",
        };
        if client.request(Method::GET, path).to(service).send().await.status != 401 {
            return false;
        }
    }
    app.nobody().get("/users/me").await.status == 401
}

/// Waits until a session is known, so that its next request is let in without a query. One request isn't enough: a
/// session that is read while another one's end arrives isn't remembered.
async fn become_known(client: &Client<'_>) {
    eventually("the session is known", async || {
        let is_let_in = client.get("/users/me").await.status == 200;
        is_let_in && client.get("/auth/validate").now_or_never().is_some()
    })
    .await;
}

/// A request that is dropped before it was let in has done nothing. Whoever is known is let in at the first poll, and
/// from there on the logout is done in full, whoever goes away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_whose_client_goes_away_still_counts() {
    each_app(async |app| {
        let mut clients = Vec::new();
        for round in 0..60 {
            let client = app.customer(&format!("user{round}")).await;
            become_known(&client).await;
            let path = ["/auth/logout", "/auth/logout-all"][round % 2];
            abandon(client.request(Method::POST, path).send(), 1 + round % 7).await;
            clients.push(client);
        }
        let ended = async || count(app, "SELECT COUNT(*) FROM session_feed").await;
        // When a process first reads the feed it forgets whom it knew, which may be one of them, just before it is let in.
        eventually("all that were let in have ended", async || ended().await >= 59).await;
        eventually("every way in is closed to those, and to no other", async || {
            let mut out = 0;
            for client in &clients {
                out += i64::from(is_out(app, client).await);
            }
            out == ended().await
        })
        .await;
        assert_eq!(count(app, "SELECT COUNT(*) FROM sessions").await, 60 - ended().await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_answered_logout_no_request_gets_in() {
    each_app(async |app| {
        for round in 0..20 {
            let client = app.customer(&format!("user{round}")).await;
            // Requests that read the session at the very moment at which it ends must not bring it back.
            let reading = at_once(8, async |_| client.get("/users/me").await);
            let (_, ended) = join(reading, client.post("/auth/logout", json!({}))).await;
            ended.expect(204);
            assert!(is_out(app, &client).await, "round {round}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_log_out_at_once() {
    each_app(async |app| {
        let client = app.customer("ann").await;
        for answer in at_once(MANY, async |_| client.post("/auth/logout", json!({})).await).await {
            assert!(matches!(answer.status.as_u16(), 204 | 401), "{answer:?}");
        }
        assert!(is_out(app, &client).await);
    })
    .await;
}

async fn refresh(app: &App, token: &str) -> crate::harness::Answer {
    app.nobody().post("/auth/refresh", json!({"refresh_token": token})).await
}

fn refresh_token(answer: &Value) -> String {
    answer["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_refreshes_get_one_successor() {
    each_app(async |app| {
        let registered = app.nobody().post("/auth/register", registration("ann")).await.expect(201).json();
        let first = refresh_token(&registered);
        let answers = at_once(MANY, async |_| refresh(app, &first).await).await;
        let successors: HashSet<String> =
            answers.into_iter().map(|answer| refresh_token(&answer.expect(200).json())).collect();
        assert_eq!(successors.len(), 1, "one chain goes on");
        assert_eq!(count(app, "SELECT COUNT(*) FROM sessions").await, 1);
        let second = successors.into_iter().next().unwrap();
        let third = refresh_token(&refresh(app, &second).await.expect(200).json());
        assert_ne!(second, third);
        // The first is two generations old now: somebody stole it, and the session ends, however many present it.
        for answer in at_once(20, async |_| refresh(app, &first).await).await {
            answer.problem(401, "invalid_token");
        }
        refresh(app, &third).await.problem(401, "invalid_token");
        let access = registered["token"].as_str().unwrap();
        app.nobody().with_token(access).get("/users/me").await.problem(401, "invalid_token");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_grace_an_old_token_ends_the_session_for_all() {
    each_app(async |app| {
        let registered = app.nobody().post("/auth/register", registration("ann")).await.expect(201).json();
        let first = refresh_token(&registered);
        refresh(app, &first).await.expect(200);
        app.clock.advance(Duration::from_secs(6));
        for answer in at_once(MANY, async |_| refresh(app, &first).await).await {
            answer.problem(401, "invalid_token");
        }
        assert_eq!(count(app, "SELECT COUNT(*) FROM sessions").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_login_with_the_old_password_outlives_its_change() {
    each_app(async |app| {
        for round in 0..5 {
            let name = format!("user{round}");
            let registered =
                app.nobody().post("/auth/register", registration(&name)).await.expect(201).json();
            let user = app.nobody().with_token(registered["token"].as_str().unwrap());
            let body = json!({"current_password": "password123", "new_password": "another-one-456"});
            let login = json!({"email": format!("{name}@example.com"), "password": "password123"});
            let logins = at_once(6, async |_| app.nobody().post("/auth/login", login.clone()).await);
            let (logins, changed) = join(logins, user.post("/auth/password", body)).await;
            changed.expect(204);
            for answer in logins.iter().filter(|answer| answer.status == 200) {
                let old = app.nobody().with_token(answer.json()["token"].as_str().unwrap());
                old.get("/users/me").await.problem(401, "invalid_token");
            }
            user.get("/users/me").await.expect(200);
        }
    })
    .await;
}
