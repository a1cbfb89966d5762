//! What the steps' bodies may say.

use serde_json::{Value, json};

use super::{laptop, path, place, step, two_lines, view};
use crate::harness::{Client, each_app};

const STEPS: [&str; 9] =
    ["confirm", "hold", "release", "cancel", "ship", "deliver", "return", "pay", "refund"];

#[tokio::test]
async fn parts_of_lines_are_shipped_and_returned() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let order = confirmed(&staff).await;
        let (desk, delivery) = (&order["lines"][0]["id"], &order["lines"][1]["id"]);
        let twice = json!({"lines": [{"id": desk, "quantity": 1}, {"id": desk, "quantity": 1}], "carrier": "DHL", "tracking": "1"});
        let shipped = step(&staff, &order, "ship", twice).await;
        assert_eq!((&shipped["lines"][0]["shipped"], &shipped["lines"][1]["shipped"]), (&json!(2), &json!(0)));
        assert_eq!(shipped["fulfilment_status"], "partial");
        let too_much = json!({"lines": [{"id": desk, "quantity": 1}, {"id": delivery, "quantity": 2}]});
        let mut fields = refused(&staff, &order, "ship", too_much).await;
        fields.sort();
        assert_eq!(fields, ["lines[0].quantity", "lines[1].quantity"]);
        let back = step(&staff, &order, "return", json!({"lines": [{"id": desk, "quantity": 1}], "restock": false})).await;
        assert_eq!((&back["lines"][0]["returned"], &back["fulfilment_status"]), (&json!(1), &json!("partially_returned")));
        let doubled = json!({"lines": [{"id": desk, "quantity": 1}, {"id": desk, "quantity": 1}]});
        assert_eq!(refused(&staff, &order, "return", doubled).await, ["lines[1].quantity"]);
        let all = step(&staff, &order, "return", json!({})).await;
        assert_eq!(all["lines"][0]["returned"], 2);
        let unknown = json!({"lines": [{"id": kit::clock::new_id(), "quantity": 1}]});
        assert_eq!(refused(&staff, &order, "ship", unknown).await, ["lines[0].id"]);
    })
    .await;
}

#[tokio::test]
async fn money_comes_in_parts_and_goes_back_in_parts() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let order = confirmed(&staff).await;
        for (name, amount, status) in [
            ("pay", json!(100), "partial"),
            ("pay", json!("9.90"), "partial"),
            ("pay", Value::Null, "paid"),
            ("refund", json!(9.9), "partially_refunded"),
            ("refund", Value::Null, "refunded"),
        ] {
            let body = if amount.is_null() { json!({}) } else { json!({"amount": amount}) };
            assert_eq!(step(&staff, &order, name, body).await["payment_status"], status, "{name} {amount}");
        }
        staff.post(&path(&order, "/refund"), json!({})).await.problem(409, "illegal_transition");
        let again = step(&staff, &order, "pay", json!({})).await;
        assert_eq!(
            (&again["payment_status"], &again["paid"], &again["refunded"]),
            (&json!("paid"), &json!(419.8), &json!(209.9)),
            "what was given back is owed again"
        );
        staff.post(&path(&order, "/pay"), json!({})).await.problem(409, "illegal_transition");
        let other = confirmed(&staff).await;
        let over =
            step(&staff, &other, "pay", json!({"amount": 1000, "method": "card", "reference": "7"})).await;
        assert_eq!(over["payment_status"], "overpaid");
        for (name, amount) in [
            ("refund", json!(1000.01)),
            ("refund", json!(0)),
            ("refund", json!(0.001)),
            ("refund", json!(null)),
            ("refund", json!("x")),
        ] {
            assert_eq!(
                refused(&staff, &other, name, json!({"amount": amount})).await,
                ["amount"],
                "{amount}"
            );
        }
        let third = confirmed(&staff).await;
        for amount in [json!(0), json!(-1), json!(0.001), json!("90071992547409.92"), json!(null)] {
            assert_eq!(
                refused(&staff, &third, "pay", json!({"amount": amount})).await,
                ["amount"],
                "{amount}"
            );
        }
        assert_eq!(view(&staff, &third).await, third);
    })
    .await;
}

