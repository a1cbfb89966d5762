//! The ledger: listed as it was written, and never changed.

use std::time::Duration;

use ::db::{Error, Tx};
use ::stock::verify_levels;
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::{adjust, check_ledger, each, items, location, path, product, transfer};
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

/// What was there after a row is told by it; `storehouse verify` holds that against the row before, at each place, over more rows than one statement reads.
#[tokio::test]
async fn each_row_tells_what_was_there_after_it() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        product(&staff, "LAP-1", json!({"backorder_limit": 3})).await;
        location(&staff, "B").await;
        adjust(&staff, "LAP-1", "MAIN", "receive", 5).await.expect(201);
        transfer(&staff, "LAP-1", "MAIN", "B", 2).await.expect(201);
        // Many rows of one moment, written by the hand of a faultless machine.
        let rows = "INSERT INTO stock_movements (id, product_id, location_id, kind, on_hand_delta, allocated_delta, unavailable_delta,
                           on_hand_after, allocated_after, cause, cause_id, cause_step, created_at)
                    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 6000)
                    SELECT cause_id, product_id, location_id, 'adjust', 1, 0, 0, on_hand_after + n, 0, 'adjustment', cause_id, n + 1, created_at + n
                    FROM stock_movements CROSS JOIN numbers WHERE kind = 'transfer_out'";
        run(app, rows).await.unwrap();
        run(app, "UPDATE stock_levels SET on_hand = on_hand + 6000, version = version + 6000 WHERE backorder_limit = 3").await.unwrap();
        check_ledger(app).await;
        let wrong = "INSERT INTO stock_movements (id, product_id, location_id, kind, on_hand_delta, allocated_delta, unavailable_delta,
                           on_hand_after, allocated_after, cause, cause_id, cause_step, created_at)
                     SELECT location_id, product_id, location_id, 'adjust', 0, 0, 0, 1, 4, 'adjustment', product_id, 1, created_at + 1
                     FROM stock_movements WHERE kind = 'transfer_in'";
        run(app, wrong).await.unwrap();
        run(app, "UPDATE stock_levels SET version = version + 1 WHERE backorder_limit = 0").await.unwrap();
        let found = app.db.read((), |tx, ()| verify_levels(tx, |_| {}).boxed()).await.unwrap();
        let told: Vec<String> = found.iter().map(|found| found.to_string().split(" says ").skip(1).collect()).collect();
        assert_eq!(told, ["on_hand_after 1, the rows up to it say 2", "allocated_after 4, the rows up to it say 0"]);
    })
    .await;
}

/// How the engine finds what a condition leaves.
async fn plan(app: &App, condition: fn(&Tx) -> String) -> String {
    let explain = async |how: &'static str, column: usize| -> Result<Vec<String>, Error> {
        let input = (how, column, condition);
        let explained = app.db.write(input, |tx, (how, column, condition)| {
            async move {
                if *column == 0 {
                    // Of a ledger of a few rows PostgreSQL reads them all, if it may.
                    for way in ["seqscan", "bitmapscan", "sort"] {
                        tx.execute(&format!("SET LOCAL enable_{way} = off"), &[]).await?;
                    }
                }
                let condition = condition(tx);
                let sql = format!("{how} SELECT id FROM stock_movements WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT 51");
                tx.rows(&sql, &[], |row| row.get(*column)).await
            }
            .boxed()
        });
        explained.await
    };
    let explained = match explain("EXPLAIN QUERY PLAN", 3).await {
        Ok(plan) => plan,
        Err(_) => explain("EXPLAIN", 0).await.unwrap(),
    };
    explained.join("\n")
}

#[tokio::test]
async fn what_is_seldom_is_found_by_an_index() {
    use ::stock::store::{FEW, elsewhere};
    each_app(async |app| {
        let kind = plan(app, |_| format!("kind = 'transfer_in' AND {FEW}")).await;
        assert!(kind.contains("stock_movements_of_few_kinds"), "{kind}");
        let place = plan(app, |tx| {
            let here = tx.id_literal(uuid::Uuid::from_u128(7));
            format!("location_id = {here} AND {}", elsewhere(tx))
        });
        let place = place.await;
        assert!(place.contains("stock_movements_elsewhere"), "{place}");
        for plan in [kind, place] {
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("Sort"), "{plan}");
        }
    })
    .await;
}
