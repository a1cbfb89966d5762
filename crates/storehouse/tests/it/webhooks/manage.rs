//! Making, changing, rotating, removing; the log, replay, and what is never stored.

use std::time::Duration;

use ::db::Error;
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::receiver::{Act, Receiver};
use super::{Hook, happen, is_signed, stored};
use crate::contract::dump::dump;
use crate::harness::{App, Client, each_app, eventually};
use crate::metrics::scrape::Scrape;

#[tokio::test]
async fn a_webhook_is_made_seen_changed_and_removed() {
    each_app(async |app| {
        let admin = app.admin("admin").await;
        let body = json!({"url": "https://example.com/hook?a=b", "types": ["order.*", "stock.low"], "enabled": false});
        let added = admin.post("/webhooks", body).await.expect(201);
        let (path, secret) = (added.header("location").to_owned(), added.json()["secret"].clone());
        assert!(secret.as_str().unwrap().starts_with("whsec_") && secret.as_str().unwrap().len() == 50);
        let seen = admin.get(&path).await.expect(200);
        assert_eq!((seen.header("etag"), &seen.json()["secret"]), ("\"1\"", &Value::Null), "shown once");
        assert_eq!(seen.json()["types"], json!(["order.*", "stock.low"]));
        let change = json!({"description": "The shop", "types": null});
        let changed = admin.request(Method::PATCH, &path).header("if-match", "\"1\"").json(&change).send().await;
        let changed = changed.expect(200).json();
        assert_eq!((&changed["types"], &changed["version"]), (&Value::Null, &json!(2)));
        assert_eq!(changed["description"], "The shop");
        let stale = admin.request(Method::PATCH, &path).header("if-match", "\"1\"").json(&json!({"enabled": true}));
        stale.send().await.problem(412, "stale_version");
        assert_eq!(admin.put(&path, json!({})).await.expect(200).json()["version"], 2, "nothing named, nothing changed");
        let listed = admin.get("/webhooks?count=exact").await.expect(200).json();
        assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(1), &changed["id"]));
        for (field, value) in [
            ("url", json!("ftp://example.com/")),
            ("url", json!("https://user:pass@example.com/")),
            ("url", json!("https://example.com/#here")),
            ("types[1]", json!(["order.*", "order.lost"])),
            ("types", json!([])),
            ("enabled", json!(null)),
        ] {
            let name = field.split('[').next().unwrap();
            let refused = admin.put(&path, json!({name: value})).await.problem(422, "validation_failed");
            assert_eq!(refused.faulty_fields(), [field]);
        }
        admin.delete(&path).await.expect(204);
        admin.get(&path).await.expect(404);
        admin.get(&format!("{path}/deliveries")).await.expect(404);
    })
    .await;
}

#[tokio::test]
async fn what_it_is_told_is_kept_once() {
    each_app(async |app| {
        let admin = app.admin("admin").await;
        let twice = json!(["order.*", "stock.low", "order.*", "order.placed", "stock.low"]);
        let once = json!(["order.*", "stock.low", "order.placed"]);
        let added = admin.post("/webhooks", json!({"url": "https://example.com/", "types": twice})).await;
        let added = added.expect(201);
        assert_eq!(added.json()["types"], once);
        let changed = admin.put(added.header("location"), json!({"types": twice})).await.expect(200).json();
        assert_eq!(changed["types"], once);
        let refused = admin.put(added.header("location"), json!({"types": ["order.lost"]})).await;
        let told = refused.problem(422, "validation_failed").json()["errors"][0]["message"].clone();
        assert!(told.as_str().unwrap().contains("webhook.disabled"), "all that there are are listed: {told}");
    })
    .await;
}

#[tokio::test]
async fn there_are_only_so_many() {
    each_app(async |app| {
        let admin = app.admin("admin").await;
        let body = json!({"url": "https://example.com/", "enabled": false});
        let added =
            futures_util::future::join_all((0..55).map(|_| admin.post("/webhooks", body.clone()))).await;
        let (stored, refused): (Vec<_>, Vec<_>) = added.into_iter().partition(|answer| answer.status == 201);
        assert_eq!((stored.len(), refused.len()), (50, 5));
        for answer in refused {
            answer.problem(409, "too_many_webhooks");
        }
        admin.delete(stored[0].header("location")).await.expect(204);
        admin.post("/webhooks", body).await.expect(201);
    })
    .await;
}

