//! Clocks that are set forward and back, and clocks that stand (R17): tokens, limits, schedules and the order of what is written down stay right. What is
//! measured notices nothing. Nightly backups are tried out in `backup/nightly`.

use std::sync::Arc;
use std::time::Duration;

use ::db::Error;
use futures_util::FutureExt;
use kit::clock::{Clock, Timestamp};
use serde_json::{Value, json};
use storehouse::migrations::MIGRATIONS;
use uuid::Uuid;

use crate::harness::goods::{Goods, check_stock};
use crate::harness::{Answer, App, Client, each_app, each_engine, eventually, limited_app};
use crate::webhooks::happen;
use crate::webhooks::receiver::{Act, Message, Receiver};

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
const JUMPS: [i64; 4] = [HOUR, -HOUR, DAY, -DAY];

async fn register(app: &App, name: &str) -> Value {
    let body = json!({"email": format!("{name}@example.com"), "password": "password123", "username": name});
    app.nobody().post("/auth/register", body).await.expect(201).json()
}

async fn refresh(app: &App, pair: &Value) -> Answer {
    app.nobody().post("/auth/refresh", json!({"refresh_token": pair["refresh_token"]})).await
}

fn client<'a>(app: &'a App, pair: &Value) -> Client<'a> {
    app.nobody().with_token(pair["token"].as_str().unwrap())
}

#[tokio::test]
async fn r17_a_token_is_of_its_time_and_a_session_outlives_a_jump() {
    each_app(async |app| {
        // The first is an admin, whose sessions end sooner.
        register(app, "boss").await;
        for (number, jump) in JUMPS.into_iter().enumerate() {
            let first = register(app, &format!("ada{number}")).await;
            let second = refresh(app, &first).await.expect(200).json();
            client(app, &second).get("/users/me").await.expect(200);
            app.clock.set_by(jump);
            client(app, &second).get("/users/me").await.problem(401, "invalid_token");
            let third = refresh(app, &second).await.expect(200).json();
            client(app, &third).get("/users/me").await.expect(200);
            // The grace of five seconds is none of an hour, and who comes later is a thief.
            app.clock.set_by(-HOUR);
            refresh(app, &second).await.problem(401, "invalid_token");
            refresh(app, &third).await.problem(401, "invalid_token");
            app.clock.set_by(HOUR - jump);
        }
        let session = register(app, "bob").await;
        app.clock.set_by(8 * DAY);
        refresh(app, &session).await.problem(401, "invalid_token");
    })
    .await;
}

#[tokio::test]
async fn r17_limits_go_by_time_that_nobody_sets() {
    limited_app(async |app| {
        let guess = json!({"email": "ada@example.com", "password": "wrong password"});
        register(app, "ada").await;
        for _ in 0..5 {
            app.nobody().post("/auth/login", guess.clone()).await.expect(401);
        }
        for jump in JUMPS {
            app.clock.set_by(jump);
            let refused = app.nobody().post("/auth/login", guess.clone()).await.problem(429, "rate_limited");
            assert_eq!(refused.header("retry-after"), "1", "{jump}");
        }
        app.clock.advance(Duration::from_secs(1));
        app.nobody().post("/auth/login", guess).await.expect(401);
    })
    .await;
}

/// One member of all that a list shows.
async fn members(staff: &Client<'_>, path: &str, name: &str) -> Vec<String> {
    let page = staff.get(path).await.expect(200).json();
    page["items"].as_array().unwrap().iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
}

/// Steps and receipts, the clock set by so much between them; all must be told in the order in which they were done.
async fn act_while_it_is_set(app: &App, jumps: &[i64]) {
    Goods::new("LAMP", 100).add_to(&app.db).await;
    let staff = app.staff("staff").await;
    let order = json!({"lines": [{"sku": "LAMP", "quantity": 5}]});
    let path = staff.post("/orders", order).await.expect(201).header("location").to_owned();
    let (mut actions, mut kinds) =
        (vec!["place".to_owned()], vec!["receive".to_owned(), "allocate".to_owned()]);
    for (number, jump) in jumps.iter().enumerate() {
        app.clock.set_by(*jump);
        // Tokens of another time are none.
        let staff = app.staff(&format!("staff{number}")).await;
        for step in ["confirm", "hold", "release"].iter().skip(usize::from(number > 0)) {
            staff.post(&format!("{path}/{step}"), json!({})).await.expect(200);
            actions.push((*step).to_owned());
        }
        for kind in ["receive", "count"] {
            let body = json!({"sku": "LAMP", "kind": kind, "quantity": 7 + number});
            staff.post("/stock/adjustments", body).await.expect(201);
            kinds.push(kind.to_owned());
        }
    }
    let staff = app.staff("last").await;
    staff.post(&format!("{path}/ship"), json!({})).await.expect(200);
    let (actions, kinds) =
        ([actions, vec!["ship".to_owned()]].concat(), [kinds, vec!["ship".to_owned()]].concat());
    assert_eq!(
        members(&staff, &format!("{path}/history?limit=200&sort=created_at"), "action").await,
        actions
    );
    assert_eq!(members(&staff, "/stock/movements?limit=200&sort=created_at", "kind").await, kinds);
    check_stock(&app.db).await;
    let told = async |kind: &str| -> usize {
        let page = staff.get(&format!("/events?limit=200&type={kind}.*")).await.expect(200).json();
        page["items"].as_array().unwrap().len()
    };
    eventually("each is told", async || {
        told("order").await == actions.len() && told("stock").await == kinds.len()
    })
    .await;
    let events = staff.get("/events?limit=200&type=order.*").await.expect(200).json();
    let last = events["items"].as_array().unwrap().last().unwrap()["type"].clone();
    assert_eq!(last, "order.shipped");
}

