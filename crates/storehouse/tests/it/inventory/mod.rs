mod availability;
mod csv;
mod csv_text;
mod locations;
mod movements;
mod names;
mod products;
mod search;
mod stock;

use ::stock::verify_levels;
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::harness::{Answer, App, Client};

/// A product of this SKU, with more said of it.
async fn product(staff: &Client<'_>, sku: &str, more: Value) -> Value {
    let mut body = json!({"sku": sku, "name": format!("The {sku}"), "unit_price": 9.99});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    staff.post("/products", body).await.expect(201).json()
}

/// A location of this code.
async fn location(staff: &Client<'_>, code: &str) -> Value {
    staff.post("/locations", json!({"code": code, "name": format!("At {code}")})).await.expect(201).json()
}

/// A change of a level.
async fn adjust(staff: &Client<'_>, sku: &str, place: &str, kind: &str, quantity: i64) -> Answer {
    let body = json!({"sku": sku, "location": place, "kind": kind, "quantity": quantity});
    staff.post("/stock/adjustments", body).await
}

/// Goods that change their place.
async fn transfer(staff: &Client<'_>, sku: &str, from: &str, to: &str, quantity: i64) -> Answer {
    staff.post("/stock/transfers", json!({"sku": sku, "from": from, "to": to, "quantity": quantity})).await
}

/// A thing's path, with something behind it.
fn path(kind: &str, thing: &Value, rest: &str) -> String {
    format!("/{kind}/{}{rest}", thing["id"].as_str().unwrap())
}

/// What a list shows, all pages of it.
async fn items(client: &Client<'_>, address: &str) -> Vec<Value> {
    let (mut found, mut next) = (Vec::new(), Some(address.to_owned()));
    while let Some(address) = next {
        let answer = client.get(&address).await.expect(200);
        found.extend(answer.json()["items"].as_array().unwrap().clone());
        let link = answer.header("link");
        next = (!link.is_empty()).then(|| link[1..link.find('>').unwrap()].to_owned());
    }
    found
}

/// One member of each item.
fn each<'a>(items: &'a [Value], name: &str) -> Vec<&'a str> {
    items.iter().map(|item| item[name].as_str().unwrap()).collect()
}

/// On hand, allocated, unavailable and available.
fn figures(of: &Value) -> [i64; 4] {
    ["on_hand", "allocated", "unavailable", "available"].map(|name| of[name].as_i64().unwrap())
}

/// Every level is the sum of its movements.
async fn check_ledger(app: &App) {
    let found = app.db.read((), |tx, ()| verify_levels(tx, |_| {}).boxed()).await.unwrap();
    assert!(found.is_empty(), "{found:?}");
}
