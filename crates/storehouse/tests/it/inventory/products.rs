//! Products: making, seeing, changing, deleting and listing them.

use std::time::Duration;

use ::db::Error;
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::Method;
use kit::clock::new_id;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{adjust, each, items, path, product};
use crate::contract::dump::dump;
use crate::harness::{App, Client, Random, each_app};

#[tokio::test]
async fn a_product_is_shown_to_staff_whole_and_to_customers_without_what_it_costs() {
    each_app(async |app| {
        let (staff, ada) = (app.staff("staff").await, app.customer("ada").await);
        staff.post("/categories", json!({"name": "Lamps"})).await.expect(201);
        let body = json!({
            "sku": "Lamp 1", "name": "A lamp", "description": "It shines.", "barcode": "40 06", "category": "lamps",
            "unit_price": "12.5", "unit_cost": 4, "attributes": {"watt": 7}, "backorder_limit": 3, "reorder_point": 2,
            "reorder_quantity": 10, "external_id": "shop-1", "metadata": {"a": [1]}
        });
        let made = staff.post("/products", body).await.expect(201);
        let shown = made.json();
        assert_eq!((made.header("location"), made.header("etag")), (&*path("products", &shown, ""), "\"1.0\""));
        assert!(made.text().contains("\"unit_price\":12.50"), "{}", made.text());
        assert_eq!((&shown["category"], &shown["currency"], &shown["active"]), (&json!("Lamps"), &json!("USD"), &json!(true)));
        let stock = json!({"on_hand": 0, "allocated": 0, "unavailable": 0, "available": 3, "incoming": 0});
        assert_eq!((&shown["stock"], &shown["unit_cost"]), (&stock, &json!(4.0)));
        for address in [&path("products", &shown, ""), "/products/by-sku/lAMP%201", "/products/by-barcode/40%2006"] {
            let seen = staff.get(address).await.expect(200);
            assert_eq!((seen.json(), seen.header("etag")), (shown.clone(), "\"1.0\""), "{address}");
            let mut expected = shown.clone();
            expected.as_object_mut().unwrap().remove("unit_cost");
            expected["stock"] = json!({"available": 3});
            assert_eq!(ada.get(address).await.expect(200).json(), expected, "{address}");
        }
        for nothing in ["/products/by-sku/Lamp", "/products/by-barcode/40%2007", "/products/by-sku/%ff", "/products/by-sku/a%00b"] {
            let status = staff.request(Method::GET, nothing).to("inventory").send().await.status;
            assert_eq!(status, 404, "{nothing}");
        }
    })
    .await;
}

