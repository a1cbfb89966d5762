//! A day of the business: the original's walk, then the order's whole life.

use serde_json::json;

use crate::harness::each_app;

#[tokio::test]
async fn the_originals_walk_works_through_the_gateway_and_on_each_port() {
    each_app(async |app| {
        let nobody = app.nobody();
        let registration =
            json!({"email": "user@example.com", "password": "password123", "username": "testuser"});
        let registered = nobody.post("/auth/register", registration).await.expect(201);
        assert!(registered.text().contains("\"token\":\""), "scripts look for it: {}", registered.text());
        assert_eq!(registered.json()["user"]["role"], "admin", "the first account is the admin");
        let login = json!({"email": "user@example.com", "password": "password123"});
        let token =
            nobody.post("/auth/login", login).await.expect(200).json()["token"].as_str().unwrap().to_owned();
        let user = nobody.with_token(&token);
        assert_eq!(user.get("/users/me").await.expect(200).json()["username"], "testuser");
        let order = json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99});
        let placed = user.post("/orders", order).await.expect(201);
        assert_eq!(
            (placed.json()["status"].as_str(), placed.json()["number"].as_i64()),
            (Some("pending"), Some(1001))
        );
        assert!(placed.text().contains("\"total_price\":999.99"));
        let listed = user.get("/orders").await.expect(200).json();
        assert_eq!(listed["items"][0], placed.json());
        let own_port = user.request(http::Method::GET, "/orders").to("orders").send().await.expect(200);
        assert_eq!(own_port.json(), listed);
    })
    .await;
}
