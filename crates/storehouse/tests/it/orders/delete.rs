//! `DELETE /orders/{id}`

use serde_json::json;

use super::{laptop, path, place, step, view};
use crate::harness::each_app;

#[tokio::test]
async fn it_cancels_and_hides_from_the_owner_alone() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let order = place(&ada, laptop()).await;
        assert!(ada.delete(&path(&order, "")).await.expect(204).body.is_empty());
        ada.get(&path(&order, "")).await.problem(404, "not_found");
        ada.get(&path(&order, "/history")).await.problem(404, "not_found");
        ada.post(&path(&order, "/cancel"), json!({})).await.problem(404, "not_found");
        ada.delete(&path(&order, "")).await.problem(404, "not_found");
        let before = view(&staff, &order).await;
        staff.delete(&path(&order, "")).await.expect(204);
        assert_eq!(view(&staff, &order).await, before, "there was nothing left to do");
        assert_eq!(ada.get("/orders?count=exact").await.expect(200).json()["total"], 0);
        assert_eq!(view(&staff, &order).await["status"], "cancelled");
        assert_eq!(staff.get("/orders?count=exact").await.expect(200).json()["total"], 1);
        let history = staff.get(&path(&order, "/history")).await.expect(200).json();
        let last = &history["items"][0];
        assert_eq!(
            (&last["action"], &last["from"], &last["to"]),
            (&json!("delete"), &json!("pending"), &json!("cancelled"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_one_is_only_hidden() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let order = place(&ada, laptop()).await;
        step(&ada, &order, "cancel", json!({})).await;
        ada.delete(&path(&order, "")).await.expect(204);
        ada.get(&path(&order, "")).await.problem(404, "not_found");
        assert_eq!(view(&staff, &order).await["status"], "cancelled");
    })
    .await;
}

#[tokio::test]
async fn a_shipped_or_completed_one_stays() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let order = place(&ada, laptop()).await;
        step(&staff, &order, "confirm", json!({})).await;
        let line = json!({"lines": [{"id": order["lines"][0]["id"], "quantity": 1}]});
        step(&staff, &order, "ship", line).await;
        let problem = ada.delete(&path(&order, "")).await.problem(409, "illegal_transition");
        assert_eq!(problem.json()["allowed_transitions"], json!([]));
        staff.delete(&path(&order, "")).await.problem(409, "illegal_transition");
        for name in ["ship", "deliver", "pay"] {
            step(&staff, &order, name, json!({})).await;
        }
        let completed = view(&ada, &order).await;
        assert_eq!(completed["status"], "completed");
        ada.delete(&path(&order, "")).await.problem(409, "illegal_transition");
        staff.delete(&path(&order, "")).await.problem(409, "illegal_transition");
        assert_eq!(view(&ada, &order).await, completed);
        let order = place(&ada, laptop()).await;
        for name in ["confirm", "ship", "cancel"] {
            step(&staff, &order, name, json!({})).await;
        }
        for client in [&ada, &staff] {
            client.delete(&path(&order, "")).await.problem(409, "illegal_transition");
        }
    })
    .await;
}