#[tokio::test]
async fn customers_see_what_is_on_sale() {
    each_app(async |app| {
        let (staff, ada) = (app.staff("staff").await, app.customer("ada").await);
        let hidden = product(&staff, "OLD", json!({"active": false, "barcode": "1"})).await;
        product(&staff, "NEW", json!({})).await;
        for address in [&path("products", &hidden, ""), "/products/by-sku/old", "/products/by-barcode/1"] {
            ada.get(address).await.problem(404, "not_found");
            staff.get(address).await.expect(200);
        }
        // What one may not see is not there, what one may see is not one's to change.
        ada.put(&path("products", &hidden, ""), json!({"name": "x"})).await.problem(404, "not_found");
        ada.delete(&path("products", &hidden, "")).await.problem(404, "not_found");
        for (client, query, expected) in [
            (&staff, "", vec!["NEW", "OLD"]),
            (&staff, "?active=false", vec!["OLD"]),
            (&ada, "", vec!["NEW"]),
            (&ada, "?active=false", vec![]),
        ] {
            assert_eq!(each(&items(client, &format!("/products{query}")).await, "sku"), expected, "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_sku_and_a_barcode_are_one_products_own() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let first = product(&staff, "LAP-1", json!({"barcode": "a1"})).await;
        let second = product(&staff, "LAP-2", json!({"barcode": "a2"})).await;
        let before = dump(&app.db).await;
        let body =
            |sku: &str, barcode: &str| json!({"sku": sku, "name": "x", "unit_price": 1, "barcode": barcode});
        staff.post("/products", body("lap-1", "a3")).await.problem(409, "sku_taken");
        staff.post("/products", body("LAP-3", "a1")).await.problem(409, "barcode_taken");
        let address = path("products", &second, "");
        staff.put(&address, json!({"sku": "Lap-1", "name": "y"})).await.problem(409, "sku_taken");
        staff.put(&address, json!({"barcode": "a1"})).await.problem(409, "barcode_taken");
        let unknown = staff
            .put(&address, json!({"category": "none", "name": "y"}))
            .await
            .problem(422, "validation_failed");
        assert_eq!(unknown.faulty_fields(), ["category"]);
        assert_eq!(dump(&app.db).await, before);
        staff.put(&path("products", &first, ""), json!({"sku": "lap-1"})).await.expect(200);
        staff.put(&path("products", &first, ""), json!({"sku": "LAP-0", "barcode": null})).await.expect(200);
        staff.put(&address, json!({"sku": "LAP-1", "barcode": "a1"})).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_with_one_sku_one_is_made() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        for round in 0..5 {
            let make = |number: usize| {
                let sku =
                    if number.is_multiple_of(2) { format!("race-{round}") } else { format!("RACE-{round}") };
                staff.post(
                    "/products",
                    json!({"sku": sku, "name": format!("number {number}"), "unit_price": 1}),
                )
            };
            let answers = join_all((0..20).map(make)).await;
            let made = answers.iter().filter(|answer| answer.status == 201).count();
            assert_eq!(made, 1);
            for answer in answers.into_iter().filter(|answer| answer.status != 201) {
                answer.problem(409, "sku_taken");
            }
            assert_eq!(items(&staff, &format!("/products?sku=Race-{round}")).await.len(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_changes_what_it_names() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        staff.post("/categories", json!({"name": "Lamps"})).await.expect(201);
        let made = product(&staff, "LAP-1", json!({"description": "Old", "reorder_point": 4, "category": "Lamps"})).await;
        let address = path("products", &made, "");
        app.clock.advance(Duration::from_secs(5));
        let change = json!({"name": "A lamp", "unit_price": 20, "description": null, "category": null, "reorder_point": null,
                            "backorder_limit": 7, "metadata": null, "attributes": {"a": 1}});
        let changed = staff.put(&address, change).await.expect(200);
        assert_eq!(changed.header("etag"), "\"2.0\"");
        let changed = changed.json();
        assert!(changed["updated_at"].as_str() > made["updated_at"].as_str());
        let mut expected = made.clone();
        for (name, value) in [
            ("name", json!("A lamp")), ("unit_price", json!(20.0)), ("description", json!(null)), ("category", json!(null)),
            ("reorder_point", json!(null)), ("backorder_limit", json!(7)), ("attributes", json!({"a": 1})), ("version", json!(2)),
        ] {
            expected[name] = value;
        }
        expected["updated_at"] = changed["updated_at"].clone();
        expected["stock"]["available"] = json!(7);
        assert_eq!(changed, expected);
        assert_eq!(staff.get(&address).await.expect(200).json(), expected);
        let same = staff.request(Method::PATCH, &address).json(&json!({})).send().await.expect(200);
        assert_eq!((same.json(), same.header("etag")), (expected, "\"2.0\""));
        let level = &items(&staff, "/stock").await[0];
        assert_eq!(level["available"], 7, "the level knows how much may be backordered");
    })
    .await;
}

#[tokio::test]
async fn a_currency_changes_with_its_prices_and_before_anything_happened() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let made = product(&staff, "LAP-1", json!({"unit_cost": 5})).await;
        let address = path("products", &made, "");
        let alone = staff.put(&address, json!({"currency": "JPY"})).await.problem(422, "validation_failed");
        assert_eq!(alone.faulty_fields(), ["unit_price", "unit_cost"]);
        let decimals = json!({"currency": "JPY", "unit_price": "1.5", "unit_cost": 2});
        assert_eq!(
            staff.put(&address, decimals).await.problem(422, "validation_failed").faulty_fields(),
            ["unit_price"]
        );
        let yen = json!({"currency": "JPY", "unit_price": 900, "unit_cost": null});
        let changed = staff.put(&address, yen).await.expect(200);
        assert!(changed.text().contains("\"unit_price\":900,"), "{}", changed.text());
        adjust(&staff, "LAP-1", "MAIN", "receive", 1).await.expect(201);
        let back = json!({"currency": "USD", "unit_price": 9});
        staff.put(&address, back).await.problem(409, "product_has_history");
        staff.put(&address, json!({"currency": "JPY", "unit_price": 800})).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a_change_can_be_guarded_by_the_version_and_stock_counts_apart() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let made = product(&staff, "LAP-1", json!({})).await;
        let address = path("products", &made, "");
        adjust(&staff, "LAP-1", "MAIN", "receive", 5).await.expect(201);
        let seen =
            |tag: &'static str| staff.request(Method::GET, &address).header("if-none-match", tag).send();
        assert_eq!(seen("\"1.0\"").await.expect(200).header("etag"), "\"1.1\"");
        seen("\"1.1\"").await.expect(304);
        seen("\"1\"").await.expect(200);
        let change = |tag: &'static str| {
            staff.request(Method::PUT, &address).header("if-match", tag).json(&json!({"name": tag})).send()
        };
        let stale = change("\"2.1\"").await.problem(412, "stale_version");
        assert_eq!(stale.header("etag"), "\"1.1\"");
        assert_eq!(
            change("\"1.0\"").await.expect(200).header("etag"),
            "\"2.1\"",
            "a sale meanwhile is no conflict"
        );
        let same = change("\"2.1\"").await.expect(200);
        assert_eq!(same.header("etag"), "\"3.1\"", "its name was another tag");
        let same = staff.request(Method::PUT, &address).json(&json!({"name": "\"2.1\""})).send().await;
        assert_eq!(same.expect(200).header("etag"), "\"3.1\"", "what it has already changes nothing");
        let delete =
            |tag: &'static str| staff.request(Method::DELETE, &address).header("if-match", tag).send();
        delete("\"1.1\"").await.problem(412, "stale_version");
        delete("\"3.0\"").await.expect(204);
    })
    .await;
}

/// A line of an order, as orders store one of a product that takes no stock.
async fn order_line(app: &App, product_id: Uuid) {
    let written: Result<u64, Error> = app.db.write(product_id, |tx, product_id| {
        async move {
            let sql = "INSERT INTO order_lines (order_id, position, id, sku, product_id, name, quantity, shipped, delivered, returned,
                                                unit_minor, total_minor)
                       VALUES ($1, 0, $1, 'x', $2, 'x', 1, 0, 0, 0, 1, 1)";
            tx.execute(sql, &[new_id().into(), (*product_id).into()]).await
        }
        .boxed()
    }).await;
    written.unwrap();
}