#[tokio::test]
async fn an_empty_body_is_an_empty_object_and_unknown_fields_are_refused() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let order = place(&staff, two_lines()).await;
        for name in STEPS {
            let unknown = staff.post(&path(&order, &format!("/{name}")), json!({"resaon": "x"})).await;
            assert_eq!(unknown.problem(422, "unknown_field").faulty_fields(), ["resaon"], "{name}");
            let wrong = staff.post(&path(&order, &format!("/{name}")), json!({"reason": 1})).await;
            assert_eq!(wrong.problem(422, "validation_failed").faulty_fields(), ["reason"], "{name}");
        }
        let empty = staff.request(http::Method::POST, &path(&order, "/confirm")).send().await.expect(200);
        assert_eq!(empty.json()["status"], "confirmed");
    })
    .await;
}

#[tokio::test]
async fn an_owner_may_cancel_and_no_more() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let order = place(&ada, laptop()).await;
        for name in STEPS.iter().filter(|name| **name != "cancel") {
            ada.post(&path(&order, &format!("/{name}")), json!({})).await.problem(403, "forbidden");
            ada.post(&path(&order, &format!("/{name}")), json!({"bad": 1})).await.problem(403, "forbidden");
        }
        step(&staff, &order, "confirm", json!({})).await;
        step(&staff, &order, "ship", json!({})).await;
        ada.post(&path(&order, "/cancel"), json!({})).await.problem(409, "illegal_transition");
        let other = place(&ada, laptop()).await;
        assert_eq!(step(&ada, &other, "cancel", json!({"reason": "no more"})).await["status"], "cancelled");
    })
    .await;
}

/// What of it will never come is given up; what was shipped lives on.
#[tokio::test]
async fn staff_may_cancel_what_was_shipped_in_part() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let order = place(&ada, laptop()).await;
        step(&staff, &order, "confirm", json!({})).await;
        let two = json!({"lines": [{"id": order["lines"][0]["id"], "quantity": 2}]});
        step(&staff, &order, "ship", two.clone()).await;
        let refused_cancel =
            ada.post(&path(&order, "/cancel"), json!({})).await.problem(409, "illegal_transition");
        assert_eq!(
            refused_cancel.json()["detail"],
            "An order takes the step `cancel` only if nothing was shipped, unless staff cancel it."
        );
        ada.put(&path(&order, ""), json!({"status": "cancelled"})).await.problem(409, "illegal_transition");
        assert_eq!(view(&ada, &order).await["allowed_transitions"], json!([]));
        step(&staff, &order, "hold", json!({})).await;
        let cancelled = step(&staff, &order, "cancel", json!({"reason": "sold out"})).await;
        assert_eq!(
            (&cancelled["status"], &cancelled["fulfilment_status"]),
            (&json!("cancelled"), &json!("partial"))
        );
        assert_eq!(cancelled["allowed_transitions"], json!(["deliver", "return", "pay"]));
        staff.post(&path(&order, "/ship"), json!({})).await.problem(409, "illegal_transition");
        assert_eq!(refused(&staff, &order, "pay", json!({})).await, ["amount"], "the total is that of three");
        assert_eq!(step(&staff, &order, "pay", json!({"amount": 19.98})).await["payment_status"], "partial");
        let arrived = staff.put(&path(&order, ""), json!({"status": "delivered"})).await.expect(200).json();
        assert_eq!(
            (&arrived["status"], &arrived["fulfilment_status"]),
            (&json!("cancelled"), &json!("delivered"))
        );
        step(&staff, &order, "return", two).await;
        step(&staff, &order, "refund", json!({})).await;
        let over = view(&staff, &order).await;
        assert_eq!((&over["status"], &over["allowed_transitions"]), (&json!("cancelled"), &json!([])));
        assert_eq!(
            (&over["fulfilment_status"], &over["payment_status"]),
            (&json!("returned"), &json!("refunded"))
        );
    })
    .await;
}

