//! Every unit accounted for: where it lies, which order holds it, and why it can't be sold.

use std::collections::BTreeMap;

use ::stock::{Adjustment, Change, MAIN, OrderStock, Refused, place};
use futures_util::FutureExt;
use kit::author::Author;
use kit::clock::{Timestamp, new_id};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{adjust, check_ledger, each, figures, items, location, path, product};
use crate::harness::goods::nobody;
use crate::harness::{App, each_app};

/// An order that holds so much of a product; gives its id.
async fn order(app: &App, product: &Value, quantity: i64) -> String {
    let order = OrderStock {
        order_id: new_id(),
        step: 1,
        author: Author::nobody(Timestamp(0)),
        held_before: BTreeMap::new(),
        quantities: BTreeMap::from([(product["id"].as_str().unwrap().parse::<Uuid>().unwrap(), quantity)]),
    };
    let id = order.order_id.to_string();
    let placed: Result<_, Unexpected> =
        app.db.write(order, |tx, order| async move { Ok(place(tx, &[order]).await?.concat()) }.boxed()).await;
    assert!(placed.unwrap().is_empty());
    id
}

/// What the kernel refused.
#[derive(Debug)]
struct Unexpected(#[expect(dead_code, reason = "shown where the test fails")] Refused);

impl From<Refused> for Unexpected {
    fn from(refused: Refused) -> Self {
        Self(refused)
    }
}

impl From<::db::Error> for Unexpected {
    fn from(error: ::db::Error) -> Self {
        Self(error.into())
    }
}

#[tokio::test]
async fn every_unit_is_explained() {
    each_app(async |app| {
        let (staff, ada) = (app.staff("staff").await, app.customer("ada").await);
        let lap = product(&staff, "LAP-1", json!({"backorder_limit": 4})).await;
        let b = location(&staff, "B").await;
        adjust(&staff, "LAP-1", "MAIN", "receive", 10).await.expect(201);
        adjust(&staff, "LAP-1", "B", "receive", 5).await.expect(201);
        let aside = json!({"sku": "LAP-1", "kind": "quarantine", "quantity": 2, "reason": "damaged"});
        staff.post("/stock/adjustments", aside).await.expect(201);
        let (small, large) = (order(app, &lap, 3).await, order(app, &lap, 7).await);
        let address = path("products", &lap, "/availability");
        let plain = staff.get(&address).await.expect(200).json();
        assert_eq!(figures(&plain), [15, 10, 2, 7]);
        assert!(
            plain.get("explanation").is_none() && plain["incoming"] == 0 && plain["backorder_limit"] == 4,
            "{plain}"
        );
        let places = plain["locations"].as_array().unwrap();
        assert_eq!(each(places, "location"), ["MAIN", "B"]);
        assert_eq!((figures(&places[0]), figures(&places[1])), ([10, 8, 2, 4], [5, 2, 0, 3]));
        let explained =
            staff.get(&format!("{address}?explain=true")).await.expect(200).json()["explanation"].clone();
        let held = explained["allocated"].as_array().unwrap();
        let held: Vec<(&str, i64, bool)> = held
            .iter()
            .map(|part| {
                (
                    part["order_id"].as_str().unwrap(),
                    part["quantity"].as_i64().unwrap(),
                    part["location_id"] == b["id"],
                )
            })
            .collect();
        assert_eq!(held, [(&*large, 5, false), (&*small, 3, false), (&*large, 2, true)]);
        let aside = &explained["unavailable"][0];
        assert_eq!((&aside["quantity"], &aside["reason"]), (&json!(2), &json!("damaged")));
        assert_eq!(
            (&explained["allocated_has_more"], &explained["unavailable_has_more"]),
            (&json!(false), &json!(false))
        );
        let none = json!({"count": 0, "quantity": 0});
        assert_eq!([&explained["allocated_rest"], &explained["unavailable_rest"]], [&none; 2]);
        ada.get(&address).await.problem(403, "forbidden");
        staff.get(&format!("{address}?explain=yes")).await.problem(400, "invalid_parameter");
        check_ledger(app).await;
    })
    .await;
}

/// So many orders that hold one more each, and so many units put aside one by one.
async fn hold_and_put_aside(app: &App, product: &Value, orders: i64, units: i64) {
    let product_id: Uuid = product["id"].as_str().unwrap().parse().unwrap();
    let order = |quantity: i64| OrderStock {
        order_id: new_id(),
        step: 1,
        author: nobody(),
        held_before: BTreeMap::new(),
        quantities: BTreeMap::from([(product_id, quantity)]),
    };
    let input = ((1..=orders).map(order).collect::<Vec<_>>(), product_id, units);
    let done: Result<(), Unexpected> = app
        .db
        .write(input, |tx, (orders, product_id, units)| {
            async move {
                let orders: Vec<&OrderStock> = orders.iter().collect();
                assert!(place(tx, &orders).await?.concat().is_empty());
                for _ in 0..*units {
                    let adjustment = Adjustment {
                        product_id: *product_id,
                        location_id: MAIN,
                        change: Change::Quarantine(1),
                        expected_on_hand: None,
                        reason: None,
                        unit_cost_minor: None,
                        author: nobody(),
                    };
                    ::stock::adjust(tx, &adjustment).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await;
    done.unwrap();
}

#[tokio::test]
async fn what_the_lists_have_no_place_for_is_explained_by_its_sum() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let lap = product(&staff, "LAP-1", json!({})).await;
        adjust(&staff, "LAP-1", "MAIN", "receive", 1_000_000).await.expect(201);
        hold_and_put_aside(app, &lap, 1_003, 204).await;
        let path = path("products", &lap, "/availability?explain=true");
        let whole = staff.get(&path).await.expect(200).json();
        let explained = &whole["explanation"];
        for (name, count, quantity) in [("allocated", 3, 1 + 2 + 3), ("unavailable", 4, 4)] {
            let listed = explained[name].as_array().unwrap().iter();
            let listed: i64 = listed.map(|part| part["quantity"].as_i64().unwrap()).sum();
            assert_eq!(explained[format!("{name}_has_more")], true);
            assert_eq!(explained[format!("{name}_rest")], json!({"count": count, "quantity": quantity}));
            assert_eq!(whole[name], listed + quantity, "{name} adds up");
        }
        check_ledger(app).await;
    })
    .await;
}

#[tokio::test]
async fn what_orders_hold_can_be_counted_away_but_not_moved() {
    each_app(async |app| {
        let (staff, ada) = (app.staff("staff").await, app.customer("ada").await);
        let lap = product(&staff, "LAP-1", json!({})).await;
        location(&staff, "B").await;
        adjust(&staff, "LAP-1", "MAIN", "receive", 5).await.expect(201);
        order(app, &lap, 4).await;
        super::transfer(&staff, "LAP-1", "MAIN", "B", 2).await.problem(409, "insufficient_stock");
        adjust(&staff, "LAP-1", "MAIN", "quarantine", 2).await.problem(409, "insufficient_stock");
        adjust(&staff, "LAP-1", "MAIN", "count", 1).await.expect(201);
        let seen = staff.get(&path("products", &lap, "")).await.expect(200).json();
        assert_eq!(figures(&seen["stock"]), [1, 4, 0, -3]);
        assert_eq!(
            ada.get("/products").await.expect(200).json()["items"][0]["stock"],
            json!({"available": 0}),
            "what orders are owed is no customer's business"
        );
        assert_eq!(items(&staff, "/stock").await[0]["available"], -3);
        let deleted = staff.delete(&path("products", &lap, "")).await;
        deleted.expect(204);
        check_ledger(app).await;
    })
    .await;
}

/// Of what isn't tracked there is no end, so there is no figure.
#[tokio::test]
async fn nothing_is_said_of_how_much_there_is_of_what_is_not_tracked() {
    each_app(async |app| {
        let (staff, ada) = (app.staff("staff").await, app.customer("ada").await);
        let made = product(&staff, "LICENCE", json!({"track_stock": false})).await;
        assert_eq!(made["stock"]["available"], Value::Null);
        let seen = ada.get(&path("products", &made, "")).await.expect(200).json();
        assert_eq!(seen["stock"], json!({"available": null}));
        let whole = staff.get(&path("products", &made, "/availability")).await.expect(200).json();
        assert_eq!([&whole["available"], &whole["locations"][0]["available"]], [&Value::Null; 2]);
        assert_eq!(items(&staff, "/stock").await[0]["available"], Value::Null);
        staff.put(&path("products", &made, ""), json!({"track_stock": true})).await.expect(200);
        let seen = ada.get("/products").await.expect(200).json();
        assert_eq!(seen["items"][0]["stock"], json!({"available": 0}));
    })
    .await;
}
