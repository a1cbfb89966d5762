//! What is tried again, when, and when no more.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::receiver::{Act, Receiver};
use super::{Hook, happen, is_enabled, stored};
use crate::harness::{App, each_app, eventually};
use crate::metrics::scrape::Scrape;

/// Waits until what came of so many attempts of all webhooks is stored, and answers when a webhook's first delivery is due.
async fn kept(app: &App, hook: &Hook, attempts: usize) -> Option<i64> {
    eventually("what came of it is stored", async || {
        Scrape::of(app).await.sum("storehouse_webhook_deliveries_total") >= attempts as f64
    })
    .await;
    stored(&app.db, hook.id).await[0].due_at
}

#[tokio::test]
async fn every_failure_is_told_in_our_words_and_tried_again() {
    each_app(async |app| {
        let (admin, elsewhere) = (app.admin("admin").await, Receiver::start().await);
        let acts = [
            (Act::Answer(500), "answered 500"),
            (Act::Answer(404), "answered 404"),
            (Act::Answer(429), "answered 429"),
            (Act::Answer(304), "answered 304: redirects are not followed"),
            (Act::Redirect(elsewhere.url()), "answered 307: redirects are not followed"),
            (Act::HangUp, "the connection broke before the answer"),
        ];
        for (number, (act, told)) in acts.into_iter().enumerate() {
            let receiver = Receiver::start().await;
            let hook = Hook::add(&admin, &receiver).await;
            receiver.next([act]);
            happen(&app.db, &app.clock, Uuid::now_v7(), 1).await;
            // The others were tried twice.
            let due_at = kept(app, &hook, 2 * number + 1).await.unwrap();
            let first = stored(&app.db, hook.id).await.remove(0);
            assert_eq!((first.status.as_str(), first.error.as_deref()), ("pending", Some(told)));
            let log = admin.get(&format!("{}/deliveries?status=pending", hook.path)).await.expect(200).json();
            assert_eq!(log["items"][0]["last_error"], json!(told));
            app.clock.advance(Duration::from_micros(u64::try_from(due_at - app.clock.now().0).unwrap_or(0)));
            let messages = receiver.expect(2).await;
            assert_eq!(messages[0].id, messages[1].id);
            eventually("it is taken", async || stored(&app.db, hook.id).await[0].status == "delivered").await;
            let after = stored(&app.db, hook.id).await.remove(0);
            assert_eq!((after.attempts, after.error), (2, None));
            admin.delete(&hook.path).await.expect(204);
        }
        assert_eq!(elsewhere.messages().len(), 0, "no redirect is followed");
        let nothing =
            Hook::with(&admin, json!({"url": "http://127.0.0.1:1/", "types": ["user.changed"]})).await;
        happen(&app.db, &app.clock, Uuid::now_v7(), 1).await;
        kept(app, &nothing, 13).await;
        let error = stored(&app.db, nothing.id).await.remove(0).error;
        assert_eq!(error.as_deref(), Some("nothing takes connections there"));
    })
    .await;
}

/// Lets a webhook's first delivery fail as often as it may; says how long was waited each time, in seconds. After each attempt but the last something else happens
/// that is delivered so many times.
async fn fail_to_the_end(app: &App, hook: &Hook, beside: usize, between: impl AsyncFn(i64)) -> Vec<f64> {
    let mut waits = Vec::new();
    for attempt in 1.. {
        let before = app.clock.now().0;
        let others = beside * usize::try_from(attempt - 1).unwrap();
        let Some(due_at) = kept(app, hook, usize::try_from(attempt).unwrap() + others).await else { break };
        waits.push((due_at - before) as f64 / 1e6);
        between(attempt).await;
        let wait = u64::try_from(due_at - app.clock.now().0).unwrap_or(0);
        app.clock.advance(Duration::from_micros(wait + 1000));
    }
    waits
}

