//! A token dies at the next request: by a role that changed, an account that was disabled or deleted, in every process.

use std::convert::Infallible;

use accounts::store;
use axum::body::Body;
use db::Error;
use futures_util::future::join;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::Method;
use http_body_util::BodyExt;
use kit::identity::Role;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{client, log_in, register, text};
use crate::harness::{Answer, App, Call, Client, TestDatabase, each_app, each_engine, each_shape, soon};

#[tokio::test]
async fn j13_a_changed_role_ends_the_tokens_but_not_the_session() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let staff = app.staff("staff").await;
        staff.get("/users").await.expect(200);
        let path = format!("/users/{}", staff.id);
        admin.put(&path, json!({"role": "customer"})).await.expect(200);
        staff.get("/users").await.problem(401, "invalid_token");
        let pair = register(app, "ada").await;
        let path = format!("/users/{}", text(&pair["user"], "id"));
        admin.put(&path, json!({"role": "staff"})).await.expect(200);
        client(app, &pair).get("/users/me").await.problem(401, "invalid_token");
        let refresh = json!({"refresh_token": pair["refresh_token"]});
        let renewed = app.nobody().post("/auth/refresh", refresh).await.expect(200).json();
        client(app, &renewed).get("/users").await.expect(200);
    })
    .await;
}

/// Who reads slowly reads for long.
#[tokio::test]
async fn a_file_breaks_off_when_its_reader_is_logged_out() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let (answer, mut body) = ada.request(Method::GET, "/users/me/export").open().await;
        assert_eq!(answer.status.as_u16(), 200);
        body.frame().await.unwrap().unwrap();
        ada.post("/auth/logout", json!({})).await.expect(204);
        assert!(body.collect().await.is_err(), "what came isn't taken for the whole file");
    })
    .await;
}

#[tokio::test]
async fn j12_a_disabled_account_is_out_at_once() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let pair = register(app, "ada").await;
        let path = format!("/users/{}", text(&pair["user"], "id"));
        admin.put(&path, json!({"disabled": true})).await.expect(200);
        assert_out(app, &pair).await;
        admin.put(&path, json!({"disabled": false})).await.expect(200);
        assert_out(app, &pair).await;
        log_in(app, "ada").await;
    })
    .await;
}

#[tokio::test]
async fn j12_a_deleted_account_is_out_at_once() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let pair = register(app, "ada").await;
        admin.delete(&format!("/users/{}", text(&pair["user"], "id"))).await.expect(204);
        assert_out(app, &pair).await;
        let login = json!({"email": "ada@example.com", "password": super::PASSWORD});
        app.nobody().post("/auth/login", login).await.problem(401, "invalid_credentials");
    })
    .await;
}

/// A request whose body stands still in the middle until `meanwhile` is done.
async fn send_slowly(call: Call<'_>, content_type: &str, body: &str, meanwhile: impl Future) -> Answer {
    let (go_on, stands_still) = oneshot::channel();
    let (begin, end) = body.split_at(body.len() / 2);
    let (begin, end) = (begin.to_owned(), end.to_owned());
    let pieces = stream::once(async { Ok::<_, Infallible>(begin) }).chain(stream::once(async {
        stands_still.await.unwrap();
        Ok(end)
    }));
    let meanwhile = async {
        meanwhile.await;
        go_on.send(()).unwrap();
    };
    join(call.raw(content_type, Body::from_stream(pieces)).send(), meanwhile).await.0
}

#[tokio::test]
async fn j12_who_is_logged_out_while_a_body_arrives_does_not_act() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let order = json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99}).to_string();
        let (ada, bob) = (app.customer("ada").await, app.customer("bob").await);
        send_slowly(ada.request(Method::POST, "/orders"), "application/json", &order, async {})
            .await
            .expect(201);
        let log_out = ada.post("/auth/logout", json!({}));
        send_slowly(ada.request(Method::POST, "/orders"), "application/json", &order, log_out)
            .await
            .problem(401, "invalid_token");
        let path = format!("/users/{}", bob.id);
        let delete = bob.delete(&path);
        send_slowly(bob.request(Method::POST, "/orders"), "application/json", &order, delete)
            .await
            .problem(401, "invalid_token");
        let (key, shop) = app.key(&admin, &["products:write"]).await;
        let path = format!("/auth/keys/{key}");
        let revoke = admin.delete(&path);
        let import = shop.request(Method::POST, "/products/import");
        let file = "sku,name,unit_price\nPEN-1,Pen,2\n";
        send_slowly(import, "text/csv", file, revoke).await.problem(401, "invalid_token");
        assert_eq!(admin.get("/orders?count=exact").await.expect(200).json()["total"], 1);
        admin.get("/products/by-sku/PEN-1").await.expect(404);
    })
    .await;
}

#[tokio::test]
async fn a_token_is_good_only_for_its_own_session_account_and_role() {
    each_app(async |app| {
        let (ada, bob) = (app.customer("ada").await, app.customer("bob").await);
        let session = ada.get("/auth/validate").await.expect(200).json();
        let session = text(&session, "sid").parse().unwrap();
        let sign = |account, role, session| app.tokens.sign(account, "x@example.com", role, session).unwrap();
        ada.with_token(sign(ada.id, Role::Customer, session).expose()).get("/users/me").await.expect(200);
        for token in [
            sign(bob.id, Role::Customer, session),
            sign(ada.id, Role::Admin, session),
            sign(ada.id, Role::Customer, kit::clock::new_id()),
            sign(ada.id, Role::Customer, ada.id),
        ] {
            ada.with_token(token.expose()).get("/users/me").await.problem(401, "invalid_token");
        }
    })
    .await;
}

