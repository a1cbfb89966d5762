//! Products found by words: rare ones, common ones, and several together, always what a plain comparison finds.

use futures_util::{StreamExt, stream};
use kit::search::fold;
use serde_json::{Value, json};

use super::{each, items, path, product};
use crate::harness::{Client, each_app};

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
