//! Placing orders that take stock.

use ::stock::{Cause, CauseKind, Change, Kind, MAIN};
use http::Method;
use serde_json::{Value, json};

use super::{laptop, place, view};
use crate::harness::goods::{Goods, add_location, adjust, archive, check_stock, ledger, level, reprice};
use crate::harness::{Answer, App, Client, TestDatabase, each_app, each_engine};

/// An order of so much of each SKU.
pub(super) fn of(lines: &[(&str, i64)]) -> Value {
    let line = |(sku, quantity): &(&str, i64)| json!({"sku": sku, "quantity": quantity});
    json!({"lines": lines.iter().map(line).collect::<Vec<_>>()})
}

/// Fails unless it is refused for what there is too little of: SKU, how much of it was asked for, and how much there is.
#[track_caller]
pub(super) fn short(answer: Answer, shortages: &[(&str, i64, i64)]) {
    let problem = answer.problem(409, "insufficient_stock").json();
    let shown = |(sku, requested, available): &(&str, i64, i64)| json!({"sku": sku, "requested": requested, "available": available});
    assert_eq!(problem["shortages"], Value::from_iter(shortages.iter().map(shown)));
}

async fn count_orders(client: &Client<'_>) -> Value {
    client.get("/orders?count=exact&limit=1").await.expect(200).json()["total"].clone()
}

#[tokio::test]
async fn stock_is_priced_by_the_catalogue_and_allocated() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let product = Goods::new("Lap-1", 5).add_to(&app.db).await;
        let body = of(&[("lAP-1", 2)]);
        let placed =
            ada.request(Method::POST, "/orders").header("x-request-id", "r-1").json(&body).send().await;
        let order = placed.expect(201).json();
        let line = &order["lines"][0];
        assert_eq!((&line["sku"], &line["name"]), (&json!("Lap-1"), &json!("Thing Lap-1")));
        assert_eq!((&line["product_id"], &line["quantity"]), (&json!(product), &json!(2)));
        assert_eq!((&line["unit_price"], &line["total_price"]), (&json!(9.99), &json!(19.98)));
        assert_eq!((&order["total_price"], &order["status"]), (&json!(19.98), &json!("pending")));
        assert_eq!(view(&ada, &order).await, order);
        assert_eq!(level(&app.db, product, MAIN).await, [5, 2, 0]);
        let movement = ledger(&app.db).await.pop().unwrap();
        let id = order["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(movement.cause, Cause { kind: CauseKind::Order, id, step: 1 });
        assert_eq!((movement.kind, movement.delta.allocated), (Kind::Allocate, 2));
        assert_eq!((movement.actor_id, movement.request_id.as_deref()), (Some(ada.id), Some("r-1")));
        reprice(&app.db, product, "Dearer", 2000).await;
        assert_eq!(view(&ada, &order).await, order, "name and price are those of the moment");
        assert_eq!(place(&ada, of(&[("LAP-1", 1)])).await["lines"][0]["unit_price"], 20.0);
        let by_sku = ada.get("/orders?sku=Lap-1").await.expect(200).json();
        assert_eq!(by_sku["items"].as_array().unwrap().len(), 2);
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn all_lines_or_none() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        Goods::new("A", 3).add_to(&app.db).await;
        Goods::new("B", 1).add_to(&app.db).await;
        let c = Goods::new("C", 100).add_to(&app.db).await;
        let before = ledger(&app.db).await;
        short(ada.post("/orders", of(&[("C", 1), ("B", 2), ("A", 4)])).await, &[("B", 2, 1), ("A", 4, 3)]);
        short(ada.post("/orders", of(&[("a", 2), ("C", 1), ("A", 2)])).await, &[("A", 4, 3)]);
        assert_eq!((ledger(&app.db).await, count_orders(&staff).await), (before, json!(0)));
        assert_eq!(level(&app.db, c, MAIN).await, [100, 0, 0]);
        let order = place(&ada, of(&[("a", 1), ("C", 1), ("A", 2)])).await;
        let skus: Vec<&Value> = order["lines"].as_array().unwrap().iter().map(|line| &line["sku"]).collect();
        assert_eq!((skus, &order["quantity"]), (vec![&json!("A"), &json!("C"), &json!("A")], &json!(4)));
        short(ada.post("/orders", of(&[("A", 1)])).await, &[("A", 1, 0)]);
        assert_eq!(ledger(&app.db).await.len(), 3 + 2, "a product has one movement");
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn what_can_not_be_ordered_is_named_all_at_once() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        Goods::new("A", 3).add_to(&app.db).await;
        Goods { currency: "EUR", ..Goods::new("E", 3) }.add_to(&app.db).await;
        let gone = Goods::new("GONE", 3).add_to(&app.db).await;
        archive(&app.db, gone).await;
        let body = of(&[("A", 1), ("nothing", 1), ("GONE", 1), ("E", 1)]);
        let problem = ada.post("/orders", body.clone()).await.problem(422, "validation_failed");
        let faults: Vec<(String, String)> = faults(&problem);
        let expected = [
            ("lines[1].sku", "unknown_sku"),
            ("lines[2].sku", "unknown_sku"),
            ("lines[3].sku", "currency_mismatch"),
        ];
        assert_eq!(faults, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
        let order = place(&staff, of(&[("A", 1)])).await;
        let changed = staff.put(&super::path(&order, ""), body).await.problem(422, "validation_failed");
        assert_eq!(changed.faulty_fields(), ["lines[1].sku", "lines[2].sku", "lines[3].sku"]);
        for sku in ["", " A", "A  B", "\u{7}", &"x".repeat(65)] {
            let problem = ada.post("/orders", of(&[(sku, 1)])).await.problem(422, "validation_failed");
            assert_eq!(problem.faulty_fields(), ["lines[0].sku"], "{sku:?}");
        }
    })
    .await;
}

