//! What was agreed stays when the lines of an order change: its products and prices, and what staff put into it.

use serde_json::{Value, json};

use super::stock::of;
use super::{path, place, view};
use crate::harness::goods::{Goods, archive, check_stock, reprice};
use crate::harness::{Client, each_app};

/// The SKU, quantity and total of each line.
fn lines(order: &Value) -> Value {
    let lines = order["lines"].as_array().unwrap().iter();
    lines.map(|line| json!([line["sku"], line["quantity"], line["total_price"]])).collect()
}

async fn change(client: &Client<'_>, order: &Value, wanted: &[(&str, i64)]) -> Value {
    client.put(&path(order, ""), of(wanted)).await.expect(200).json()
}

#[tokio::test]
async fn a_line_keeps_its_price_as_long_as_it_is_no_more() {
    each_app(async |app| {
        let laptop = Goods::new("LAP-1", 9).add_to(&app.db).await;
        Goods::new("DESK", 9).add_to(&app.db).await;
        let ada = app.customer("ada").await;
        let order = place(&ada, of(&[("LAP-1", 3), ("DESK", 1)])).await;
        reprice(&app.db, laptop, "Laptop", 5000).await;
        let changed = change(&ada, &order, &[("lap-1", 2), ("DESK", 2)]).await;
        assert_eq!(lines(&changed), json!([["LAP-1", 2, 19.98], ["DESK", 2, 19.98]]));
        let more = change(&ada, &order, &[("LAP-1", 1), ("LAP-1", 2)]).await;
        assert_eq!(lines(&more), json!([["LAP-1", 1, 50.0], ["LAP-1", 2, 100.0]]), "three of two is more");
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn a_line_keeps_its_product_whatever_becomes_of_the_sku() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let ada = app.customer("ada").await;
        let laptop = Goods::new("LAP-1", 9).add_to(&app.db).await;
        let desk = Goods::new("DESK", 9).add_to(&app.db).await;
        let order = place(&ada, of(&[("LAP-1", 2), ("DESK", 2)])).await;
        staff
            .put(&format!("/products/{laptop}"), json!({"sku": "LAP-2", "unit_price": 20}))
            .await
            .expect(200);
        Goods { price_minor: 5000, ..Goods::new("LAP-1", 9) }.add_to(&app.db).await;
        archive(&app.db, desk).await;
        let fewer = change(&ada, &order, &[("LAP-1", 1), ("DESK", 1)]).await;
        assert_eq!(lines(&fewer), json!([["LAP-1", 1, 9.99], ["DESK", 1, 9.99]]));
        assert_eq!(fewer["lines"][0]["product_id"], laptop.to_string());
        let more = ada.put(&path(&order, ""), of(&[("LAP-1", 2), ("DESK", 2)])).await;
        let fields = more.problem(422, "validation_failed").faulty_fields();
        assert_eq!(fields, ["lines[0].quantity", "lines[1].quantity"]);
        let both = ada.put(&path(&order, ""), of(&[("LAP-1", 1), ("LAP-2", 1)])).await;
        assert_eq!(both.problem(422, "validation_failed").faulty_fields(), ["lines[0].quantity"]);
        let renamed = change(&ada, &order, &[("LAP-2", 1)]).await;
        assert_eq!(lines(&renamed), json!([["LAP-1", 1, 9.99]]), "it is the same, whatever it is called");
        let more = change(&ada, &order, &[("LAP-2", 2)]).await;
        assert_eq!(lines(&more), json!([["LAP-2", 2, 40.0]]));
        let other = change(&ada, &order, &[("LAP-1", 1)]).await;
        assert_eq!(lines(&other), json!([["LAP-1", 1, 50.0]]), "the order has the old one no more");
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn an_owner_can_not_leave_out_what_staff_put_in() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let ada = app.customer("ada").await;
        Goods::new("LAP-1", 9).add_to(&app.db).await;
        let wanted = json!({"user_id": ada.id, "lines": [
            {"name": "Shipping", "quantity": 1, "unit_price": 7.5},
            {"sku": "LAP-1", "quantity": 1},
        ]});
        let order = place(&staff, wanted).await;
        let changed = change(&ada, &order, &[("LAP-1", 2)]).await;
        assert_eq!(lines(&changed), json!([["LAP-1", 2, 19.98], [null, 1, 7.5]]));
        assert_eq!(changed["total_price"], 27.48);
        assert_eq!(changed["lines"][1]["id"], order["lines"][0]["id"]);
        let full: Vec<(&str, i64)> = vec![("LAP-1", 1); 500];
        let refused = ada.put(&path(&order, ""), of(&full)).await.problem(422, "validation_failed");
        assert_eq!(refused.faulty_fields(), ["lines"]);
        assert_eq!(view(&ada, &order).await["version"], 2);
        let by_staff = change(&staff, &order, &[("LAP-1", 1)]).await;
        assert_eq!(lines(&by_staff), json!([["LAP-1", 1, 9.99]]));
    })
    .await;
}

#[tokio::test]
async fn the_history_tells_what_the_lines_were_and_are() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let ada = app.customer("ada").await;
        let laptop = Goods::new("LAP-1", 999).add_to(&app.db).await;
        let wanted = json!({"user_id": ada.id, "lines": [
            {"sku": "LAP-1", "quantity": 1},
            {"name": "Shipping", "quantity": 1, "unit_price": 7.5},
        ]});
        let order = place(&staff, wanted).await;
        let details = async || {
            let rows = ada.get(&path(&order, "/history")).await.expect(200).json();
            rows["items"][0]["details"].clone()
        };
        change(&ada, &order, &[("LAP-1", 2)]).await;
        let told = |quantity: i64, total: f64, sum: f64| {
            let line =
                json!({"sku": "LAP-1", "product_id": laptop, "quantity": quantity, "total_price": total});
            json!({"total_price": sum, "lines": [line]})
        };
        let (before, after) = (told(1, 9.99, 17.49), told(2, 19.98, 27.48));
        assert_eq!(details().await, json!({"fields": ["lines"], "before": before, "after": after}));
        change(&ada, &order, &[("LAP-1", 2)]).await;
        assert_eq!(details().await, json!({"fields": ["lines"]}), "nothing differs");
        change(&ada, &order, &[("LAP-1", 1); 60]).await;
        let details = details().await;
        assert_eq!((&details["before"], details["after"]["more"].as_u64()), (&after, Some(10)));
        assert_eq!(details["after"]["lines"].as_array().unwrap().len(), 50);
        staff
            .put(&path(&order, ""), json!({"lines": [{"name": "Gift", "quantity": 1, "unit_price": 0}]}))
            .await
            .expect(200);
        let rows = ada.get(&path(&order, "/history")).await.expect(200).json();
        let gift = json!({"name": "Gift", "quantity": 1, "total_price": 0.0});
        assert_eq!(rows["items"][0]["details"]["after"]["lines"], json!([gift]));
    })
    .await;
}
