use ::db::{Db, Error};
use futures_util::FutureExt;
use serde_json::json;

use crate::harness::{Site, TestDatabase, each_engine};
use crate::load::check_database;
use crate::process::commands::said;

/// All that the same seed makes again, as text: everything but ids.
async fn story(db: &Db) -> Vec<String> {
    let mut found = Vec::new();
    for sql in [
        "SELECT sku, barcode, CAST(price_minor AS TEXT), name FROM products ORDER BY sku",
        "SELECT CAST(number AS TEXT), status, CAST(total_price AS TEXT), CAST(created_at AS TEXT) FROM orders ORDER BY number",
        "SELECT kind, CAST(on_hand_delta AS TEXT), CAST(on_hand_after AS TEXT), CAST(stock_movements.created_at AS TEXT)
         FROM stock_movements JOIN products ON products.id = product_id
         ORDER BY stock_movements.created_at, sku, kind, location_id = product_id, on_hand_after",
        "SELECT email, username, full_name, role FROM accounts ORDER BY email",
    ] {
        let rows: Result<Vec<String>, Error> = db
            .read(sql, |tx, sql| {
                async move {
                    let text = |row: &::db::Row<'_>| {
                        let cells: Result<Vec<Option<String>>, Error> = (0..4).map(|at| row.get(at)).collect();
                        Ok(format!("{:?}", cells?))
                    };
                    tx.rows(sql, &[], text).await
                }
                .boxed()
            })
            .await;
        found.extend(rows.unwrap());
    }
    found
}

async fn told(database: &TestDatabase, seed: &str) -> Vec<String> {
    let site = Site::new(Some(database.url()));
    let text = said(&site.run(&["demo", "--seed", seed, "--days", "12"]));
    assert!(text.contains("Start it with `DATABASE_URL=") && text.contains(" storehouse serve`"), "{text}");
    assert!(text.contains("500 products at 3 locations, 200 customers"), "{text}");
    assert!(text.contains("differences: 0.") && text.contains("admin@example.com"), "{text}");
    check_database(database.url()).await;
    let db = database.open().await;
    let found = story(&db).await;
    db.close().await;
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_makes_the_same_business() {
    each_engine(&[], async |database| {
        let first = told(database, "7").await;
        let (again, other) = (empty(database).await, empty(database).await);
        assert_eq!(told(&again, "7").await, first);
        assert_ne!(told(&other, "8").await, first);
        let site = Site::new(Some(database.url()));
        let line = site.refusal(&["demo"]);
        assert!(line.contains("is not empty"), "{line}");
        let process = site.start().await;
        let mut wire = process.connect().await;
        let login = json!({"email": "staff@example.com", "password": "a demonstration 7"});
        let session = wire.post("/auth/login", &login).await.unwrap().expect(200).json();
        let mut wire = wire.with_token(session["token"].as_str().unwrap());
        let low = wire.get("/stock/reorder?limit=1&count=exact").await.unwrap().expect(200).json();
        assert!(low["total"].as_i64().unwrap() > 0, "some stock is low: {low}");
        let orders = wire.get("/orders?limit=1&count=exact").await.unwrap().expect(200).json();
        assert!(orders["total"].as_i64().unwrap() > 40, "{orders}");
    })
    .await;
}

async fn empty(database: &TestDatabase) -> TestDatabase {
    TestDatabase::new(database.engine, &[]).await
}

#[tokio::test]
async fn production_gets_no_demonstration() {
    let site = Site::new(None)
        .with("ENVIRONMENT", "production")
        .with("JWT_SECRET", "2b9c41f07d6e8a5312c4b0e7f9a86d5342f1c0b9e8d7a6f5");
    let line = site.refusal(&["demo"]);
    assert!(line.contains("production refuses"), "{line}");
    assert!(!site.path("data").exists());
}
