//! Several processes share the work, and one that ends takes nothing with it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::receiver::{Act, Message, Receiver};
use super::{Hook, happen, stored};
use crate::harness::{App, Site, each_engine, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_tell_each_event_once() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let apps = join_all((0..3).map(|_| App::new(database))).await;
        let (admin, receiver) = (apps[0].admin("admin").await, Receiver::start().await);
        let hook = Hook::add(&admin, &receiver).await;
        let objects: Vec<Uuid> = (0..20).map(|_| Uuid::now_v7()).collect();
        let writers = apps.iter().enumerate().map(|(index, app)| {
            let objects = &objects;
            async move {
                for number in 0..6 {
                    // Each writer has objects of its own, so that the order of numbers is known.
                    for object in objects.iter().skip(index).step_by(3) {
                        happen(&app.db, &app.clock, *object, number).await;
                    }
                }
            }
        });
        join_all(writers).await;
        eventually("all is taken", async || {
            let stored = stored(&apps[0].db, hook.id).await;
            stored.len() == 120 && stored.iter().all(|delivery| delivery.status == "delivered")
        })
        .await;
        let messages = receiver.messages();
        let ids: HashSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
        assert_eq!((messages.len(), ids.len()), (120, 120), "each once");
        let mut by_object: HashMap<Uuid, Vec<i64>> = HashMap::new();
        for message in &messages {
            by_object.entry(message.object()).or_default().push(message.number());
        }
        assert!(by_object.values().all(|numbers| *numbers == (0..6).collect::<Vec<_>>()), "{by_object:?}");
    })
    .await;
}

#[tokio::test]
async fn what_a_process_was_about_when_it_ended_is_sent_by_the_next() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let (app, receiver) = (App::new(database).await, Receiver::start().await);
        let hook = Hook::add(&app.admin("admin").await, &receiver).await;
        receiver.judge(|_| Act::Stall);
        let objects: Vec<Uuid> = (0..12).map(|_| Uuid::now_v7()).collect();
        for number in 0..2 {
            for object in &objects {
                happen(&app.db, &app.clock, *object, number).await;
            }
        }
        // As many as are sent at once are under way, and none of them ends.
        receiver.expect(8).await;
        drop(app);
        receiver.judge(|_| Act::Answer(204));
        let next = App::new(database).await;
        next.clock.advance(Duration::from_secs(61));
        eventually("all is taken", async || {
            let stored = stored(&next.db, hook.id).await;
            stored.len() == 24 && stored.iter().all(|delivery| delivery.status == "delivered")
        })
        .await;
        let messages = receiver.messages();
        let ids: HashSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
        assert_eq!((messages.len(), ids.len()), (32, 24), "what was under way comes again, nothing else");
        for object in &objects {
            let numbers: Vec<i64> =
                messages.iter().filter(|message| message.object() == *object).map(Message::number).collect();
            assert!(numbers.is_sorted() && numbers.ends_with(&[0, 1]), "{numbers:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_process_that_ends_in_order_finishes_what_is_under_way() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let (app, receiver) = (App::new(database).await, Receiver::start().await);
        let hook = Hook::add(&app.admin("admin").await, &receiver).await;
        receiver.judge(|_| Act::Stall);
        happen(&app.db, &app.clock, Uuid::now_v7(), 1).await;
        receiver.expect(1).await;
        let finishing = app.finish();
        receiver.flow();
        finishing.await;
        assert_eq!(stored(&app.db, hook.id).await[0].status, "delivered");
        happen(&app.db, &app.clock, Uuid::now_v7(), 2).await;
        eventually("it becomes a delivery", async || stored(&app.db, hook.id).await.len() == 2).await;
        assert_eq!(stored(&app.db, hook.id).await[1].attempts, 0, "nothing more is begun");
    })
    .await;
}

/// Had it waited for the receiver, the end of the 15 seconds would stand in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_leaves_a_receiver_that_is_slow_to_the_next() {
    each_engine(&[], async |database| {
        let (site, receiver) = (Site::new(Some(database.url())), Receiver::start().await);
        let process = site.start().await;
        let (mut wire, _) = process.connect().await.register("boss").await;
        let body = json!({"url": receiver.url(), "types": ["order.placed"]});
        let hook = wire.post("/webhooks", &body).await.unwrap().expect(201).json();
        let hook: Uuid = hook["id"].as_str().unwrap().parse().unwrap();
        receiver.judge(|_| Act::Stall);
        let order = json!({"product_name": "Lamp", "quantity": 1, "total_price": 5});
        wire.post("/orders", &order).await.unwrap().expect(201);
        receiver.expect(1).await;
        assert_eq!(process.signal_and_wait("TERM").await, Some(0));
        let db = database.open().await;
        let left = stored(&db, hook).await.remove(0);
        assert_eq!((left.status.as_str(), left.attempts, left.error), ("pending", 1, None));
        assert!(left.due_at.is_some(), "whoever looks next takes it");
        db.close().await;
    })
    .await;
}