#[tokio::test]
async fn a_product_with_a_history_is_archived_and_another_removed() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        // What was there is told for ever, and nothing else stays.
        let rest = async || {
            let rows = dump(&app.db).await.into_iter();
            rows.filter(|row| !row.starts_with("events ")).collect::<Vec<_>>()
        };
        let before = rest().await;
        let fresh = product(&staff, "FRESH", json!({"barcode": "1"})).await;
        staff.delete(&path("products", &fresh, "")).await.expect(204);
        assert_eq!(rest().await, before, "nothing is left of it");
        staff.delete(&path("products", &fresh, "")).await.problem(404, "not_found");
        let moved = product(&staff, "MOVED", json!({})).await;
        adjust(&staff, "MOVED", "MAIN", "receive", 1).await.expect(201);
        adjust(&staff, "MOVED", "MAIN", "count", 0).await.expect(201);
        let untracked = product(&staff, "UNTRACKED", json!({"track_stock": false})).await;
        let ordered = product(&staff, "ORDERED", json!({})).await;
        order_line(app, ordered["id"].as_str().unwrap().parse().unwrap()).await;
        for made in [&moved, &ordered, &untracked] {
            staff.delete(&path("products", made, "")).await.expect(204);
            let kept = staff.get(&path("products", made, "")).await.expect(200).json();
            assert_eq!((&kept["active"], &kept["version"]), (&json!(false), &json!(2)));
            staff.delete(&path("products", made, "")).await.expect(204);
            assert_eq!(
                staff.get(&path("products", made, "")).await.expect(200).json(),
                kept,
                "once is enough"
            );
            staff.put(&path("products", made, ""), json!({"active": true})).await.expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_makes_one_product() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let body = json!({"sku": "LAP-1", "name": "Laptop", "unit_price": 1});
        let make = |body: &Value| {
            staff.request(Method::POST, "/products").header("idempotency-key", "k").json(body).send()
        };
        let first = make(&body).await.expect(201);
        let again = make(&body).await.expect(201);
        assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body));
        assert_eq!(again.header("etag"), "\"1.0\"");
        make(&json!({"sku": "LAP-2", "name": "Laptop", "unit_price": 1}))
            .await
            .problem(422, "idempotency_key_reused");
    })
    .await;
}

