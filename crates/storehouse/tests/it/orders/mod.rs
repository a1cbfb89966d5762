mod agreed;
mod change;
mod create;
mod csv;
mod delete;
mod history;
mod lifecycle;
mod list;
mod model;
mod steps;
mod stock;
mod stock_lives;
mod stock_steps;

use serde_json::{Value, json};

use crate::harness::Client;

/// The original system's order.
fn laptop() -> Value {
    json!({"product_name": "Laptop", "quantity": 3, "total_price": 29.97})
}

/// Lines as staff may write them.
fn two_lines() -> Value {
    json!({"lines": [
        {"name": "Desk", "quantity": 2, "unit_price": 100},
        {"name": "Delivery", "quantity": 1, "unit_price": "9.90"},
    ]})
}

/// Places an order; gives it.
async fn place(client: &Client<'_>, body: Value) -> Value {
    client.post("/orders", body).await.expect(201).json()
}

/// An order's path, with something behind it.
fn path(order: &Value, rest: &str) -> String {
    format!("/orders/{}{rest}", order["id"].as_str().unwrap())
}

/// Takes a step that must be possible; gives the order after it.
async fn step(client: &Client<'_>, order: &Value, name: &str, body: Value) -> Value {
    client.post(&path(order, &format!("/{name}")), body).await.expect(200).json()
}

/// The order as somebody sees it now.
async fn view(client: &Client<'_>, order: &Value) -> Value {
    client.get(&path(order, "")).await.expect(200).json()
}
