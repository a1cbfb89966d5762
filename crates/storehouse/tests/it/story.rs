//! A day of the business: the original's walk, the order's whole life, and goods from their arrival to the shelf.

use serde_json::json;

use crate::harness::goods::check_stock;
use crate::harness::{each_shape, soon};

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
        check_stock(&app.db).await;
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
            soon(&format!("{service} knows that the session has ended"), is_out).await;
        }
        let refresh = json!({"refresh_token": registered["refresh_token"]});
        nobody.post("/auth/refresh", refresh).await.problem(401, "invalid_token");
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn goods_come_in_are_counted_and_moved_and_the_shop_sees_them() {
    each_shape(async |app| {
        let (staff, buyer) = (app.staff("staff").await, app.customer("buyer").await);
        staff.post("/categories", json!({"name": "Lamps"})).await.expect(201);
        let lamp = json!({"sku": "LAMP-1", "name": "Red lamp", "category": "Lamps", "unit_price": 20, "unit_cost": 8, "reorder_point": 5});
        let lamp = staff.post("/products", lamp).await.expect(201).json();
        staff.post("/locations", json!({"code": "SHOP", "name": "The shop"})).await.expect(201);
        let adjust = async |body: serde_json::Value| {
            staff.post("/stock/adjustments", body).await.expect(201);
        };
        adjust(json!({"sku": "LAMP-1", "kind": "receive", "quantity": 12, "unit_cost": 8})).await;
        adjust(json!({"sku": "LAMP-1", "kind": "quarantine", "quantity": 2, "reason": "damaged"})).await;
        let moved = json!({"sku": "LAMP-1", "from": "MAIN", "to": "SHOP", "quantity": 4});
        staff.post("/stock/transfers", moved).await.expect(201);
        adjust(json!({"sku": "LAMP-1", "location": "SHOP", "kind": "count", "quantity": 3, "expected_on_hand": 4, "reason": "stolen"})).await;
        let seen = buyer.get("/products?q=red").await.expect(200).json();
        assert_eq!(seen["items"][0]["stock"], json!({"available": 9}));
        adjust(json!({"sku": "LAMP-1", "kind": "adjust", "quantity": -5})).await;
        let reorder = staff.get("/stock/reorder").await.expect(200).json();
        assert_eq!(reorder["items"][0]["suggested_quantity"], 2);
        let path = format!("/products/{}", lamp["id"].as_str().unwrap());
        let explained = staff.get(&format!("{path}/availability?explain=true")).await.expect(200).json();
        assert_eq!(explained["explanation"]["unavailable"][0]["reason"], "damaged");
        let ledger = staff.get("/stock/movements").await.expect(200).json();
        let kinds: Vec<&str> =
            ledger["items"].as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["adjust", "count", "transfer_in", "transfer_out", "quarantine", "receive"]);
        staff.delete(&path).await.expect(204);
        buyer.get(&path).await.problem(404, "not_found");
        let own_port = staff.request(http::Method::GET, &path).to("inventory").send().await.expect(200);
        assert_eq!(own_port.json()["active"], false);
        check_stock(&app.db).await;
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
