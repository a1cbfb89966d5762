//! What breaks closes the door (R16): without sessions, accounts, the feed or the whole database protected operations refuse, and none becomes public.
//! Servers that stop or stand still are tried out in `outage`.

use ::db::{Db, Error};
use futures_util::FutureExt;
use http::Method;
use kit::identity::Role;
use serde_json::json;
use uuid::Uuid;

use crate::contract::document::Document;
use crate::contract::dump::dump;
use crate::harness::{App, Client, each_app, each_shape, eventually};

/// Behind the program's back.
async fn run(db: &Db, sql: String) {
    let done: Result<u64, Error> =
        db.write(sql, |tx, sql| async move { tx.execute(sql, &[]).await }.boxed()).await;
    done.unwrap();
}

/// Asks for each protected operation, through the gateway and past it, and fails unless all are answered with one of these.
async fn all_answer(client: &Client<'_>, expected: &[u16], what: &str) {
    let (mut asked, mut wrong) = (0, Vec::new());
    for operation in Document::new().operations().iter().filter(|operation| !operation.is_public()) {
        for door in ["gateway", operation.service()] {
            let address = operation.address_of(&Uuid::nil().to_string());
            let mut call = client.request(operation.method.clone(), &address).to(door);
            if operation.body_schema().is_some() {
                call = call.json(&json!({}));
            }
            let (answer, _) = call.open().await;
            asked += 1;
            if !expected.contains(&answer.status.as_u16()) {
                wrong.push(format!("{} at {door}: {}", operation.key(), answer.status));
            }
        }
    }
    assert!(wrong.is_empty() && asked > 100, "{what}: of {asked} answered otherwise: {wrong:#?}");
}

/// While something is broken nobody gets in: not with a good token, nor with a bad one, nor with none.
async fn is_closed(app: &App, good: &Client<'_>, what: &str) {
    all_answer(good, &[500, 503], what).await;
    all_answer(&app.nobody(), &[401], what).await;
    // Of a session that there never was: whether there is can't be told now, or the token says that it can't be.
    let forged = app.tokens.sign(good.id, &good.email, Role::Admin, Uuid::now_v7()).unwrap();
    all_answer(&app.nobody().with_token(forged.expose()), &[500, 503], what).await;
    all_answer(&app.nobody().with_token("a.b.c"), &[401], what).await;
}

#[tokio::test]
async fn r16_without_sessions_or_accounts_nobody_gets_in() {
    each_app(async |app| {
        for (number, table) in ["sessions", "accounts"].into_iter().enumerate() {
            // Its session was never asked about, so that nobody has it in mind.
            let admin = app.admin(&format!("admin{number}")).await;
            let before = dump(&app.db).await;
            run(&app.db, format!("ALTER TABLE {table} RENAME TO broken")).await;
            is_closed(app, &admin, table).await;
            run(&app.db, format!("ALTER TABLE broken RENAME TO {table}")).await;
            assert_eq!(dump(&app.db).await, before, "nothing was done meanwhile");
            admin.get("/users/me").await.expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn r16_without_the_feed_not_even_those_who_are_known_get_in() {
    each_app(async |app| {
        let admin = app.admin("admin").await;
        admin.get("/users/me").await.expect(200);
        run(&app.db, "ALTER TABLE session_feed RENAME TO broken".to_owned()).await;
        eventually("nobody is let in", async || admin.get("/users/me").await.status == 503).await;
        is_closed(app, &admin, "session_feed").await;
        run(&app.db, "ALTER TABLE broken RENAME TO session_feed".to_owned()).await;
        eventually("it is followed again", async || admin.get("/users/me").await.status == 200).await;
    })
    .await;
}

/// What each part says of itself: of `/health/ready` the status and the reason, and the metric.
async fn readiness(app: &App) -> Vec<(u16, String, bool)> {
    let mut told = Vec::new();
    for part in ["gateway", "auth", "users", "orders", "inventory"] {
        let ask = async |path| app.nobody().request(Method::GET, path).to(part).send().await;
        let (ready, metrics) = (ask("/health/ready").await, ask("/metrics").await);
        let reason = ready.json()["detail"].as_str().unwrap_or_default().to_owned();
        let is_ready = metrics.text().lines().any(|line| line == "storehouse_ready 1");
        told.push((ready.status.as_u16(), reason, is_ready));
    }
    told
}

#[tokio::test]
async fn r16_who_lets_nobody_in_is_not_ready() {
    each_shape(async |app| {
        let ready = vec![(200, String::new(), true); 5];
        assert_eq!(readiness(app).await, ready);
        run(&app.db, "ALTER TABLE session_feed RENAME TO broken".to_owned()).await;
        let reason =
            "The process hasn't heard from its database for seconds who is logged out, so it lets nobody in.";
        let unready = vec![(503, reason.to_owned(), false); 5];
        eventually("each part says why it isn't ready", async || readiness(app).await == unready).await;
        run(&app.db, "ALTER TABLE broken RENAME TO session_feed".to_owned()).await;
        eventually("each part is ready again", async || readiness(app).await == ready).await;
    })
    .await;
}

#[tokio::test]
async fn r16_without_a_database_nobody_gets_in_and_nobody_can_log_in() {
    each_app(async |app| {
        let admin = app.admin("admin").await;
        app.db.close().await;
        is_closed(app, &admin, "the database").await;
        let login = json!({"email": "admin@example.com", "password": "password123"});
        app.nobody().post("/auth/login", login).await.expect(503);
        let new = json!({"email": "new@example.com", "password": "password123", "username": "new"});
        app.nobody().post("/auth/register", new).await.expect(503);
        app.nobody().get("/health").await.expect(200);
    })
    .await;
}