#[tokio::test]
async fn r17_what_is_written_down_keeps_its_order_however_the_clock_is_set() {
    each_app(async |app| act_while_it_is_set(app, &[HOUR, -2 * HOUR, DAY, -2 * DAY, DAY]).await).await;
}

#[tokio::test]
async fn r17_what_is_written_down_keeps_its_order_while_the_clock_stands() {
    each_engine(MIGRATIONS, async |database| {
        let moment = Timestamp::parse("2026-05-01T12:00:00Z").unwrap();
        let app = App::with_clock(database, Clock::standing_at(moment), |_| {}).await;
        act_while_it_is_set(&app, &[0, 0, 0]).await;
    })
    .await;
}

/// A day that most years don't have, and the nights around it: what is said of a day is in UTC, which knows no summer time.
#[tokio::test]
async fn r17_a_leap_day_is_a_day_like_others() {
    each_engine(MIGRATIONS, async |database| {
        let moment = Timestamp::parse("2028-02-28T23:59:59Z").unwrap();
        let app = App::with_clock(database, Clock::standing_at(moment), |_| {}).await;
        Goods::new("LAMP", 10).add_to(&app.db).await;
        let ada = app.customer("ada").await;
        let order = json!({"lines": [{"sku": "LAMP", "quantity": 1}]});
        let first = ada.post("/orders", order.clone()).await.expect(201);
        app.clock.advance(Duration::from_secs(2));
        let second = ada.post("/orders", order).await.expect(201);
        assert_eq!(second.json()["created_at"], "2028-02-29T00:00:01.000Z");
        let found = ada.get("/orders?created_after=2028-02-29T00:00:00Z").await.expect(200).json();
        assert_eq!(found["items"][0]["id"], second.json()["id"]);
        assert_eq!(found["items"].as_array().unwrap().len(), 1);
        for (seconds, pending) in [(DAY - 3, 2), (1, 1), (2, 0)] {
            app.clock.advance(Duration::from_secs(seconds.unsigned_abs()));
            assert_eq!(pending_now(&app).await, pending, "{}", app.clock.now());
        }
        let history = app.staff("staff").await;
        let path = format!("{}/history", first.header("location"));
        let history = history.get(&path).await.expect(200).json();
        assert_eq!(history["items"][0]["created_at"], "2028-02-29T23:59:59.000Z");
    })
    .await;
}

/// How many orders are pending once those that are due have expired.
async fn pending_now(app: &App) -> i64 {
    orders::expire_orders(&app.db, &Arc::default(), app.clock.now()).await.unwrap();
    let count: Result<i64, Error> = app
        .db
        .read((), |tx, ()| {
            let sql = "SELECT COUNT(*) FROM orders WHERE status = 'pending'";
            tx.one(sql, &[], |row| row.get(0)).boxed()
        })
        .await;
    count.unwrap()
}

#[tokio::test]
async fn r17_what_is_due_is_done_at_its_time_by_the_clock() {
    each_app(async |app| {
        Goods::new("LAMP", 10).add_to(&app.db).await;
        let order = json!({"lines": [{"sku": "LAMP", "quantity": 1}]});
        app.customer("ada").await.post("/orders", order.clone()).await.expect(201);
        for jump in [HOUR, -HOUR, -DAY, DAY] {
            app.clock.set_by(jump);
            assert_eq!(pending_now(app).await, 1, "{jump}");
        }
        app.clock.set_by(DAY);
        assert_eq!(pending_now(app).await, 0);
        // One that is placed while the clock is behind has its day from then.
        app.clock.set_by(-DAY);
        app.customer("bob").await.post("/orders", order).await.expect(201);
        assert_eq!(pending_now(app).await, 1);
        app.clock.set_by(DAY);
        assert_eq!(pending_now(app).await, 0);
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn r17_messages_are_sent_once_and_in_order_however_the_clock_is_set() {
    each_app(async |app| {
        let receiver = Receiver::start().await;
        let admin = app.admin("admin").await;
        let body = json!({"url": receiver.url(), "types": ["user.changed"]});
        let path = admin.post("/webhooks", body).await.expect(201).header("location").to_owned();
        receiver.next([Act::Answer(500), Act::Stall]);
        let object = Uuid::now_v7();
        for number in 0..3 {
            happen(&app.db, &app.clock, object, number).await;
        }
        receiver.expect(1).await;
        // The hour that is passed over brings the second attempt; back by a day while it is under way.
        eventually("it is put off", async || {
            let log = admin.get(&format!("{path}/deliveries?status=pending")).await.expect(200).json();
            log["items"].as_array().unwrap().iter().any(|item| item["last_status"] == 500)
        })
        .await;
        app.clock.set_by(HOUR);
        receiver.expect(2).await;
        app.clock.set_by(-DAY);
        receiver.flow();
        let messages = receiver.expect(4).await;
        let numbers: Vec<i64> = messages.iter().map(Message::number).collect();
        assert_eq!(numbers, [0, 0, 1, 2]);
        let late = app.admin("late").await;
        eventually("all is taken", async || {
            let log = late.get(&format!("{path}/deliveries?status=delivered")).await.expect(200).json();
            log["items"].as_array().unwrap().len() == 3
        })
        .await;
        let log = late.get(&format!("{path}/deliveries")).await.expect(200).json();
        let mut times =
            log["items"].as_array().unwrap().iter().map(|item| item["last_milliseconds"].as_i64());
        assert!(times.all(|time| time == Some(0)), "the clock that measures stands: {log}");
    })
    .await;
}
