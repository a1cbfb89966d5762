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
            "Products: 1, orders: 1, differences: 11.".to_owned(),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert_eq!(text.lines().count(), 13, "{text}");
        let said = String::from_utf8(found.stderr).unwrap();
        assert_eq!(said, "storehouse: stock does not add up: 11 differences\n");
        wire.get("/orders").await.unwrap().expect(200);
    })
    .await;
}
