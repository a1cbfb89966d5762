//! The last unit and a hundred buyers, each with a connection of their own to the real program; on PostgreSQL to two processes of it as well.
//!
//! An ordinary run does a few rounds; `STOREHOUSE_ROUNDS=200` is the full run.

use futures_util::future::join_all;
use http::Method;
use serde_json::json;
use stock::MAIN;

use super::stock::{BUYERS, of, people, placed, rounds};
use crate::harness::goods::{Goods, check_stock, level};
use crate::harness::{Answer, App, SECRET, Site, TestDatabase, Wire, deadlocks_told, each_engine, say};

/// Each round another product, of which there is one; the buyers are spread over so many processes.
async fn sell(database: &TestDatabase, count: usize) {
    let site = Site::new(Some(database.url())).with("JWT_SECRET", SECRET).with("MAX_PENDING_ORDERS", "1000");
    let mut processes = Vec::new();
    for _ in 0..count {
        processes.push(site.start().await);
    }
    // Of the same database and with the same secret, it makes buyers without the cost of a hundred passwords.
    let app = App::new(database).await;
    let mut wires = Vec::new();
    for (number, buyer) in people(&app, BUYERS).await.into_iter().enumerate() {
        let wire = Wire::connect(processes[number % count].gateway()).await.unwrap();
        wires.push(wire.with_token(&buyer.token.unwrap()));
    }
    for round in 0..rounds() {
        let sku = format!("ONE-{round}");
        let product = Goods::new(&sku, 1).add_to(&app.db).await;
        // Another is the first each time.
        wires.rotate_left(1);
        let answers = buy(&mut wires, &sku).await;
        assert_eq!(placed(&answers).len(), 1, "round {round}");
        assert_eq!(level(&app.db, product, MAIN).await, [1, 1, 0]);
        let path = format!("/products/{product}");
        for wire in &mut wires[..count] {
            let shown = wire.get(&path).await.unwrap().expect(200).json();
            assert_eq!(shown["stock"], json!({"available": 0}), "round {round}");
        }
    }
    check_stock(&app.db).await;
    for process in &processes {
        let metrics = process.connect().await.get("/metrics").await.unwrap().expect(200);
        assert_eq!(deadlocks_told(&metrics.text()), 0, "nobody waited in a circle");
    }
    if std::env::var_os("STOREHOUSE_ROUNDS").is_some() {
        let (rounds, engine) = (rounds(), database.engine);
        say(&format!(
            "the last unit, {count} processes on {engine}: {rounds} rounds, {BUYERS} buyers, sold once each time"
        ));
    }
}

/// All at once; some with a key, so that they are answered in the transaction that they share with the others.
async fn buy(wires: &mut [Wire], sku: &str) -> Vec<Answer> {
    let body = of(&[(sku, 1)]);
    let buy = async |(number, wire): (usize, &mut Wire)| {
        let key = number.is_multiple_of(3).then_some(sku);
        wire.send(Method::POST, "/orders", Some(&body), key).await.unwrap()
    };
    join_all(wires.iter_mut().enumerate().map(buy)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b01_the_last_unit_is_sold_once_over_connections() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| sell(database, 1).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b01_the_last_unit_is_sold_once_by_two_processes() {
    if let Some(database) = TestDatabase::on_postgres(storehouse::migrations::MIGRATIONS).await {
        sell(&database, 2).await;
    }
}
