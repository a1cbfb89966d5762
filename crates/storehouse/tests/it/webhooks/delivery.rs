//! Every event arrives at least once, those of one object in their order, whatever the receiver does.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ::events::read_after;
use futures_util::FutureExt;
use serde_json::json;
use uuid::Uuid;

use super::receiver::{Act, Message, Receiver};
use super::{Hook, happen, is_signed, stored};
use crate::harness::{Random, each_app, eventually};
use crate::metrics::scrape::Scrape;

/// The numbers that were taken of an object, each the first time.
fn taken(messages: &[Message]) -> HashMap<Uuid, Vec<i64>> {
    let (mut taken, mut seen): (HashMap<Uuid, Vec<i64>>, _) = (HashMap::new(), HashSet::new());
    for message in messages.iter().filter(|message| message.answered == 204) {
        if seen.insert(message.id.clone()) {
            taken.entry(message.object()).or_default().push(message.number());
        }
    }
    taken
}

#[tokio::test]
async fn what_happens_is_told_signed_and_once_when_nothing_fails() {
    each_app(async |app| {
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let hook = Hook::with(&admin, json!({"url": receiver.url(), "types": ["order.*"]})).await;
        let buyer = app.customer("buyer").await;
        let body = json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99});
        let placed = buyer.post("/orders", body).await.expect(201);
        let order = placed.json()["id"].clone();
        buyer.delete(placed.header("location")).await.expect(204);
        let messages = receiver.expect(2).await;
        for (message, told) in messages.iter().zip(["order.placed", "order.cancelled"]) {
            let event = message.json();
            assert_eq!((&event["type"], &event["object"]["id"]), (&json!(told), &order));
            assert_eq!(event["actor_id"], json!(buyer.id));
            assert!(is_signed(message, &hook.secret), "{message:?}");
            assert!(!is_signed(message, &format!("whsec_{}", "A".repeat(43) + "=")));
        }
        eventually("both are logged", async || {
            stored(&app.db, hook.id).await.iter().all(|delivery| delivery.status == "delivered")
        })
        .await;
        let log = admin.get(&format!("{}/deliveries", hook.path)).await.expect(200).json();
        assert_eq!(log["items"][1]["id"], json!(messages[0].id));
        assert_eq!((&log["items"][1]["attempts"], &log["items"][1]["last_status"]), (&json!(1), &json!(204)));
        assert_eq!(receiver.messages().len(), 2);
    })
    .await;
}

/// A receiver that fails in every way, by chance, while time runs.
#[tokio::test]
async fn whatever_a_receiver_does_nothing_is_lost_and_objects_keep_their_order() {
    each_app(async |app| {
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let hook = Hook::add(&admin, &receiver).await;
        let (objects, each) = (6, 8);
        let mut random = Random::new();
        receiver.next((0..60).map(|_| match random.between(0, 7) {
            0 => Act::Answer(500),
            1 => Act::HangUp,
            2 => Act::Redirect("http://127.0.0.1:1/elsewhere".to_owned()),
            3 => Act::Answer(404),
            _ => Act::Answer(204),
        }));
        let objects: Vec<Uuid> = (0..objects).map(|_| Uuid::now_v7()).collect();
        for number in 0..each {
            for object in &objects {
                happen(&app.db, &app.clock, *object, number).await;
            }
        }
        eventually("all is taken", async || {
            let stored = stored(&app.db, hook.id).await;
            // While an attempt is under way time stands, or its lease would run out; and what is due within a lease may be one.
            let ended = Scrape::of(app).await.sum("storehouse_webhook_deliveries_total");
            let next = stored.iter().filter_map(|delivery| delivery.due_at).min().unwrap_or(0);
            let wait = Duration::from_micros(u64::try_from(next - app.clock.now().0).unwrap_or(0));
            if ended >= receiver.messages().len() as f64 {
                app.clock.advance(if wait > Duration::from_secs(60) { wait } else { Duration::from_secs(3) });
            }
            stored.len() == objects.len() * usize::try_from(each).unwrap()
                && stored.iter().all(|delivery| delivery.status == "delivered")
        })
        .await;
        let messages = receiver.messages();
        let taken = taken(&messages);
        for object in &objects {
            assert_eq!(taken[object], (0..each).collect::<Vec<_>>(), "in the order of the events");
        }
        let mut texts: HashMap<&str, &str> = HashMap::new();
        for message in &messages {
            assert_eq!(
                *texts.entry(&message.id).or_insert(&message.text),
                message.text,
                "a message stays as it is"
            );
            assert!(is_signed(message, &hook.secret));
        }
    })
    .await;
}

#[tokio::test]
async fn a_slow_receiver_holds_up_nobody_else_and_one_object_no_other() {
    each_app(async |app| {
        let admin = app.admin("admin").await;
        let (slow, quick) = (Receiver::start().await, Receiver::start().await);
        let (stuck, free) = (Uuid::now_v7(), Uuid::now_v7());
        slow.judge(move |message| if message.object() == stuck { Act::Stall } else { Act::Answer(200) });
        Hook::add(&admin, &slow).await;
        Hook::add(&admin, &quick).await;
        for number in 0..3 {
            happen(&app.db, &app.clock, stuck, number).await;
            happen(&app.db, &app.clock, free, number).await;
        }
        quick.expect(6).await;
        let messages = slow.expect(4).await;
        let of_stuck = messages.iter().filter(|message| message.object() == stuck).count();
        assert_eq!(of_stuck, 1, "the second waits for the first: {messages:?}");
        slow.flow();
        let numbers: Vec<i64> = slow
            .expect(6)
            .await
            .iter()
            .filter(|message| message.object() == stuck)
            .map(Message::number)
            .collect();
        assert_eq!(numbers, [0, 1, 2]);
    })
    .await;
}

#[tokio::test]
async fn a_webhook_gets_what_it_chose_since_it_was_enabled() {
    each_app(async |app| {
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let object = Uuid::now_v7();
        happen(&app.db, &app.clock, object, 1).await;
        // Other tests' transactions hold the log back for a moment, and what it shows then is new: the admin was made, and this happened.
        eventually("what was before can be read", async || {
            let read = app.db.read((), |tx, ()| read_after(tx, None, 10, &[]).boxed());
            read.await.unwrap().items.len() == 2
        })
        .await;
        let hook = Hook::add(&admin, &receiver).await;
        let other = Receiver::start().await;
        Hook::with(&admin, json!({"url": other.url(), "types": ["order.placed", "stock.*"]})).await;
        let all = Receiver::start().await;
        Hook::with(&admin, json!({"url": all.url()})).await;
        happen(&app.db, &app.clock, object, 2).await;
        assert_eq!(receiver.expect(1).await[0].number(), 2);
        admin.put(&hook.path, json!({"enabled": false})).await.expect(200);
        happen(&app.db, &app.clock, object, 3).await;
        // That the others have passed it shows that nobody is still about to tell it.
        all.expect(2).await;
        admin.put(&hook.path, json!({"enabled": true})).await.expect(200);
        happen(&app.db, &app.clock, object, 4).await;
        let numbers: Vec<i64> = receiver.expect(2).await.iter().map(Message::number).collect();
        assert_eq!(numbers, [2, 4]);
        all.expect(3).await;
        assert_eq!(other.messages().len(), 0);
    })
    .await;
}