#[tokio::test]
async fn a_test_message_tells_what_came_back() {
    each_app(async |app| {
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let hook = Hook::with(&admin, json!({"url": receiver.url(), "enabled": false})).await;
        receiver.next([Act::Answer(200), Act::Answer(500)]);
        let test = format!("{}/test", hook.path);
        let tested = admin.post(&test, json!({})).await.expect(200).json();
        assert_eq!(
            (&tested["delivered"], &tested["status"], &tested["error"]),
            (&json!(true), &json!(200), &Value::Null)
        );
        let message = receiver.messages().remove(0);
        assert_eq!(message.json()["type"], "webhook.test");
        assert!(is_signed(&message, &hook.secret));
        let tested = admin.request(Method::POST, &test).send().await.expect(200).json();
        assert_eq!((&tested["delivered"], &tested["error"]), (&json!(false), &json!("answered 500")));
        assert!(stored(&app.db, hook.id).await.is_empty(), "it is no event");
    })
    .await;
}

#[tokio::test]
async fn after_a_rotation_the_old_secret_signs_too_for_a_day() {
    each_app(async |app| {
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let hook = Hook::add(&admin, &receiver).await;
        let rotated = admin.post(&format!("{}/rotate", hook.path), json!({})).await.expect(200).json();
        let new = rotated["secret"].as_str().unwrap().to_owned();
        assert_ne!(new, hook.secret);
        happen(&app.db, &app.clock, Uuid::now_v7(), 1).await;
        let message = receiver.expect(1).await.remove(0);
        assert!(is_signed(&message, &hook.secret) && is_signed(&message, &new), "{message:?}");
        assert!(message.signature.starts_with("v1,") && message.signature.split(' ').count() == 2);
        app.clock.advance(Duration::from_secs(24 * 60 * 60 + 1));
        happen(&app.db, &app.clock, Uuid::now_v7(), 2).await;
        let message = receiver.expect(2).await.remove(1);
        assert!(!is_signed(&message, &hook.secret) && is_signed(&message, &new), "{message:?}");
        // Nothing that is stored can sign.
        let rows = dump(&app.db).await.join("\n");
        for secret in [&hook.secret, &new] {
            assert!(!rows.contains(secret.trim_start_matches("whsec_")), "a secret is stored");
        }
    })
    .await;
}

/// The log of a webhook's deliveries, the newest first.
async fn log(admin: &Client<'_>, hook: &Hook, query: &str) -> Vec<Value> {
    let log = admin.get(&format!("{}/deliveries{query}", hook.path)).await.expect(200).json();
    log["items"].as_array().unwrap().clone()
}

