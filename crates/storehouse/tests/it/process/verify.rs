//! `storehouse verify`, beside a running system.

use ::db::{Db, Error};
use futures_util::FutureExt;
use serde_json::json;

use super::commands::said;
use crate::harness::goods::Goods;
use crate::harness::{Site, each_engine};

/// Changes rows behind the program's back.
async fn tamper(db: &Db, sql: &'static str) {
    let changed: Result<u64, Error> =
        db.write(sql, |tx, sql| async move { tx.execute(sql, &[]).await }.boxed()).await;
    assert!(changed.unwrap() > 0, "{sql}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_names_each_difference_and_tells_by_its_exit_code() {
    each_engine(&[], async |database| {
        let site = Site::new(Some(database.url()));
        let refusal = site.refusal(&["verify"]);
        assert!(refusal.contains("storehouse migrate"), "{refusal}");
        let process = site.start().await;
        let (mut wire, _) = process.connect().await.register("boss").await;
        let db = database.open().await;
        let product = Goods::new("LAP-1", 5).add_to(&db).await;
        let body = json!({"lines": [{"sku": "LAP-1", "quantity": 2}]});
        let order = wire.post("/orders", &body).await.unwrap().expect(201).json();
        let text = said(&site.run(&["verify"]));
        assert!(text.ends_with("Products: 1, orders: 1, differences: 0.\n"), "{text}");
        assert!(text.starts_with("Audit entries: ") && text.lines().count() == 2, "{text}");
        tamper(&db, "UPDATE stock_levels SET on_hand = on_hand + 1, allocated = 0").await;
        tamper(&db, "UPDATE order_lines SET quantity = 3").await;
        tamper(
            &db,
            "INSERT INTO stock_movements (id, product_id, location_id, kind, on_hand_delta, allocated_delta, unavailable_delta, on_hand_after,
                                          allocated_after, cause, cause_id, cause_step, created_at)
             SELECT id, id, location_id, 'ship', -4, 0, 0, 0, 0, 'order', product_id, 1, 0 FROM stock_movements WHERE kind = 'receive'",
        )
        .await;
        tamper(&db, "UPDATE stock_levels SET backorder_limit = 7, unavailable = 8, reorder_point = 9").await;
        let found = site.run(&["verify"]);
        assert_eq!(found.status.code(), Some(1));
        let text = String::from_utf8(found.stdout).unwrap();
        let id = order["id"].as_str().unwrap();
        for line in [
            format!("product LAP-1/{product} at MAIN: on_hand is 6, the ledger says 5"),
            format!("product LAP-1/{product} at MAIN: allocated is 0, the ledger says 2"),
            format!("product LAP-1/{product} at MAIN: unavailable is 8, but only 6 on hand"),
            format!("product LAP-1/{product} at MAIN: backorder_limit is 7, its product says 0"),
            format!("product LAP-1/{product} at MAIN: reorder_point is 9, its product says none"),
            "at MAIN: there is no level, the ledger says on_hand -4".to_owned(),
            "says on_hand_after 0, the rows up to it say -4".to_owned(),
            format!("order 1001/{id} holds 3 of LAP-1/{product}, the ledger says 2"),
            format!("order ?/{product} shipped 0 of ?/"),
            format!("order 1001/{id} does not add up: total 1998, paid 0, refunded 0, lines (quantity, price, total) [(3, Some(999), 1998)]"),
            "Products: 1, orders: 1, differences: 12.".to_owned(),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert_eq!(text.lines().count(), 14, "{text}");
        let said = String::from_utf8(found.stderr).unwrap();
        assert_eq!(said, "storehouse: stock does not add up: 12 differences\n");
        wire.get("/orders").await.unwrap().expect(200);
    })
    .await;
}

/// What neither stock nor orders add up to by themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_looks_at_each_rule_of_an_order_and_for_each_level_at_main() {
    each_engine(&[], async |database| {
        let site = Site::new(Some(database.url()));
        let process = site.start().await;
        let (mut wire, _) = process.connect().await.register("boss").await;
        let db = database.open().await;
        Goods::new("LAP-1", 5).add_to(&db).await;
        let body = json!({"lines": [{"sku": "LAP-1", "quantity": 2}]});
        wire.post("/orders", &body).await.unwrap().expect(201);
        for (damage, told, repair) in [
            (
                "UPDATE orders SET total_price = total_price + 1",
                "total 1999",
                "UPDATE orders SET total_price = 1998",
            ),
            (
                "UPDATE order_lines SET unit_minor = 998",
                "Some(998)",
                "UPDATE order_lines SET unit_minor = 999",
            ),
        ] {
            tamper(&db, damage).await;
            let found = site.run(&["verify"]);
            let text = String::from_utf8(found.stdout).unwrap();
            assert!(text.contains(told) && text.contains("differences: 1."), "{damage}: {text}");
            tamper(&db, repair).await;
        }
        let other = Goods::new("LAP-2", 0).add_to(&db).await;
        assert!(said(&site.run(&["verify"])).contains("differences: 0."));
        tamper(&db, "DELETE FROM stock_levels WHERE on_hand = 0").await;
        let text = String::from_utf8(site.run(&["verify"]).stdout).unwrap();
        assert!(text.contains(&format!("product LAP-2/{other} at MAIN: there is no level\n")), "{text}");
    })
    .await;
}

/// Somebody's tool that doesn't look after keys, or a bad sector.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_looks_at_the_file_itself() {
    let site = Site::new(None);
    said(&site.run(&["migrate"]));
    let file = site.path("data/storehouse.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM locations").unwrap();
    let level = "INSERT INTO stock_levels (product_id, location_id, on_hand, allocated, unavailable, backorder_limit, version, updated_at)
                 VALUES (x'01', x'02', 0, 0, 0, 0, 0, 0)";
    connection.execute(level, []).unwrap();
    drop(connection);
    let found = site.run(&["verify"]);
    let text = String::from_utf8(found.stdout).unwrap();
    assert!(text.contains("file: 1 rows of stock_levels name one of locations that isn't there\n"), "{text}");
    assert!(text.contains("name one of products that isn't there\n"), "{text}");
}