#[tokio::test]
async fn a_logout_in_one_process_is_seen_in_the_other() {
    let test = async |database: &TestDatabase| {
        let (one, two) = (App::new(database).await, App::new(database).await);
        let pairs = [register(&one, "ada").await, log_in(&one, "ada").await];
        let elsewhere = [client(&two, &pairs[0]), client(&two, &pairs[1])];
        for client in &elsewhere {
            client.get("/users/me").await.expect(200);
        }
        client(&one, &pairs[0]).post("/auth/logout", json!({})).await.expect(204);
        let is_out = async || elsewhere[0].get("/users/me").await.status == 401;
        soon("the other process has heard of the logout", is_out).await;
        elsewhere[1].get("/users/me").await.expect(200);
        client(&one, &pairs[1]).post("/auth/logout-all", json!({})).await.expect(204);
        let is_out = async || elsewhere[1].get("/users/me").await.status == 401;
        soon("the other process has heard that all are out", is_out).await;
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

/// Another process ends the sessions of an account.
async fn end_elsewhere(app: &App, account: Uuid) {
    let done = app.db.write((account, app.clock.now()), |tx, (account, now)| {
        async move {
            store::delete_sessions(tx, *account, None).await?;
            store::insert_feed_row(tx, *account, None, *now).await
        }
        .boxed()
    });
    done.await.unwrap();
}

/// The same, but in the same transaction this is done to the feed instead.
async fn end_unheard(app: &App, account: Uuid, feed: &'static [&'static str]) {
    let done = app.db.write((account, feed), |tx, (account, feed)| {
        async move {
            store::delete_sessions(tx, *account, None).await?;
            for sql in *feed {
                tx.execute(sql, &[]).await?;
            }
            Ok::<_, Error>(())
        }
        .boxed()
    });
    done.await.unwrap();
}

/// Somebody whom all have in mind, once they have heard in the feed of another.
async fn known_everywhere<'a>(app: &'a App, name: &str) -> Client<'a> {
    let (client, other) = (app.customer(name).await, app.customer(&format!("{name}-before")).await);
    for (part, path) in DOORS {
        for client in [&client, &other] {
            client.request(Method::GET, path).to(part).send().await.expect(200);
        }
    }
    end_elsewhere(app, other.id).await;
    is_out_everywhere(&other).await;
    for (part, path) in DOORS {
        client.request(Method::GET, path).to(part).send().await.expect(200);
    }
    client
}

const DOORS: [(&str, &str); 3] = [("gateway", "/orders"), ("users", "/users/me"), ("orders", "/orders")];

async fn is_out_everywhere(client: &Client<'_>) {
    for (part, path) in DOORS {
        let is_out = async || client.request(Method::GET, path).to(part).send().await.status == 401;
        soon("it is found out that they are out", is_out).await;
    }
}

/// A process that was away for an hour finds no row of what it missed.
const SWEPT: &[&str] =
    &["UPDATE guards SET n = n + 1 WHERE name = 'session_feed'", "DELETE FROM session_feed"];

#[tokio::test]
async fn a_revocation_is_noticed_though_its_row_was_swept() {
    each_shape(async |app| {
        let ada = known_everywhere(app, "ada").await;
        end_unheard(app, ada.id, SWEPT).await;
        is_out_everywhere(&ada).await;
        // The feed is followed on from there.
        let bob = known_everywhere(app, "bob").await;
        end_unheard(app, bob.id, SWEPT).await;
        is_out_everywhere(&bob).await;
    })
    .await;
}

/// A replica takes over that lacks the last commit,
const WENT_BACK: &[&str] = &[
    "DELETE FROM session_feed WHERE id = (SELECT n FROM guards WHERE name = 'session_feed')",
    "UPDATE guards SET n = n - 1 WHERE name = 'session_feed'",
];

/// or has another of the same number by the time that it is asked.
const WENT_ON: &[&str] = &["UPDATE session_feed SET created_at = created_at + 1
      WHERE id = (SELECT n FROM guards WHERE name = 'session_feed')"];

#[tokio::test]
async fn a_revocation_is_noticed_though_its_number_was_used_before() {
    each_shape(async |app| {
        for (name, feed) in [("ada", WENT_BACK), ("bob", WENT_ON)] {
            let client = known_everywhere(app, name).await;
            end_unheard(app, client.id, feed).await;
            is_out_everywhere(&client).await;
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_is_let_in_when_revocations_can_not_be_heard_of() {
    each_app(async |app| {
        let pair = register(app, "ada").await;
        client(app, &pair).get("/users/me").await.expect(200);
        app.stop_work();
        let is_shut = async || client(app, &pair).get("/users/me").await.status == 503;
        soon("the silence of the feed is noticed", is_shut).await;
        client(app, &pair).get("/orders").await.problem(503, "unavailable");
    })
    .await;
}

async fn assert_out(app: &App, pair: &Value) {
    client(app, pair).get("/users/me").await.problem(401, "invalid_token");
    let refresh = json!({"refresh_token": pair["refresh_token"]});
    app.nobody().post("/auth/refresh", refresh).await.problem(401, "invalid_token");
}