fn faults(problem: &Answer) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let errors = problem.json()["errors"].as_array().unwrap().clone();
    errors.iter().map(|fault| (text(&fault["field"]), text(&fault["code"]))).collect()
}

#[tokio::test]
async fn an_order_has_its_products_currency_unless_another_is_named() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        Goods { currency: "JPY", price_minor: 500, ..Goods::new("J", 9) }.add_to(&app.db).await;
        Goods { currency: "EUR", ..Goods::new("E", 9) }.add_to(&app.db).await;
        let order = place(&ada, of(&[("J", 2)])).await;
        assert_eq!((&order["currency"], &order["total_price"]), (&json!("JPY"), &json!(1000)));
        let with_free = |price: &str| json!({"lines": [{"sku": "J", "quantity": 1}, {"name": "Post", "quantity": 1, "unit_price": price}]});
        assert_eq!(place(&staff, with_free("7")).await["total_price"], 507);
        let problem = staff.post("/orders", with_free("0.5")).await.problem(422, "validation_failed");
        assert_eq!(problem.faulty_fields(), ["lines[1].unit_price"]);
        let mut named = of(&[("E", 1), ("J", 1)]);
        assert_eq!(faults(&ada.post("/orders", named.clone()).await)[0].0, "lines[1].sku");
        named["currency"] = "JPY".into();
        assert_eq!(faults(&ada.post("/orders", named).await)[0].0, "lines[0].sku");
    })
    .await;
}

