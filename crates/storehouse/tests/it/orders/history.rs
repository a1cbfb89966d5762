//! `GET /orders/{id}/history`

use serde_json::{Value, json};

use super::{laptop, path, place, step};
use crate::harness::each_app;

#[tokio::test]
async fn every_change_is_told_with_who_what_and_why() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let order = place(&ada, laptop()).await;
        ada.put(&path(&order, ""), json!({"note": "ring twice", "quantity": 2})).await.expect(200);
        step(&staff, &order, "confirm", json!({"reason": "paid by phone"})).await;
        let ship = json!({"carrier": "DHL", "tracking": "JD01", "reason": "in time"});
        step(&staff, &order, "ship", ship).await;
        staff.put(&path(&order, ""), json!({"status": "delivered"})).await.expect(200);
        let pay = staff.request(http::Method::POST, &path(&order, "/pay")).header("x-request-id", "pay-1");
        pay.json(&json!({"method": "cash", "reference": "R7"})).send().await.expect(200);
        let rows =
            ada.get(&path(&order, "/history?sort=created_at")).await.expect(200).json()["items"].clone();
        let told: Vec<Value> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| json!([row["action"], row["from"], row["to"], row["actor_id"], row["reason"]]))
            .collect();
        assert_eq!(
            told,
            [
                json!(["place", null, "pending", ada.id, null]),
                json!(["change", "pending", "pending", ada.id, null]),
                json!(["confirm", "pending", "confirmed", staff.id, "paid by phone"]),
                json!(["ship", "confirmed", "confirmed", staff.id, "in time"]),
                json!(["deliver", "confirmed", "confirmed", staff.id, null]),
                json!(["pay", "confirmed", "completed", staff.id, null]),
            ]
        );
        assert_eq!(rows[1]["details"]["fields"], json!(["quantity", "note"]));
        assert_eq!(
            (&rows[3]["details"]["carrier"], &rows[3]["details"]["tracking"]),
            (&json!("DHL"), &json!("JD01"))
        );
        assert_eq!(rows[3]["details"]["lines"][0]["quantity"], 2);
        let paid = &rows[5]["details"];
        assert_eq!(
            (&paid["amount"], &paid["method"], &paid["reference"]),
            (&json!(29.97), &json!("cash"), &json!("R7"))
        );
        assert_eq!(rows[5]["request_id"], "pay-1");
        let newest = ada.get(&path(&order, "/history?limit=1")).await.expect(200).json();
        assert_eq!(newest["items"][0], rows[5]);
    })
    .await;
}

#[tokio::test]
async fn an_amount_in_the_history_has_every_digit_that_was_sent() {
    each_app(async |app| {
        let staff = app.staff("till").await;
        for (total, currency, written) in [
            ("90071992547409.91", "USD", "90071992547409.91"),
            ("10.10", "USD", "10.10"),
            ("5.100", "KWD", "5.100"),
        ] {
            let order =
                json!({"product_name": "x", "quantity": 1, "total_price": total, "currency": currency});
            let path = staff.post("/orders", order).await.expect(201).header("location").to_owned();
            staff.post(&format!("{path}/pay"), json!({"amount": total})).await.expect(200);
            staff.post(&format!("{path}/refund"), json!({})).await.expect(200);
            let history = staff.get(&format!("{path}/history")).await.expect(200).text();
            let amount = format!("\"amount\":{written}}}");
            assert_eq!(history.matches(&amount).count(), 2, "{history}");
        }
    })
    .await;
}
