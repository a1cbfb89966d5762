//! Random lives of stock and of the orders that take it: one by one, held against the model at each step; and many at once, after which what
//! was told explains what there is.

mod at_once;
mod life;
mod model;
mod reads;
mod sequences;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use ::stock::{Change, MAIN};
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use self::model::{Line, Outcome, PLACES, Short};
use crate::harness::goods::{Goods, add_location};
use crate::harness::{Answer, App, Client, Random, TestDatabase};

const SKUS: [&str; 3] = ["A", "B", "C"];
const LIMITS: [i64; 3] = [0, 4, 0];
/// One that isn't tracked.
const LICENCE: &str = "LICENCE";
/// Of all that is in the catalogue, and of what is not.
const PRICE: i64 = 999;
const POSTAGE: i64 = 500;

/// Longer than any order is pending.
const MUCH_LATER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

async fn start(database: &TestDatabase) -> App {
    App::with(database, |options| options.max_pending_orders = 1_000_000).await
}

/// Three tracked products at three places, and one that isn't tracked.
struct Stage<'a> {
    app: &'a App,
    staff: Client<'a>,
    products: Vec<Uuid>,
    places: [Uuid; PLACES],
    /// What was asked, and what was answered.
    told: &'a RefCell<Vec<String>>,
}

impl<'a> Stage<'a> {
    async fn new(app: &'a App, told: &'a RefCell<Vec<String>>) -> Self {
        let places = [MAIN, add_location(&app.db, "NEAR", 1).await, add_location(&app.db, "FAR", 2).await];
        let mut products = Vec::new();
        for (sku, backorder_limit) in SKUS.into_iter().zip(LIMITS) {
            products.push(Goods { backorder_limit, ..Goods::new(sku, 0) }.add_to(&app.db).await);
        }
        Goods { is_tracked: false, ..Goods::new(LICENCE, 0) }.add_to(&app.db).await;
        Self { app, staff: app.staff("staff").await, products, places, told }
    }

    async fn ask(&self, client: &Client<'_>, method: Method, path: &str, body: Value) -> Answer {
        let asked = format!("{method} {path} {body}");
        let request = client.request(method, path);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await;
        self.told.borrow_mut().push(format!("{asked}: {} {}", answer.status.as_u16(), answer.code()));
        answer
    }

    /// What staff ask.
    async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(&self.staff, Method::POST, path, body).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.ask(&self.staff, Method::PUT, path, body).await
    }

    async fn adjust(&self, product: usize, place: usize, change: Change) -> Answer {
        let (kind, quantity) = match change {
            Change::Receive(quantity) => ("receive", quantity),
            Change::Adjust(quantity) => ("adjust", quantity),
            Change::Count(quantity) => ("count", quantity),
            Change::Quarantine(quantity) => ("quarantine", quantity),
        };
        let body =
            json!({"sku": SKUS[product], "location": self.places[place], "kind": kind, "quantity": quantity});
        self.post("/stock/adjustments", body).await
    }

    async fn transfer(&self, product: usize, (from, to): (usize, usize), quantity: i64) -> Answer {
        let (from, to) = (self.places[from], self.places[to]);
        let body =
            json!({"product_id": self.products[product], "from": from, "to": to, "quantity": quantity});
        self.post("/stock/transfers", body).await
    }

    async fn expire(&self) {
        let later = self.app.clock.now().plus(MUCH_LATER);
        orders::expire_orders(&self.app.db, &Arc::default(), later).await.unwrap();
        self.told.borrow_mut().push("what is due expires".to_owned());
    }
}

/// What an answer says; everything but these is a failure.
fn outcome(answer: &Answer) -> Outcome {
    match (answer.status.as_u16(), &*answer.code()) {
        (200 | 201 | 204, _) => Outcome::Done,
        (409, "insufficient_stock") if answer.json()["shortages"].is_array() => {
            Outcome::Short(shortages(answer))
        }
        (409, "insufficient_stock" | "illegal_transition" | "order_not_pending") => Outcome::Refused,
        _ => panic!("{}: {}", answer.what, answer.text()),
    }
}

fn shortages(answer: &Answer) -> Vec<Short> {
    let problem = answer.json();
    let short = |short: &Value| {
        let product = SKUS.iter().position(|sku| short["sku"] == *sku).unwrap();
        (product, short["requested"].as_i64().unwrap(), short["available"].as_i64().unwrap())
    };
    problem["shortages"].as_array().unwrap().iter().map(short).collect()
}

/// One to three lines, as they are sent and as the model has them; those of no catalogue only of staff.
fn random_lines(random: &mut Random, is_staff: bool) -> (Value, Vec<Line>) {
    let mut sent = Vec::new();
    let mut lines = Vec::new();
    for _ in 0..random.between(1, 3) {
        let (kind, quantity) = (random.below(if is_staff { 8 } else { 7 }), random.between(1, 4));
        let product = (kind < 6).then_some(kind % 3);
        let (sku, unit_price) = match (kind, product) {
            (_, Some(product)) => (Some(SKUS[product]), PRICE),
            (6, None) => (Some(LICENCE), PRICE),
            _ => (None, POSTAGE),
        };
        sent.push(match sku {
            Some(sku) => json!({"sku": sku.to_lowercase(), "quantity": quantity}),
            None => json!({"name": "Post", "quantity": quantity, "unit_price": 5}),
        });
        lines.push(Line { product, sku, quantity, unit_price });
    }
    (json!({"lines": sent}), lines)
}

fn random_change(random: &mut Random) -> Change {
    match random.below(6) {
        0..=2 => Change::Receive(random.between(1, 6)),
        3 => Change::Adjust(*random.pick(&[-3, -2, -1, 1, 2])),
        4 => Change::Count(random.between(0, 6)),
        _ => Change::Quarantine(*random.pick(&[-2, -1, 1, 2])),
    }
}

fn two_places(random: &mut Random) -> (usize, usize) {
    let from = random.below(PLACES);
    (from, (from + 1 + random.below(PLACES - 1)) % PLACES)
}

/// All items of a list, a few at a time, and as many as the list counts.
async fn all_pages(client: &Client<'_>, list: &str, limit: usize) -> Vec<Value> {
    let first = format!("{list}{}limit={limit}&count=exact", if list.contains('?') { '&' } else { '?' });
    let (mut items, mut next, mut total) = (Vec::new(), Some(first.clone()), Value::Null);
    while let Some(address) = next {
        let page = client.get(&address).await.expect(200).json();
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        total = page["total"].clone();
        next = page["next_cursor"].as_str().map(|cursor| format!("{first}&cursor={cursor}"));
    }
    assert_eq!(total, items.len(), "{list}");
    items
}
