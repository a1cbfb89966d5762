//! `DELETE /users/{id}`

use serde_json::json;

use super::path;
use crate::harness::each_app;

#[tokio::test]
async fn it_frees_the_names_ends_the_sessions_and_keeps_the_orders() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let order = json!({"product_name": "Laptop", "quantity": 1, "total_price": 1});
        let order = ada.post("/orders", order).await.expect(201).json();
        ada.delete(&path(&ada)).await.expect(204);
        ada.get("/users/me").await.problem(401, "invalid_token");
        staff.get(&path(&ada)).await.problem(404, "not_found");
        assert!(staff.get("/users?q=ada").await.expect(200).json()["items"].as_array().unwrap().is_empty());
        let kept = staff.get(&format!("/orders/{}", order["id"].as_str().unwrap())).await.expect(200).json();
        assert_eq!((&kept["user_id"], &kept["status"]), (&json!(ada.id), &json!("pending")));
        let again = app.customer("ada").await;
        assert_ne!(again.id, ada.id);
        assert_eq!(again.get("/orders?count=exact").await.expect(200).json()["total"], 0);
        let for_nobody = json!({"product_name": "A", "quantity": 1, "total_price": 1, "user_id": ada.id});
        staff.post("/orders", for_nobody).await.problem(422, "validation_failed");
    })
    .await;
}

#[tokio::test]
async fn only_oneself_and_admins_may() {
    each_app(async |app| {
        let (ada, bob) = (app.customer("ada").await, app.customer("bob").await);
        let (staff, admin) = (app.staff("staff").await, app.admin("root").await);
        bob.delete(&path(&ada)).await.problem(404, "not_found");
        staff.delete(&path(&ada)).await.problem(403, "forbidden");
        staff.delete(&format!("/users/{}", kit::clock::new_id())).await.problem(404, "not_found");
        ada.get("/users/me").await.expect(200);
        admin.delete(&path(&ada)).await.expect(204);
        admin.delete(&path(&ada)).await.problem(404, "not_found");
        staff.delete(&path(&staff)).await.expect(204);
    })
    .await;
}

#[tokio::test]
async fn me_can_not_be_deleted_by_that_name() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        for service in ["gateway", "users"] {
            let request = ada.request(http::Method::DELETE, "/users/me").to(service);
            let refused = request.send().await.problem(405, "method_not_allowed");
            let mut allowed: Vec<&str> = refused.header("allow").split(',').map(str::trim).collect();
            allowed.sort_unstable();
            assert!(["GET", "PATCH", "PUT"].iter().all(|method| allowed.contains(method)), "{allowed:?}");
            assert!(!allowed.contains(&"DELETE") || service == "gateway", "{allowed:?}");
        }
        ada.get("/users/me").await.expect(200);
    })
    .await;
}
