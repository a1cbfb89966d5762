//! Products found by words: rare ones, common ones, and several together, always what a plain comparison finds.

use std::fmt::Write as _;

use futures_util::{FutureExt, StreamExt, stream};
use kit::search::fold;
use serde_json::{Value, json};

use super::{each, items, path, product};
use crate::harness::{App, Client, Engine, TestDatabase, each_app, each_engine, eventually};

/// More than are read one by one, so that each way of searching is taken.
const PRODUCTS: usize = 4_600;

fn name_of(number: usize) -> String {
    let colour = if number.is_multiple_of(2) { "Red" } else { "Blue" };
    // A ninth of the red ones is of steel, and no blue one of wood.
    let material = if number % 2 == 1 || number % 18 == 4 { "steel" } else { "wood" };
    format!("{colour} {material}-lamp É{}", number % 7)
}

async fn fill(staff: &Client<'_>) -> Vec<Value> {
    let make = |number: usize| async move {
        let more = json!({"name": name_of(number), "barcode": format!("{}", 4_000_000 + number), "external_id": format!("shop{}", number / 3)});
        product(staff, &format!("SKU-{number:04}"), more).await
    };
    stream::iter((0..PRODUCTS).map(make)).buffer_unordered(64).collect().await
}

/// The SKUs of the products that have, for each word, a word that begins with it.
fn expected(all: &[Value], query: &str) -> Vec<String> {
    let asked = fold([query]);
    let is_found = |product: &&Value| {
        let texts = ["name", "sku", "barcode", "external_id"]
            .map(|field| product[field].as_str().unwrap_or_default());
        let text = fold(texts);
        asked.split_whitespace().all(|word| text.split_whitespace().any(|own| own.starts_with(word)))
    };
    let mut found: Vec<String> =
        all.iter().filter(is_found).map(|product| product["sku"].as_str().unwrap().to_owned()).collect();
    found.sort();
    found
}

#[tokio::test]
async fn what_is_found_is_what_a_plain_comparison_finds() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let all = fill(&staff).await;
        for query in [
            "0007",
            "SKU-0007",
            "4000007",
            "shop12",
            "nothing",
            "red nothing",
            "red",
            "steel",
            "red steel",
            "STEEL é3 red",
            "re st",
            "r s",
            "sku",
            "sku 00",
            "lamp e1 blue",
            "blue wood 17",
            "red wood steel",
            "red red",
            "%_",
            "",
            "re ste lam e sku",
            "00 1",
            "4000 shop5",
        ] {
            let found = items(&staff, &format!("/products?sort=sku&limit=200&q={}", encoded(query))).await;
            assert_eq!(each(&found, "sku"), expected(&all, query), "{query}");
        }
        let counted = staff.get("/products?q=red%20steel&count=exact&limit=1").await.expect(200).json();
        assert_eq!(counted["total"], expected(&all, "red steel").len());
        assert_eq!(staff.get("/products?q=nothing&count=exact").await.expect(200).json()["total"], 0);
    })
    .await;
}

/// So many that two of them are common words.
const MANY: usize = 17_400;

/// Nearly half are red and nearly half blue, a few of the oldest both, and none of those is a chair.
async fn fill_common(staff: &Client<'_>) -> Vec<Value> {
    let mut file = "sku,name,unit_price\n".to_owned();
    let mut all = Vec::with_capacity(MANY);
    for number in 0..MANY {
        let colour = if number.is_multiple_of(2) { "Red" } else { "Blue" };
        let thing = if number.is_multiple_of(40) { "chair" } else { "lamp" };
        let name = if number % 300 == 7 && number < 3_000 {
            "Red and blue lamp".to_owned()
        } else {
            format!("{colour} {thing} {}{number}", number % 10)
        };
        let sku = format!("SKU-{number:05}");
        writeln!(file, "{sku},{name},1").unwrap();
        all.push(json!({"sku": sku, "name": name}));
    }
    super::csv::import(staff, "/products/import", file).await.expect(200);
    all
}

