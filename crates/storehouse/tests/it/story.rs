//! A day of the business: the original's walk, then the order's whole life.

use serde_json::json;

use crate::harness::{each_shape, eventually};

#[tokio::test]
async fn the_originals_walk_works_through_the_gateway_and_on_each_port() {
    each_shape(async |app| {
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

#[tokio::test]
async fn an_order_goes_from_placed_to_paid_and_its_buyer_logs_out() {
    each_shape(async |app| {
        let (staff, nobody) = (app.staff("staff").await, app.nobody());
        let buyer = json!({"email": "buyer@example.com", "password": "password123", "username": "buyer"});
        let registered = nobody.post("/auth/register", buyer).await.expect(201).json();
        let buyer = nobody.with_token(registered["token"].as_str().unwrap());
        let order = json!({"product_name": "Laptop", "quantity": 2, "total_price": 1999.98});
        let order = buyer.post("/orders", order).await.expect(201).json();
        let path = format!("/orders/{}", order["id"].as_str().unwrap());
        buyer.post(&format!("{path}/confirm"), json!({})).await.problem(403, "forbidden");
        for step in ["confirm", "ship", "deliver", "pay"] {
            staff.post(&format!("{path}/{step}"), json!({})).await.expect(200);
        }
        let ended = buyer.get(&path).await.expect(200).json();
        assert_eq!(
            (&ended["status"], &ended["fulfilment_status"], &ended["payment_status"]),
            (&json!("completed"), &json!("delivered"), &json!("paid"))
        );
        let history = buyer.get(&format!("{path}/history")).await.expect(200).json();
        assert!(history["items"].as_array().unwrap().len() >= 5, "{history}");
        buyer.get("/users/me").await.expect(200);
        buyer.post("/auth/logout", json!({})).await.expect(204);
        for service in ["gateway", "auth", "users", "orders", "inventory"] {
            let is_out = async || {
                let me = buyer.request(http::Method::GET, asked_of(service)).to(service);
                me.send().await.status == 401
            };
            eventually(&format!("{service} knows that the session has ended"), is_out).await;
        }
        let refresh = json!({"refresh_token": registered["refresh_token"]});
        nobody.post("/auth/refresh", refresh).await.problem(401, "invalid_token");
    })
    .await;
}

/// A path that asks for a token at this part.
fn asked_of(part: &str) -> &'static str {
    match part {
        "auth" => "/auth/validate",
        "users" => "/users/me",
        "inventory" => "/products",
        _ => "/orders",
    }
}