fn replay_path(hook: &Hook, delivery: &Value) -> String {
    format!("{}/deliveries/{}/replay", hook.path, delivery["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_delivery_can_be_sent_again() {
    each_app(async |app| {
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let (hook, object) = (Hook::add(&admin, &receiver).await, Uuid::now_v7());
        happen(&app.db, &app.clock, object, 1).await;
        happen(&app.db, &app.clock, object, 2).await;
        eventually("both are taken", async || log(&admin, &hook, "?status=delivered").await.len() == 2).await;
        let first = log(&admin, &hook, "").await.remove(1);
        for _ in 0..2 {
            let replay =
                admin.request(Method::POST, &replay_path(&hook, &first)).header("idempotency-key", "k-1");
            assert_eq!(replay.send().await.expect(200).json()["status"], "pending");
        }
        let messages = receiver.expect(3).await;
        assert_eq!((&messages[2].id, &messages[2].text), (&messages[0].id, &messages[0].text));
        eventually("it is taken", async || log(&admin, &hook, "?status=delivered").await.len() == 2).await;
        assert_eq!(receiver.messages().len(), 3, "a key repeats the answer, not the act");
        let other = Hook::add(&admin, &receiver).await;
        admin.post(&replay_path(&other, &first), json!({})).await.expect(404);
        let unknown = json!({"id": Uuid::now_v7()});
        admin.post(&replay_path(&hook, &unknown), json!({})).await.expect(404);
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_its_next_attempt_can_be_sent_now() {
    each_app(async |app| {
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let (hook, object) = (Hook::add(&admin, &receiver).await, Uuid::now_v7());
        receiver.next([Act::Answer(500), Act::Answer(500), Act::Answer(500)]);
        happen(&app.db, &app.clock, object, 1).await;
        happen(&app.db, &app.clock, object, 2).await;
        for attempts in 1..=3 {
            eventually("it has failed", async || {
                Scrape::of(app).await.sum("storehouse_webhook_deliveries_total") >= f64::from(attempts)
            })
            .await;
            let step = if attempts < 3 { 80 } else { 0 };
            app.clock.advance(Duration::from_secs(step));
        }
        eventually("it waits for five minutes", async || {
            let due_at = stored(&app.db, hook.id).await[0].due_at.unwrap();
            due_at > app.clock.now().plus(Duration::from_secs(120)).0
        })
        .await;
        // Whichever of the object's is asked for, the first goes first.
        let second = log(&admin, &hook, "?status=pending").await.remove(0);
        assert_eq!(second["next_attempt_at"], Value::Null);
        admin.post(&replay_path(&hook, &second), json!({})).await.expect(200);
        let numbers: Vec<i64> = receiver.expect(5).await.iter().map(super::Message::number).collect();
        assert_eq!(numbers, [1, 1, 1, 1, 2]);
    })
    .await;
}

async fn sweep(app: &App) -> u64 {
    let swept: Result<u64, Error> = webhooks::sweep(&app.db, app.clock.now(), 1000).await;
    swept.unwrap()
}

#[tokio::test]
async fn the_log_goes_by_its_age_and_what_waits_stays() {
    each_app(async |app| {
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let hook = Hook::add(&admin, &receiver).await;
        receiver.next([Act::Answer(204), Act::Answer(500)]);
        happen(&app.db, &app.clock, Uuid::now_v7(), 1).await;
        eventually("the first is taken", async || {
            stored(&app.db, hook.id).await.iter().any(|delivery| delivery.status == "delivered")
        })
        .await;
        receiver.judge(|_| Act::Answer(500));
        happen(&app.db, &app.clock, Uuid::now_v7(), 2).await;
        receiver.expect(2).await;
        assert_eq!(sweep(app).await, 0);
        app.stop_work();
        app.clock.advance(Duration::from_secs(31 * 24 * 60 * 60));
        assert_eq!(sweep(app).await, 1);
        assert_eq!(stored(&app.db, hook.id).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn it_is_counted_what_becomes_of_deliveries() {
    each_app(async |app| {
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let hook = Hook::add(&admin, &receiver).await;
        receiver.judge(|message| if message.number() == 1 { Act::Answer(204) } else { Act::Answer(500) });
        for number in 1..=3 {
            happen(&app.db, &app.clock, Uuid::now_v7(), number).await;
        }
        eventually("all were tried", async || {
            let stored = stored(&app.db, hook.id).await;
            let is_tried = |status: &str| status == "delivered";
            stored.len() == 3
                && stored.iter().all(|delivery| is_tried(&delivery.status) || delivery.error.is_some())
        })
        .await;
        // What can be read is counted a little later, once it is durable.
        eventually("the last was counted", async || {
            Scrape::of(app).await.text.contains(r#"deliveries_total{outcome="retried"} 2"#)
        })
        .await;
        app.refresh_figures().await;
        app.clock.advance(Duration::from_secs(2));
        let scrape = Scrape::of(app).await;
        assert_eq!(scrape.value(r#"storehouse_webhook_deliveries_total{outcome="delivered"}"#), 1.0);
        assert_eq!(scrape.value(r#"storehouse_webhook_deliveries_total{outcome="retried"}"#), 2.0);
        assert_eq!(scrape.value("storehouse_webhook_pending"), 2.0);
        assert!(scrape.value("storehouse_webhook_oldest_pending_seconds") >= 2.0, "{}", scrape.text);
    })
    .await;
}