#[tokio::test]
async fn staff_may_cancel_the_rest_when_what_was_shipped_came_back_and_was_never_paid() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let order = confirmed(&staff).await;
        let desks = json!({"lines": [{"id": order["lines"][0]["id"], "quantity": 2}]});
        step(&staff, &order, "ship", desks).await;
        let back = step(&staff, &order, "return", json!({})).await;
        assert_eq!(
            (&back["status"], &back["fulfilment_status"]),
            (&json!("confirmed"), &json!("partially_returned"))
        );
        let over = staff.put(&path(&order, ""), json!({"status": "cancelled"})).await.expect(200).json();
        assert_eq!((&over["status"], &over["fulfilment_status"]), (&json!("cancelled"), &json!("returned")));
        assert_eq!(over["allowed_transitions"], json!([]), "nothing is owed for what came back");
    })
    .await;
}

#[tokio::test]
async fn it_completes_by_itself_whichever_comes_last() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        for last in ["deliver", "pay", "return", "release"] {
            let order = confirmed(&staff).await;
            step(&staff, &order, "ship", json!({})).await;
            let before: &[&str] = match last {
                "pay" => &["deliver"],
                "release" => &["deliver", "hold", "pay"],
                _ => &["pay"],
            };
            for name in before {
                let so_far = step(&staff, &order, name, json!({})).await;
                assert_ne!(so_far["status"], "completed", "{name} before {last}");
            }
            assert_eq!(step(&staff, &order, last, json!({})).await["status"], "completed", "{last}");
        }
        let free = place(&staff, json!({"product_name": "Gift", "quantity": 1, "total_price": 0})).await;
        for (name, status) in [("confirm", "confirmed"), ("ship", "confirmed"), ("deliver", "completed")] {
            assert_eq!(step(&staff, &free, name, json!({})).await["status"], status);
        }
    })
    .await;
}

#[tokio::test]
async fn it_does_not_complete_while_it_is_owed_for() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let order = confirmed(&staff).await;
        for name in ["pay", "refund", "ship", "deliver"] {
            assert_eq!(step(&staff, &order, name, json!({})).await["status"], "confirmed", "{name}");
        }
        // One of two desks for 100 comes back, so 109.90 is left to pay.
        let desk = json!({"lines": [{"id": order["lines"][0]["id"], "quantity": 1}]});
        step(&staff, &order, "return", desk).await;
        assert_eq!(step(&staff, &order, "pay", json!({"amount": 109.89})).await["status"], "confirmed");
        let paid = step(&staff, &order, "pay", json!({})).await;
        assert_eq!((&paid["status"], &paid["paid"]), (&json!("completed"), &json!(319.8)));
        let order = confirmed(&staff).await;
        step(&staff, &order, "ship", json!({})).await;
        let back = step(&staff, &order, "return", json!({})).await;
        assert_eq!(back["status"], "completed", "nothing is owed for what came back");
    })
    .await;
}

#[tokio::test]
async fn what_was_shipped_arrives_while_the_rest_is_held() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let order = confirmed(&staff).await;
        let desk = json!({"lines": [{"id": order["lines"][0]["id"], "quantity": 1}]});
        step(&staff, &order, "ship", desk).await;
        step(&staff, &order, "hold", json!({})).await;
        assert_eq!(step(&staff, &order, "deliver", json!({})).await["status"], "on_hold");
    })
    .await;
}

async fn confirmed(staff: &Client<'_>) -> Value {
    let order = place(staff, two_lines()).await;
    step(staff, &order, "confirm", json!({})).await
}

/// A step that is refused as invalid, and changes nothing; gives the faulty fields.
async fn refused(staff: &Client<'_>, order: &Value, name: &str, body: Value) -> Vec<String> {
    let before = view(staff, order).await;
    let problem = staff.post(&path(order, &format!("/{name}")), body).await.problem(422, "validation_failed");
    assert_eq!(view(staff, order).await, before);
    problem.faulty_fields()
}