#[tokio::test]
async fn i07_amounts_are_exact_or_refused() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let largest = 9_007_199_254_740_991;
        let goods = |sku, price_minor| Goods { price_minor, is_tracked: false, ..Goods::new(sku, 0) };
        goods("MAX", largest).add_to(&app.db).await;
        goods("BIG", 9_007_199).add_to(&app.db).await;
        goods("ONE", 1).add_to(&app.db).await;
        for (lines, field) in [
            (&[("MAX", 1_000_000_000)][..], "lines[0].quantity"),
            (&[("ONE", 1), ("MAX", 2)], "lines[1].quantity"),
            (&[("MAX", 1), ("ONE", 1)], "lines"),
            (&[("BIG", 1_000_000_000), ("ONE", 254_740_992)], "lines"),
            (&[("MAX", 1); 500], "lines"),
        ] {
            let problem = staff.post("/orders", of(lines)).await.problem(422, "validation_failed");
            assert_eq!(faults(&problem), [(field.to_owned(), "invalid_amount".to_owned())]);
        }
        let all = vec![("MAX", 1_000_000_000); 500];
        assert_eq!(faults(&staff.post("/orders", of(&all)).await).len(), 500);
        for lines in [&[("MAX", 1)][..], &[("BIG", 1_000_000_000), ("ONE", 254_740_991)]] {
            let text = staff.post("/orders", of(lines)).await.expect(201).text();
            assert!(text.contains("\"total_price\":90071992547409.91,\"currency\""), "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn main_is_emptied_first_then_the_others_by_priority() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let (far, near) = (add_location(&app.db, "FAR", 20).await, add_location(&app.db, "NEAR", 10).await);
        let goods = Goods { backorder_limit: 2, ..Goods::new("A", 3) };
        let product = goods.add_to(&app.db).await;
        for (location, quantity) in [(far, 4), (near, 2)] {
            adjust(&app.db, product, location, Change::Receive(quantity)).await.unwrap();
        }
        adjust(&app.db, product, far, Change::Quarantine(1)).await.unwrap();
        let held = async || {
            let places = [MAIN, near, far];
            futures_util::future::join_all(places.map(|place| level(&app.db, product, place))).await
        };
        place(&ada, of(&[("A", 4)])).await;
        assert_eq!(held().await, [[3, 3, 0], [2, 1, 0], [4, 0, 1]]);
        short(ada.post("/orders", of(&[("A", 7)])).await, &[("A", 7, 6)]);
        place(&ada, of(&[("A", 5)])).await;
        assert_eq!(held().await, [[3, 4, 0], [2, 2, 0], [4, 3, 1]], "what nobody has is owed by MAIN");
        place(&ada, of(&[("A", 1)])).await;
        short(ada.post("/orders", of(&[("A", 1)])).await, &[("A", 1, 0)]);
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn staff_order_stock_for_somebody_with_free_lines_beside_it() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let product = Goods::new("A", 3).add_to(&app.db).await;
        Goods { is_tracked: false, ..Goods::new("LICENCE", 0) }.add_to(&app.db).await;
        let lines = json!([
            {"sku": "A", "quantity": 3},
            {"name": "Post", "quantity": 1, "unit_price": "4.90"},
            {"sku": "licence", "quantity": 1000},
        ]);
        let order = place(&staff, json!({"lines": lines, "user_id": ada.id})).await;
        assert_eq!((&order["user_id"], &order["quantity"]), (&json!(ada.id), &json!(1004)));
        assert_eq!(order["lines"][2]["sku"], "LICENCE");
        assert_eq!(view(&ada, &order).await["lines"], order["lines"]);
        assert_eq!(level(&app.db, product, MAIN).await, [3, 3, 0]);
        let movements = ledger(&app.db).await;
        assert_eq!(movements.len(), 2, "what isn't tracked moves nothing");
        assert_eq!(movements[1].actor_id, Some(staff.id));
        let nobody = kit::clock::new_id();
        let unknown = json!({"lines": [{"sku": "A", "quantity": 3}], "user_id": nobody});
        assert_eq!(staff.post("/orders", unknown).await.expect(422).faulty_fields(), ["user_id"]);
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_is_answered_whatever_became_of_its_product() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let product = Goods::new("A", 3).add_to(&app.db).await;
        let keyed = async |key: &str, body: &Value| {
            ada.request(Method::POST, "/orders").header("idempotency-key", key).json(body).send().await
        };
        short(keyed("k", &of(&[("A", 4)])).await, &[("A", 4, 3)]);
        let first = keyed("k", &of(&[("A", 3)])).await.expect(201);
        short(keyed("other", &of(&[("A", 1)])).await, &[("A", 1, 0)]);
        for _ in 0..2 {
            let again = keyed("k", &of(&[("A", 3)])).await.expect(201);
            assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body));
            archive(&app.db, product).await;
        }
        keyed("k", &of(&[("A", 2)])).await.problem(422, "idempotency_key_reused");
        let refused = keyed("other", &of(&[("A", 2)])).await.problem(422, "validation_failed");
        assert_eq!(refused.faulty_fields(), ["lines[0].sku"]);
        assert_eq!(count_orders(&ada).await, 1);
        check_stock(&app.db).await;
    })
    .await;
}

/// One that is refused for want of stock takes no place among the pending ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_too_short_is_in_no_others_way() {
    let test = async |database: &TestDatabase| {
        let app = &App::with(database, |options| options.max_pending_orders = 10).await;
        let ada = app.customer("ada").await;
        Goods::new("A", 5).add_to(&app.db).await;
        Goods::new("B", 0).add_to(&app.db).await;
        let answers = futures_util::future::join_all((0..40).map(|number| {
            let ada = &ada;
            async move {
                match number % 4 {
                    0 => ada.post("/orders", of(&[("A", 1)])).await,
                    1 => ada.post("/orders", of(&[("A", 1), ("B", 1)])).await,
                    2 if number < 20 => ada.post("/orders", laptop()).await,
                    _ => ada.post("/orders", of(&[("B", 1)])).await,
                }
            }
        }))
        .await;
        let placed = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(placed, 10, "five orders of A and five that take no stock");
        for refused in answers.iter().filter(|answer| answer.status != 201) {
            let code = refused.clone().expect(409).code();
            assert!(["insufficient_stock", "too_many_pending_orders"].contains(&&*code), "{code}");
        }
        check_stock(&app.db).await;
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}
