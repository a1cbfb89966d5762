//! Assertions that stay on (R23): what was changed behind the program's back is noticed by the transaction that touches it, and nothing is built upon it.

use ::db::{Db, Error};
use futures_util::FutureExt;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::contract::dump::dump;
use crate::harness::goods::{Goods, check_stock};
use crate::harness::{App, Client, Site, TestDatabase, each_app, each_engine, eventually};
use crate::metrics::scrape::Scrape;

async fn change(db: &Db, sql: &'static str) {
    let changed: Result<u64, Error> =
        db.write(sql, |tx, sql| async move { tx.execute(sql, &[]).await }.boxed()).await;
    assert!(changed.unwrap() > 0, "{sql}");
}

async fn violations(app: &App, invariant: &str) -> f64 {
    Scrape::of(app)
        .await
        .value(&format!("storehouse_invariant_violations_total{{invariant=\"{invariant}\"}}"))
}

/// Fails unless a request is refused as our fault, without a word of what was found.
async fn is_refused(client: &Client<'_>, path: &str, body: Value) {
    let (answer, body) = client.request(Method::POST, path).json(&body).open().await;
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (500, "application/problem+json"),
        "{path}: {text}"
    );
    assert!(text.contains("\"code\":\"internal\"") && !text.contains("invariant"), "{text}");
}

/// An order of two lamps, confirmed; gives its path.
async fn order(staff: &Client<'_>) -> String {
    let body = json!({"lines": [{"sku": "LAMP", "quantity": 2}, {"name": "Wrapping", "quantity": 3, "unit_price": 1}]});
    let path = staff.post("/orders", body).await.expect(201).header("location").to_owned();
    staff.post(&format!("{path}/confirm"), json!({})).await.expect(200);
    path
}

/// What is changed past the program, what that violates, and what meets it.
struct Case {
    invariant: &'static str,
    corruption: &'static [&'static str],
    mending: &'static [&'static str],
    requests: Vec<(String, Value)>,
}

fn receipt() -> Value {
    json!({"sku": "LAMP", "kind": "receive", "quantity": 5})
}

fn cases(path: &str) -> [Case; 4] {
    let step = |name: &str| (format!("{path}/{name}"), json!({}));
    [
        Case {
            invariant: "order_money",
            corruption: &["UPDATE orders SET total_price = total_price + 1"],
            mending: &["UPDATE orders SET total_price = total_price - 1"],
            requests: vec![step("hold"), step("ship"), step("cancel")],
        },
        Case {
            invariant: "order_money",
            corruption: &["UPDATE order_lines SET unit_minor = unit_minor + 1"],
            mending: &["UPDATE order_lines SET unit_minor = unit_minor - 1"],
            requests: vec![step("cancel")],
        },
        Case {
            invariant: "order_holds",
            corruption: &[
                "UPDATE order_lines SET quantity = quantity + 1, total_minor = total_minor + unit_minor",
                "UPDATE orders SET total_price = total_price + 1099",
            ],
            mending: &[
                "UPDATE order_lines SET quantity = quantity - 1, total_minor = total_minor - unit_minor",
                "UPDATE orders SET total_price = total_price - 1099",
            ],
            requests: vec![step("ship"), step("cancel")],
        },
        Case {
            invariant: "stock_level",
            corruption: &["UPDATE stock_levels SET unavailable = on_hand + 1"],
            mending: &["UPDATE stock_levels SET unavailable = 0"],
            requests: vec![
                ("/stock/adjustments".to_owned(), receipt()),
                ("/orders".to_owned(), json!({"lines": [{"sku": "LAMP", "quantity": 1}]})),
                step("ship"),
            ],
        },
    ]
}

#[tokio::test]
async fn r23_what_is_not_as_it_must_be_is_refused_and_counted() {
    each_app(async |app| {
        Goods::new("LAMP", 50).add_to(&app.db).await;
        let staff = app.staff("staff").await;
        let path = order(&staff).await;
        for Case { invariant, corruption, mending, requests } in cases(&path) {
            let before = violations(app, invariant).await;
            let refusals = f64::from(u32::try_from(requests.len()).unwrap());
            for sql in corruption {
                change(&app.db, sql).await;
            }
            let content = dump(&app.db).await;
            for (path, body) in requests {
                is_refused(&staff, &path, body).await;
            }
            assert_eq!(dump(&app.db).await, content, "{invariant}: nothing is built upon it");
            // A write that is run again, since others were committed with it, counts again.
            assert!(violations(app, invariant).await >= before + refusals, "{invariant}");
            for sql in mending {
                change(&app.db, sql).await;
            }
        }
        assert_eq!(violations(app, "order_owner").await, 0.0);
        staff.post("/stock/adjustments", receipt()).await.expect(201);
        staff.post(&format!("{path}/ship"), json!({})).await.expect(200);
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r23_a_violation_stands_in_the_log_and_others_go_on() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database: &TestDatabase| {
        let site = Site::new(Some(database.url()));
        let process = site.start().await;
        let (mut wire, _) = process.connect().await.register("boss").await;
        let body = json!({"product_name": "Lamp", "quantity": 1, "total_price": 5});
        let mut ids = Vec::new();
        for _ in 0..2 {
            let placed = wire.post("/orders", &body).await.unwrap().expect(201).json();
            ids.push(placed["id"].as_str().unwrap().to_owned());
        }
        let db = database.open().await;
        change(&db, "UPDATE orders SET total_price = 501 WHERE number = 1001").await;
        db.close().await;
        let confirm = |id: &str| format!("/orders/{id}/confirm");
        let refused = wire.exchange(Method::POST, &confirm(&ids[0]), Some(&json!({})), None).await.unwrap();
        assert_eq!(refused.status.as_u16(), 500);
        wire.post(&confirm(&ids[1]), &json!({})).await.unwrap().expect(200);
        eventually("the log tells it", async || {
            let log = site.output();
            let line = log.lines().find(|line| line.contains("invariant violated: order_money: order "));
            line.is_some_and(|line| line.contains("ERROR") && line.contains("total 501"))
        })
        .await;
    })
    .await;
}
