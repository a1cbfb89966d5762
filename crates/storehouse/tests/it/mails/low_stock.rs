//! Products that fell to their reorder point, told by mail: what fell within a minute in one.

use std::time::Duration;

use ::stock::{Adjustment, Change, MAIN};
use futures_util::FutureExt;
use kit::author::Author;
use serde_json::json;
use uuid::Uuid;

use super::receiver::Receiver;
use super::{sent_to, waiting};
use crate::harness::goods::adjust;
use crate::harness::{App, Client, each_engine, eventually};

/// Longer than it is waited for others.
const A_MINUTE: Duration = Duration::from_secs(61);

/// Runs a test against a system that tells Ada and Bob of low stock, and has begun to look.
async fn each_told_app(test: impl AsyncFn(&App, &Receiver)) {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let receiver = Receiver::start().await;
        let app = App::with(database, sent_to(&receiver)).await;
        begun(&app).await;
        test(&app, &receiver).await;
    })
    .await;
}

/// What falls before that is no news.
async fn begun(app: &App) {
    eventually("the events are followed", async || {
        let sql = "SELECT COUNT(*) FROM low_stock_cursor WHERE seq IS NOT NULL";
        let read = app.db.read((), |tx, ()| tx.one(sql, &[], |row| row.get::<i64>(0)).boxed());
        let found: Result<i64, ::db::Error> = read.await;
        found.unwrap() == 1
    })
    .await;
}

/// A product with a reorder point of 5, and ten of it.
async fn product(app: &App, staff: &Client<'_>, sku: &str, name: &str) -> Uuid {
    let product =
        json!({"sku": sku, "name": name, "unit_price": 20, "reorder_point": 5, "reorder_quantity": 12});
    let product = staff.post("/products", product).await.expect(201).json();
    let id = product["id"].as_str().unwrap().parse().unwrap();
    adjust(&app.db, id, MAIN, Change::Receive(10)).await.unwrap();
    id
}

async fn change(app: &App, product: Uuid, quantity: i64) {
    adjust(&app.db, product, MAIN, Change::Adjust(quantity)).await.unwrap();
}

#[tokio::test]
async fn what_falls_within_a_minute_is_one_mail_to_each() {
    each_told_app(async |app, receiver| {
        let staff = app.staff("staff").await;
        let lamp = product(app, &staff, "LAMP", "Lämpchen").await;
        let pen = product(app, &staff, "PEN", "Pen").await;
        change(app, lamp, -5).await;
        change(app, pen, -6).await;
        // Told once for each fall, and with what is there when the mail is sent.
        change(app, lamp, -1).await;
        assert_eq!(receiver.arrived().len(), 0);
        app.clock.advance(A_MINUTE);
        let mails = receiver.expect(2).await;
        let mut to: Vec<_> = mails.iter().flat_map(|mail| mail.to.clone()).collect();
        to.sort();
        assert_eq!(to, ["ada@example.com", "bob@example.com"]);
        for mail in &mails {
            assert_eq!(mail.from, "storehouse@example.com");
            assert_eq!(mail.header("Subject"), "Low stock: 2 products");
            assert_eq!(mail.header("From"), "Storehouse <storehouse@example.com>");
            assert!(mail.header("Message-ID").ends_with("@example.com>"), "{}", mail.head);
            let lines = "LAMP  Lämpchen\n    4 free, reorder point 5, reorder quantity 12\n\
                         PEN  Pen\n    4 free, reorder point 5, reorder quantity 12\n";
            assert!(mail.text().contains(lines), "{}", mail.text());
        }
        eventually("both are done", async || waiting(&app.db).await == (0, 0)).await;
        // Neither again, until one has been enough and falls again.
        change(app, lamp, -1).await;
        app.clock.advance(A_MINUTE);
        change(app, pen, 10).await;
        change(app, pen, -10).await;
        app.clock.advance(A_MINUTE);
        let mails = receiver.expect(4).await;
        assert!(mails[2..].iter().all(|mail| mail.header("Subject") == "Low stock: PEN"), "{mails:?}");
        assert_eq!(mails.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_name_can_neither_add_a_header_nor_a_line() {
    each_told_app(async |app, receiver| {
        let staff = app.staff("staff").await;
        let hostile = "Lamp\r\nBcc: eve@example.com\r\n\r\nYou have won.";
        let hostile = product(app, &staff, "LAMP", hostile).await;
        change(app, hostile, -9).await;
        app.clock.advance(A_MINUTE);
        for mail in receiver.expect(2).await {
            assert_eq!(mail.to.len(), 1);
            assert!(!mail.head.contains("Bcc"), "{}", mail.head);
            assert!(
                mail.text().contains("\nLAMP  Lamp  Bcc: eve@example.com    You have won.\n    1 free,"),
                "{}",
                mail.text()
            );
        }
    })
    .await;
}

#[tokio::test]
async fn two_processes_tell_of_a_fall_once() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let receiver = Receiver::start().await;
        let (one, other) =
            (App::with(database, sent_to(&receiver)).await, App::with(database, sent_to(&receiver)).await);
        begun(&one).await;
        let staff = one.staff("staff").await;
        let mut products = Vec::new();
        for number in 0..5 {
            products.push(product(&one, &staff, &format!("LAMP-{number}"), "Lamp").await);
        }
        for (round, product) in products.into_iter().enumerate() {
            change(&one, product, -9).await;
            one.clock.advance(A_MINUTE);
            other.clock.advance(A_MINUTE);
            receiver.expect(2 * (round + 1)).await;
            eventually("both are done", async || waiting(&one.db).await == (0, 0)).await;
        }
        let mut subjects: Vec<_> = receiver.arrived().iter().map(|mail| mail.header("Subject")).collect();
        subjects.sort();
        let expected: Vec<_> = (0..10).map(|number| format!("Low stock: LAMP-{}", number / 2)).collect();
        assert_eq!(subjects, expected);
    })
    .await;
}

#[tokio::test]
async fn what_fell_while_nobody_looked_is_told_and_what_fell_long_ago_is_not() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let receiver = Receiver::start().await;
        let app = App::with(database, sent_to(&receiver)).await;
        begun(&app).await;
        let staff = app.staff("staff").await;
        let old = product(&app, &staff, "OLD", "Old").await;
        let new = product(&app, &staff, "NEW", "New").await;
        app.finish().await;
        change(&app, old, -9).await;
        app.clock.advance(Duration::from_secs(25 * 60 * 60));
        // What falls is as old as the moment says at which it is written.
        fall(&app, new).await;
        app.clock.advance(A_MINUTE);
        let next = App::with(database, sent_to(&receiver)).await;
        next.clock.advance(Duration::from_secs(25 * 60 * 60) + A_MINUTE);
        for mail in receiver.expect(2).await {
            assert_eq!(mail.header("Subject"), "Low stock: NEW");
        }
    })
    .await;
}

/// Nearly all of it goes, by the system's own clock.
async fn fall(app: &App, product: Uuid) {
    let author = Author::nobody(app.clock.now());
    let (expected_on_hand, reason, unit_cost_minor) = (None, None, None);
    let (product_id, location_id, change) = (product, MAIN, Change::Adjust(-9));
    let adjustment =
        Adjustment { product_id, location_id, change, expected_on_hand, reason, unit_cost_minor, author };
    app.db.write(adjustment, |tx, adjustment| ::stock::adjust(tx, adjustment).boxed()).await.unwrap();
}