#[tokio::test]
async fn what_nobody_takes_is_tried_for_three_days_and_then_the_webhook_is_disabled() {
    each_app(async |app| {
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let hook = Hook::add(&admin, &receiver).await;
        let witness = Receiver::start().await;
        Hook::with(&admin, json!({"url": witness.url(), "types": ["webhook.*"]})).await;
        receiver.judge(|_| Act::Answer(503));
        let object = Uuid::now_v7();
        happen(&app.db, &app.clock, object, 1).await;
        happen(&app.db, &app.clock, object, 2).await;
        let waits = fail_to_the_end(app, &hook, 0, async |_| {}).await;
        assert_eq!(waits.len(), 10, "{waits:?}");
        for (wait, minutes) in
            waits.iter().zip([5.0 / 60.0, 1.0, 5.0, 30.0, 120.0, 300.0, 600.0, 840.0, 1200.0, 1440.0])
        {
            // What the test itself took in between is in it.
            assert!(
                (minutes * 60.0 - 30.0..minutes * 72.0 + 30.0).contains(wait),
                "{wait} for {minutes} minutes"
            );
        }
        let stored = stored(&app.db, hook.id).await;
        assert!(
            stored.iter().all(|delivery| delivery.status == "failed" && delivery.due_at.is_none()),
            "{stored:?}"
        );
        assert_eq!((stored[0].attempts, stored[1].attempts), (11, 0));
        assert_eq!(stored[1].error.as_deref(), Some("the webhook was disabled"));
        assert!(!is_enabled(app, hook.id).await);
        let told = witness.expect(1).await[0].json();
        assert_eq!((&told["type"], &told["object"]["id"]), (&json!("webhook.disabled"), &json!(hook.id)));
        assert_eq!(told["data"]["reason"], "nothing was taken for three days");
    })
    .await;
}

#[tokio::test]
async fn a_message_that_is_never_taken_ends_and_the_next_of_its_object_goes() {
    each_app(async |app| {
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let hook = Hook::add(&admin, &receiver).await;
        let (object, other) = (Uuid::now_v7(), Uuid::now_v7());
        receiver.judge(move |message| match message.number() {
            1 if message.object() == object => Act::Answer(500),
            _ => Act::Answer(200),
        });
        happen(&app.db, &app.clock, object, 1).await;
        happen(&app.db, &app.clock, object, 2).await;
        // Something else is taken meanwhile, so the receiver is not gone.
        fail_to_the_end(app, &hook, 1, async |attempt| {
            happen(&app.db, &app.clock, other, attempt).await;
            eventually("another is taken", async || {
                let stored = stored(&app.db, hook.id).await;
                stored
                    .iter()
                    .filter(|delivery| delivery.object == other && delivery.status == "delivered")
                    .count()
                    == usize::try_from(attempt).unwrap()
            })
            .await;
        })
        .await;
        eventually("the next is taken", async || stored(&app.db, hook.id).await[1].status == "delivered")
            .await;
        let first = stored(&app.db, hook.id).await.remove(0);
        assert_eq!((first.status.as_str(), first.attempts), ("failed", 11));
        assert!(is_enabled(app, hook.id).await);
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_asked_no_more() {
    each_app(async |app| {
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let hook = Hook::add(&admin, &receiver).await;
        receiver.judge(|_| Act::Answer(410));
        happen(&app.db, &app.clock, Uuid::now_v7(), 1).await;
        eventually("it is disabled", async || !is_enabled(app, hook.id).await).await;
        let shown = admin.get(&hook.path).await.expect(200).json();
        assert_eq!(shown["disabled_reason"], "the receiver answered 410: it is gone for good");
        assert_eq!(stored(&app.db, hook.id).await[0].status, "failed");
        let log = admin.get(&format!("{}/deliveries?status=failed", hook.path)).await.expect(200).json();
        let replay = format!("{}/deliveries/{}/replay", hook.path, log["items"][0]["id"].as_str().unwrap());
        admin.post(&replay, json!({})).await.problem(409, "webhook_disabled");
        let enabled = admin.put(&hook.path, json!({"enabled": true})).await.expect(200).json();
        assert_eq!((&enabled["disabled_reason"], &enabled["failing_since"]), (&json!(null), &json!(null)));
    })
    .await;
}