/// How many products were read, as PostgreSQL has counted once all connections but this are closed, which tell all that they have read at their end.
async fn read_so_far(database: &TestDatabase) -> i64 {
    let db = &database.open().await;
    let ask = async |sql: &'static str| {
        let found: Result<i64, ::db::Error> =
            db.lookup((), |tx, ()| async move { tx.one(sql, &[], |row| row.get(0)).await }.boxed()).await;
        found.unwrap()
    };
    let others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    eventually("all others are gone", async || ask(others).await == 0).await;
    ask("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'products'").await
}

#[tokio::test]
async fn words_that_are_common_alone_and_rare_together_read_few_products() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let app = &App::new(database).await;
        let staff = app.staff("staff").await;
        let all = fill_common(&staff).await;
        for query in ["red blue", "blue re", "red blue chair", "red chair", "1 blue red", "sku red blue"] {
            for sort in ["sku", "-created_at"] {
                let path = format!("/products?sort={sort}&limit=200&q={}", encoded(query));
                let found = items(&staff, &path).await;
                let mut skus = each(&found, "sku");
                skus.sort_unstable();
                assert_eq!(skus, expected(&all, query), "{query} by {sort}");
            }
        }
        let counted = staff.get("/products?q=red%20blue&count=exact&limit=1").await.expect(200).json();
        assert_eq!(counted["total"], expected(&all, "red blue").len());
        app.stop_work();
        app.db.close().await;
        if database.engine == Engine::Postgres {
            check_bound(database).await;
        }
    })
    .await;
}

/// Fails if the list is walked to its end.
async fn check_bound(database: &TestDatabase) {
    const TIMES: i64 = 10;
    let before = read_so_far(database).await;
    let app = &App::new(database).await;
    let staff = app.staff("boss").await;
    for _ in 0..TIMES {
        staff.get("/products?q=red%20blue&limit=20").await.expect(200);
    }
    app.stop_work();
    app.db.close().await;
    let read = (read_so_far(database).await - before) / TIMES;
    assert!((1..9_000).contains(&read), "{read} products were read for a page");
}

fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_changed_product_is_found_by_its_new_words_alone() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let long = "x".repeat(80);
        let made =
            product(&staff, "LAP-1", json!({"name": format!("Old lamp {long}"), "external_id": "shop-9"}))
                .await;
        let find = async |query: &str| items(&staff, &format!("/products?q={query}")).await.len();
        assert_eq!(
            (find("old").await, find("shop").await, find(&long).await, find(&"x".repeat(81)).await),
            (1, 1, 1, 0)
        );
        assert_eq!(find(&format!("{}y", "x".repeat(70))).await, 0, "the end of a long word counts too");
        let change = json!({"name": "New lamp", "external_id": null, "sku": "TAB-2"});
        staff.put(&path("products", &made, ""), change).await.expect(200);
        for (query, count) in
            [("old", 0), ("lap", 0), ("shop", 0), ("new", 1), ("lamp", 1), ("tab-2", 1), ("1", 0)]
        {
            assert_eq!(find(query).await, count, "{query}");
        }
        staff.delete(&path("products", &made, "")).await.expect(204);
        assert_eq!(find("new").await, 0);
    })
    .await;
}

#[tokio::test]
async fn customers_find_what_is_on_sale() {
    each_app(async |app| {
        let (staff, ada) = (app.staff("staff").await, app.customer("ada").await);
        product(&staff, "A", json!({"name": "Red lamp"})).await;
        product(&staff, "B", json!({"name": "Red desk", "active": false})).await;
        assert_eq!(each(&items(&ada, "/products?q=red").await, "sku"), ["A"]);
        assert_eq!(each(&items(&staff, "/products?q=red").await, "sku"), ["B", "A"]);
    })
    .await;
}
