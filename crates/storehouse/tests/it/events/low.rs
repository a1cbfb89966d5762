//! Low stock, told once for each time it becomes low.

use ::stock::{Change, MAIN};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::told::told;
use crate::harness::goods::{add_location, adjust, check_stock};
use crate::harness::{App, Client, each_app};

/// A product with a reorder point of 5, and ten of it.
async fn lamp(app: &App, staff: &Client<'_>) -> Uuid {
    let lamp = json!({"sku": "LAMP", "name": "Lamp", "unit_price": 20, "reorder_point": 5});
    let lamp = staff.post("/products", lamp).await.expect(201).json();
    let id = lamp["id"].as_str().unwrap().parse().unwrap();
    adjust(&app.db, id, MAIN, Change::Receive(10)).await.unwrap();
    id
}

/// What was told of low stock.
async fn low(app: &App, count: usize) -> Vec<(i64, i64)> {
    let events = told(app, count).await;
    assert_eq!(events.len(), count, "{events:#?}");
    let low = events.iter().filter(|event| event["type"] == "stock.low");
    let number = |event: &Value, name: &str| event["data"][name].as_i64().unwrap();
    low.map(|event| (number(event, "free"), number(event, "reorder_point"))).collect()
}

#[tokio::test]
async fn it_is_told_once_for_each_fall_over_all_locations() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let lamp = lamp(app, &staff).await;
        let shop = add_location(&app.db, "shop", 1).await;
        let change = async |place, quantity| {
            adjust(&app.db, lamp, place, Change::Adjust(quantity)).await.unwrap();
        };
        // One user, the product, the receipt.
        change(MAIN, -4).await;
        assert_eq!(low(app, 4).await, []);
        change(shop, 1).await;
        change(MAIN, -2).await;
        assert_eq!(low(app, 7).await, [(5, 5)]);
        change(MAIN, -1).await;
        change(MAIN, -1).await;
        assert_eq!(low(app, 9).await, [(5, 5)]);
        // What goes from here to there was not lost.
        change(shop, 3).await;
        let moved = json!({"sku": "LAMP", "from": "shop", "to": "MAIN", "quantity": 2});
        staff.post("/stock/transfers", moved).await.expect(201);
        adjust(&app.db, lamp, MAIN, Change::Quarantine(2)).await.unwrap();
        assert_eq!(low(app, 14).await, [(5, 5), (4, 5)]);
        // A point that is raised makes it low as well, once; one that is taken away asks for nothing.
        change(MAIN, 4).await;
        let path = format!("/products/{lamp}");
        staff.put(&path, json!({"reorder_point": 8})).await.expect(200);
        staff.put(&path, json!({"reorder_point": 9})).await.expect(200);
        staff.put(&path, json!({"reorder_point": null})).await.expect(200);
        change(MAIN, -1).await;
        assert_eq!(low(app, 20).await, [(5, 5), (4, 5), (8, 8)]);
    })
    .await;
}

#[tokio::test]
async fn what_is_sold_no_more_is_never_low() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let lamp = lamp(app, &staff).await;
        let path = format!("/products/{lamp}");
        staff.delete(&path).await.expect(204);
        adjust(&app.db, lamp, MAIN, Change::Adjust(-6)).await.unwrap();
        check_stock(&app.db).await;
        // One user, the product, the receipt, the deletion, the loss.
        assert_eq!(low(app, 5).await, []);
        staff.put(&path, json!({"active": true})).await.expect(200);
        check_stock(&app.db).await;
        assert_eq!(low(app, 7).await, [(4, 5)], "on sale again it is");
        staff.put(&path, json!({"active": false})).await.expect(200);
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_orders_at_once_cross_it_once() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let lamp = lamp(app, &staff).await;
        let order = json!({"lines": [{"sku": "LAMP", "quantity": 1}]});
        let placed = join_all((0..15).map(|_| staff.post("/orders", order.clone()))).await;
        let placed: Vec<String> = placed
            .iter()
            .filter(|answer| answer.status.as_u16() == 201)
            .map(|answer| format!("/orders/{}/cancel", answer.json()["id"].as_str().unwrap()))
            .collect();
        assert_eq!(placed.len(), 10);
        let fallen = low(app, 3 + 20 + 1).await;
        assert_eq!(fallen.len(), 1);
        assert!(fallen[0].0 <= 5, "{fallen:?}");
        // Armed again by what is cancelled.
        join_all(placed.iter().map(|path| staff.post(path, json!({})))).await;
        assert_eq!(low(app, 24 + 20).await.len(), 1);
        adjust(&app.db, lamp, MAIN, Change::Count(0)).await.unwrap();
        assert_eq!(low(app, 44 + 2).await[1], (0, 5));
    })
    .await;
}

#[tokio::test]
async fn what_becomes_of_a_product_is_told() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let path = format!("/products/{}", lamp(app, &staff).await);
        staff.put(&path, json!({"unit_price": "25.50", "name": "Lamp"})).await.expect(200);
        staff.delete(&path).await.expect(204);
        staff.delete(&path).await.expect(204);
        let other = json!({"sku": "NEW", "name": "Never moved", "unit_price": 1});
        let other = staff.post("/products", other).await.expect(201).json();
        staff.delete(&format!("/products/{}", other["id"].as_str().unwrap())).await.expect(204);
        let events = told(app, 7).await;
        let seen: Vec<Value> =
            events.iter().skip(1).map(|event| json!([event["type"], event["data"]["fields"]])).collect();
        assert_eq!(
            seen,
            [
                json!(["product.created", []]),
                json!(["stock.received", null]),
                json!(["product.changed", ["unit_price"]]),
                json!(["product.archived", []]),
                json!(["product.created", []]),
                json!(["product.deleted", []])
            ]
        );
        let changed = &events[3];
        assert_eq!(changed["data"]["unit_price"], json!(25.5));
        assert_eq!((&changed["actor_id"], &changed["data"]["version"]), (&json!(staff.id), &json!(2)));
        assert_eq!(events[4]["data"]["active"], false);
    })
    .await;
}