/// What a list must show, by a plain model of it.
#[tokio::test]
async fn filters_and_sorts_find_what_a_model_finds() {
    each_app(async |app| {
        let (staff, ada) = (app.staff("staff").await, app.customer("ada").await);
        let mut random = Random::new();
        let all = fill(app, &staff, &mut random).await;
        for _ in 0..120 {
            let (query, sort, descending, matches) = random_query(&mut random);
            for (client, sees_all) in [(&staff, true), (&ada, false)] {
                let mut expected: Vec<&Value> = all
                    .iter()
                    .filter(|product| matches(product) && (sees_all || product["active"] == true))
                    .collect();
                expected.sort_by_key(|product| sort_key(product, sort));
                if descending {
                    expected.reverse();
                }
                let expected: Vec<&str> =
                    expected.iter().map(|product| product["sku"].as_str().unwrap()).collect();
                let found = items(client, &format!("/products?{query}")).await;
                assert_eq!(each(&found, "sku"), expected, "{query}");
                let counted = client.get(&format!("/products?{query}&count=exact")).await.expect(200).json();
                assert_eq!(counted["total"], expected.len(), "{query}");
            }
        }
    })
    .await;
}

async fn fill(app: &App, staff: &Client<'_>, random: &mut Random) -> Vec<Value> {
    for name in ["Lamps", "Desks"] {
        staff.post("/categories", json!({"name": name})).await.expect(201);
    }
    let mut all = Vec::new();
    for number in 0..60 {
        app.clock.advance(Duration::from_millis(random.next() % 2));
        let letter = random.pick(&["a", "B", "é", "Z-", "b_"]);
        let more = json!({
            "name": format!("{letter}{}", random.below(9)), "unit_price": random.below(5), "active": !random.once_in(4),
            "category": random.pick(&[json!(null), json!("LAMPS"), json!("desks")]), "track_stock": !random.once_in(5),
            "reorder_point": random.pick(&[json!(null), json!(0), json!(3), json!(9)]), "backorder_limit": random.below(3)
        });
        let sku = format!("{letter}{number}");
        let made = product(staff, &sku, more).await;
        for place in 0..random.below(3) {
            let kind = if place == 0 { "receive" } else { "quarantine" };
            adjust(staff, &sku, "MAIN", kind, random.between(1, 5)).await;
        }
        all.push(staff.get(&path("products", &made, "")).await.expect(200).json());
    }
    all
}

type Filter = Box<dyn Fn(&Value) -> bool>;

fn random_query(random: &mut Random) -> (String, &'static str, bool, Filter) {
    let (mut query, mut filters) = (format!("limit={}", random.pick(&[7, 200])), Vec::<Filter>::new());
    let mut add = |part: String, filter: Filter| {
        query += &format!("&{part}");
        filters.push(filter);
    };
    if random.once_in(3) {
        let category = *random.pick(&["Lamps", "Desks"]);
        add(
            format!("category={}", category.to_uppercase()),
            Box::new(move |product| product["category"] == category),
        );
    }
    if random.once_in(3) {
        let active = random.once_in(2);
        add(format!("active={active}"), Box::new(move |product| product["active"] == active));
    }
    if random.once_in(3) {
        let low = random.once_in(2);
        add(format!("low_stock={low}"), Box::new(move |product| is_low(product) == low));
    }
    if random.once_in(8) {
        add("sku=z-7".to_owned(), Box::new(|product| product["sku"] == "Z-7"));
    }
    let (sort, descending) = (*random.pick(&["created_at", "name", "sku", "unit_price"]), random.once_in(2));
    query += &format!("&sort={}{sort}", if descending { "-" } else { "" });
    (query, sort, descending, Box::new(move |product| filters.iter().all(|filter| filter(product))))
}

/// What may be backordered is not there, so it has to be bought; nothing is of what is sold no more.
fn is_low(product: &Value) -> bool {
    // Nothing is said of what isn't tracked.
    let Some(available) = product["stock"]["available"].as_i64() else { return false };
    let free = available - product["backorder_limit"].as_i64().unwrap();
    product["active"] == true && product["reorder_point"].as_i64().is_some_and(|point| free <= point)
}

fn sort_key(product: &Value, sort: &str) -> (i64, String, String) {
    let cents = product["unit_price"].as_f64().map_or(0, |price| (price * 100.0).round() as i64);
    let text = product[sort].as_str().unwrap_or_default();
    let text = if sort == "sku" { text.to_lowercase() } else { text.to_owned() };
    (if sort == "unit_price" { cents } else { 0 }, text, product["id"].as_str().unwrap().to_owned())
}
