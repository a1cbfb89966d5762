//! The ledger: listed as it was written, and never changed.

use std::time::Duration;

use ::db::Error;
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::{adjust, each, items, location, path, product, transfer};
use crate::contract::dump::dump;
use crate::harness::{App, each_app};

#[tokio::test]
async fn the_ledger_is_listed_and_filtered() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let (one, b) = (product(&staff, "ONE", json!({})).await, location(&staff, "B").await);
        product(&staff, "TWO", json!({})).await;
        adjust(&staff, "ONE", "MAIN", "receive", 5).await.expect(201);
        adjust(&staff, "TWO", "MAIN", "receive", 6).await.expect(201);
        app.clock.advance(Duration::from_secs(60));
        let moved = transfer(&staff, "ONE", "MAIN", "B", 2).await.expect(201).json();
        let moved = moved["movements"].as_array().unwrap().clone();
        assert_eq!(each(&moved, "kind"), ["transfer_out", "transfer_in"]);
        assert_eq!((&moved[0]["on_hand_delta"], &moved[1]["on_hand_delta"]), (&json!(-2), &json!(2)));
        assert_eq!(
            (&moved[0]["cause"], &moved[0]["cause"]["kind"]),
            (&moved[1]["cause"], &json!("transfer"))
        );
        let id = |thing: &Value| thing["id"].as_str().unwrap().to_owned();
        let all = ["transfer_in", "transfer_out", "receive", "receive"];
        for (query, expected) in [
            (String::new(), &all[..]),
            ("sort=created_at".to_owned(), &["receive", "receive", "transfer_out", "transfer_in"]),
            (format!("product_id={}", id(&one)), &all[..3]),
            (format!("location_id={}", id(&b)), &all[..1]),
            ("kind=receive".to_owned(), &all[2..]),
            (format!("since={}", moved[0]["created_at"].as_str().unwrap()), &all[..2]),
            (format!("product_id={}&kind=receive", id(&one)), &all[2..3]),
            ("kind=ship".to_owned(), &[]),
        ] {
            for limit in [1, 200] {
                let found = items(&staff, &format!("/stock/movements?limit={limit}&{query}")).await;
                assert_eq!(each(&found, "kind"), expected, "{query}");
            }
        }
        let listed = items(&staff, "/stock/movements").await;
        assert_eq!([&listed[1], &listed[0]], [&moved[0], &moved[1]], "what was answered is what is listed");
    })
    .await;
}

async fn run(app: &App, sql: &'static str) -> Result<u64, Error> {
    app.db.write(sql, |tx, sql| async move { tx.execute(sql, &[]).await }.boxed()).await
}

#[tokio::test]
async fn a_row_of_the_ledger_is_neither_changed_nor_removed() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let made = product(&staff, "LAP-1", json!({})).await;
        adjust(&staff, "LAP-1", "MAIN", "receive", 5).await.expect(201);
        let before = dump(&app.db).await;
        for sql in [
            "UPDATE stock_movements SET on_hand_delta = 6",
            "UPDATE stock_movements SET reason = 'other' WHERE kind = 'receive'",
            "DELETE FROM stock_movements",
            "DELETE FROM products",
            "DELETE FROM locations",
            "UPDATE stock_levels SET on_hand = -1",
            "UPDATE stock_levels SET allocated = -1",
            "UPDATE stock_levels SET unavailable = -1",
        ] {
            assert!(run(app, sql).await.is_err(), "{sql}");
        }
        assert_eq!(dump(&app.db).await, before);
        staff.delete(&path("products", &made, "")).await.expect(204);
        assert_eq!(items(&staff, "/stock/movements").await.len(), 1);
    })
    .await;
}
