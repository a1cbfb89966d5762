//! What is told of what is done.

use serde_json::{Value, json};

use super::read;
use crate::harness::goods::{Goods, check_events};
use crate::harness::{App, each_app, eventually};

/// All events, as they are told.
pub(super) async fn told(app: &App, count: usize) -> Vec<Value> {
    eventually("all can be read", async || {
        read(&app.db, None, 10_000, &[]).await.unwrap().items.len() >= count
    })
    .await;
    let page = read(&app.db, None, 10_000, &[]).await.unwrap();
    page.items.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_orders_life_is_told_step_by_step() {
    each_app(async |app| {
        let (staff, buyer) = (app.staff("staff").await, app.customer("buyer").await);
        let product = Goods::new("LAP-1", 5).add_to(&app.db).await;
        let order = buyer.post("/orders", json!({"lines": [{"sku": "LAP-1", "quantity": 2}]})).await;
        let order = order.expect(201).json();
        let path = format!("/orders/{}", order["id"].as_str().unwrap());
        staff.post(&format!("{path}/confirm"), json!({"reason": "paid in cash"})).await.expect(200);
        staff.post(&format!("{path}/ship"), json!({"tracking": "T-1"})).await.expect(200);
        let other = buyer.post("/orders", json!({"lines": [{"sku": "LAP-1", "quantity": 1}]})).await;
        buyer.delete(&format!("/orders/{}", other.json()["id"].as_str().unwrap())).await.expect(204);
        let events = told(app, 12).await;
        assert_eq!(
            types(&events),
            [
                "user.created",
                "user.created",
                "stock.received",
                "stock.allocated",
                "order.placed",
                "order.confirmed",
                "stock.shipped",
                "order.shipped",
                "stock.allocated",
                "order.placed",
                "stock.released",
                "order.cancelled"
            ]
        );
        let placed = &events[4];
        assert_eq!(placed["object"], json!({"kind": "order", "id": order["id"]}));
        assert_eq!(placed["actor_id"], json!(buyer.id));
        assert_eq!((&placed["data"]["number"], &placed["data"]["to"]), (&json!(1001), &json!("pending")));
        assert_eq!(events[5]["data"]["reason"], "paid in cash");
        assert_eq!(events[7]["data"]["details"]["tracking"], "T-1");
        let shipped = &events[6];
        assert_eq!(shipped["object"], json!({"kind": "product", "id": product}));
        assert_eq!(shipped["data"]["on_hand_delta"], -2);
        assert_eq!((&shipped["data"]["sku"], &shipped["actor_id"]), (&json!("LAP-1"), &json!(staff.id)));
        assert_eq!(shipped["data"]["cause"]["id"], order["id"]);
        assert!(events.iter().skip(4).all(|event| event["request_id"].is_string()));
        check_events(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn of_a_person_only_the_id_is_told() {
    each_app(async |app| {
        let admin = app.admin("admin").await;
        let person = json!({"email": "secret.person@example.com", "username": "secretperson", "full_name": "Secret Person", "phone": "0800-secret"});
        let person = admin.post("/users", person).await.expect(201).json();
        let path = format!("/users/{}", person["id"].as_str().unwrap());
        admin.put(&path, json!({"role": "staff", "address": "Secret Street"})).await.expect(200);
        admin.delete(&path).await.expect(204);
        let events = told(app, 4).await;
        assert_eq!(types(&events), ["user.created", "user.created", "user.changed", "user.deleted"]);
        assert_eq!(events[2]["data"], json!({"fields": ["role", "address"], "role": "staff", "disabled": false}));
        for event in &events[1..] {
            assert_eq!((&event["object"]["id"], &event["actor_id"]), (&person["id"], &json!(admin.id)));
            assert!(!event.to_string().to_lowercase().contains("secret"), "{event}");
        }
    })
    .await;
}
