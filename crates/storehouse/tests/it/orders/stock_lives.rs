//! Random lives of stock and of the orders that take it: alone, held against the model at each step; and many at once, after which all must add up.

use std::sync::Arc;
use std::time::Duration;

use ::stock::{Change, MAIN};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::stock_model::{Line, Model, Outcome, PLACES, Short};
use super::{path, place, view};
use crate::harness::goods::{Goods, add_location, check_stock, level};
use crate::harness::{Answer, App, Client, Random, each_app};

const SKUS: [&str; 3] = ["A", "B", "C"];
const LIMITS: [i64; 3] = [0, 4, 0];
const STEPS: [&str; 4] = ["confirm", "hold", "release", "cancel"];

/// Longer than any order is pending.
const MUCH_LATER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Three tracked products at three places, and one that isn't tracked.
struct Stage<'a> {
    app: &'a App,
    staff: Client<'a>,
    products: Vec<Uuid>,
    places: [Uuid; PLACES],
}

impl<'a> Stage<'a> {
    async fn new(app: &'a App) -> Self {
        let places = [MAIN, add_location(&app.db, "NEAR", 1).await, add_location(&app.db, "FAR", 2).await];
        let mut products = Vec::new();
        for (sku, backorder_limit) in SKUS.into_iter().zip(LIMITS) {
            products.push(Goods { backorder_limit, ..Goods::new(sku, 0) }.add_to(&app.db).await);
        }
        Goods { is_tracked: false, ..Goods::new("LICENCE", 0) }.add_to(&app.db).await;
        Self { app, staff: app.staff("staff").await, products, places }
    }

    async fn adjust(&self, product: usize, place: usize, change: Change) -> Outcome {
        let (kind, quantity) = match change {
            Change::Receive(quantity) => ("receive", quantity),
            Change::Adjust(quantity) => ("adjust", quantity),
            Change::Count(quantity) => ("count", quantity),
            Change::Quarantine(quantity) => ("quarantine", quantity),
        };
        let body =
            json!({"sku": SKUS[product], "location": self.places[place], "kind": kind, "quantity": quantity});
        outcome(&self.staff.post("/stock/adjustments", body).await)
    }

    async fn transfer(&self, product: usize, (from, to): (usize, usize), quantity: i64) -> Outcome {
        let (from, to) = (self.places[from], self.places[to]);
        let body =
            json!({"product_id": self.products[product], "from": from, "to": to, "quantity": quantity});
        outcome(&self.staff.post("/stock/transfers", body).await)
    }

    async fn expire(&self) {
        let later = self.app.clock.now().plus(MUCH_LATER);
        orders::expire_orders(&self.app.db, &Arc::default(), later).await.unwrap();
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

/// One to three lines, as they are sent and as the model has them.
fn random_lines(random: &mut Random) -> (Value, Vec<Line>) {
    let mut sent = Vec::new();
    let mut lines = Vec::new();
    for _ in 0..random.between(1, 3) {
        let (kind, quantity) = (random.below(8), random.between(1, 4));
        let product = (kind < 6).then_some(kind % 3);
        sent.push(match (kind, product) {
            (_, Some(product)) => json!({"sku": SKUS[product], "quantity": quantity}),
            (6, None) => json!({"sku": "licence", "quantity": quantity}),
            _ => json!({"name": "Post", "quantity": quantity, "unit_price": 5}),
        });
        lines.push(Line { product, quantity, shipped: 0, returned: 0 });
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

/// Some of each line, no more than is open, as it is sent and as the model has it.
fn random_part(order: &Value, open: &[i64], random: &mut Random) -> (Value, Vec<i64>) {
    if random.once_in(3) {
        return (json!({}), open.to_vec());
    }
    let counts: Vec<i64> = open.iter().map(|open| random.between(0, *open)).collect();
    let lines: Vec<Value> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(index, count)| json!({"id": order["lines"][index]["id"], "quantity": count}))
        .collect();
    if lines.is_empty() { (json!({}), open.to_vec()) } else { (json!({"lines": lines}), counts) }
}

/// The running system and its model.
struct Life<'a> {
    stage: Stage<'a>,
    model: Model,
    /// As they were last shown.
    orders: Vec<Value>,
}

impl Life<'_> {
    async fn go_on(&mut self, random: &mut Random) {
        match random.below(20) {
            0..=4 => self.change_stock(random).await,
            5..=9 => self.place(random).await,
            10 if random.once_in(4) => self.expire().await,
            _ if self.orders.is_empty() => {}
            10 | 11 => self.edit(random).await,
            12..=15 => self.ship_or_return(random).await,
            _ => self.take_step(random).await,
        }
        self.check().await;
    }

    async fn change_stock(&mut self, random: &mut Random) {
        let (product, place) = (random.below(SKUS.len()), random.below(PLACES));
        let (told, expected) = if random.once_in(4) {
            let ((from, to), quantity) = (two_places(random), random.between(1, 4));
            let told = self.stage.transfer(product, (from, to), quantity).await;
            (told, self.model.attempt(|model| model.transfer(product, from, to, quantity)))
        } else {
            let change = random_change(random);
            let told = self.stage.adjust(product, place, change).await;
            (told, self.model.attempt(|model| model.adjust(product, place, change)))
        };
        assert_eq!(told, expected);
    }

    async fn place(&mut self, random: &mut Random) {
        let (body, lines) = random_lines(random);
        let answer = self.stage.staff.post("/orders", body).await;
        assert_eq!(outcome(&answer), self.model.attempt(|model| model.place(lines)));
        if answer.status == 201 {
            self.orders.push(answer.json());
        }
    }

    /// One of the last orders, since those before are mostly over.
    fn pick(&self, random: &mut Random) -> usize {
        self.orders.len() - 1 - random.below(self.orders.len().min(8))
    }

    async fn edit(&mut self, random: &mut Random) {
        let (order, (body, lines)) = (self.pick(random), random_lines(random));
        let answer = self.stage.staff.put(&path(&self.orders[order], ""), body).await;
        assert_eq!(outcome(&answer), self.model.attempt(|model| model.edit(order, lines)));
    }

    async fn take_step(&mut self, random: &mut Random) {
        let (order, step) = (self.pick(random), *random.pick(&STEPS));
        // An early end makes a dull life.
        let step = if step == "cancel" && !random.once_in(3) { "confirm" } else { step };
        let place = &self.orders[order];
        let answer = if step == "cancel" && random.once_in(2) {
            self.stage.staff.put(&path(place, ""), json!({"status": "cancelled"})).await
        } else {
            self.stage.staff.post(&path(place, &format!("/{step}")), json!({})).await
        };
        assert_eq!(outcome(&answer), self.model.attempt(|model| model.step(order, step)), "{step}");
    }

    async fn ship_or_return(&mut self, random: &mut Random) {
        let (order, is_return) = (self.pick(random), random.once_in(3));
        let lines = &self.model.orders[order].lines;
        let open: Vec<i64> = if is_return {
            lines.iter().map(|line| line.shipped - line.returned).collect()
        } else {
            lines.iter().map(|line| line.quantity - line.shipped).collect()
        };
        let (mut body, counts) = random_part(&self.orders[order], &open, random);
        let restock = !is_return || random.once_in(2);
        if !restock {
            body["restock"] = false.into();
        }
        let step = if is_return { "/return" } else { "/ship" };
        let answer = self.stage.staff.post(&path(&self.orders[order], step), body).await;
        let expected = self.model.attempt(|model| {
            if is_return { model.give_back(order, &counts, restock) } else { model.ship(order, &counts) }
        });
        assert_eq!(outcome(&answer), expected, "{step} {counts:?}");
    }

    /// Whether one of its orders is in this status.
    fn knows(&self, status: &str) -> bool {
        self.model.orders.iter().any(|order| order.status == status)
    }

    /// Pending orders whose stock lines hold something expire, all others stay.
    async fn expire(&mut self) {
        self.stage.expire().await;
        for order in 0..self.orders.len() {
            if self.model.orders[order].lines.iter().any(|line| line.product.is_some()) {
                self.model.attempt(|model| model.step(order, "expire"));
            }
        }
    }

    async fn check(&mut self) {
        for (index, product) in self.model.products.iter().enumerate() {
            for (place, shelf) in product.shelves.iter().enumerate() {
                let found =
                    level(&self.stage.app.db, self.stage.products[index], self.stage.places[place]).await;
                assert_eq!(found, [shelf.on_hand, shelf.allocated, shelf.unavailable], "{index} at {place}");
            }
        }
        let first = self.orders.len().saturating_sub(8);
        for (order, model) in self.orders.iter_mut().zip(&self.model.orders).skip(first) {
            *order = view(&self.stage.staff, order).await;
            let lines = order["lines"].as_array().unwrap().iter();
            let lines: Vec<Value> =
                lines.map(|line| json!([line["quantity"], line["shipped"], line["returned"]])).collect();
            let expected: Vec<Value> =
                model.lines.iter().map(|line| json!([line.quantity, line.shipped, line.returned])).collect();
            assert_eq!((&order["status"], lines), (&json!(model.status), expected));
        }
    }
}

#[tokio::test]
async fn stock_goes_as_the_model_says() {
    each_app(async |app| {
        let mut random = Random::new();
        let (stage, model) = (Stage::new(app).await, Model::new(&LIMITS));
        let mut life = Life { stage, model, orders: Vec::new() };
        for _ in 0..250 {
            life.go_on(&mut random).await;
        }
        // A dull life goes on for a while.
        while !["confirmed", "cancelled", "expired"].iter().all(|status| life.knows(status)) {
            life.go_on(&mut random).await;
        }
        check_stock(&app.db).await;
    })
    .await;
}

/// One who does anything to anything, while others do the same.
async fn live(stage: &Stage<'_>, orders: &[Value], random: &mut Random) {
    let order = random.pick(orders);
    let post = async |step: &str, body: Value| {
        outcome(&stage.staff.post(&path(order, step), body).await);
    };
    match random.below(10) {
        0 | 1 => drop(stage.adjust(random.below(3), random.below(PLACES), random_change(random)).await),
        2 => drop(stage.transfer(random.below(3), two_places(random), random.between(1, 3)).await),
        3 => drop(outcome(&stage.staff.post("/orders", random_lines(random).0).await)),
        4 => drop(outcome(&stage.staff.put(&path(order, ""), random_lines(random).0).await)),
        5 => post("/ship", json!({})).await,
        6 => post("/return", json!({"restock": random.once_in(2)})).await,
        7 if random.once_in(20) => stage.expire().await,
        8 => post("/cancel", json!({})).await,
        _ => post(&format!("/{}", random.pick(&STEPS)), json!({})).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b02_many_at_once_leave_stock_that_adds_up() {
    each_app(async |app| {
        let stage = &Stage::new(app).await;
        for product in 0..SKUS.len() {
            stage.adjust(product, 0, Change::Receive(60)).await;
        }
        let mut random = Random::new();
        let mut orders = Vec::new();
        for _ in 0..40 {
            orders.push(
                place(&stage.staff, json!({"lines": [{"sku": random.pick(&SKUS), "quantity": 2}]})).await,
            );
        }
        let (orders, mut seeds) = (&orders, random);
        let lives: Vec<u64> = (0..16).map(|_| seeds.next()).collect();
        join_all(lives.into_iter().map(async |seed| {
            let mut random = Random::from(seed);
            for _ in 0..60 {
                live(stage, orders, &mut random).await;
            }
        }))
        .await;
        check_stock(&app.db).await;
        check_allocated(stage).await;
    })
    .await;
}

/// What is allocated is what open orders hold, as everybody sees them.
async fn check_allocated(stage: &Stage<'_>) {
    let mut held = [0; 3];
    for status in ["pending", "confirmed", "on_hold"] {
        let mut next = format!("/orders?limit=200&status={status}");
        while !next.is_empty() {
            let page = stage.staff.get(&next).await.expect(200).json();
            let lines =
                page["items"].as_array().unwrap().iter().flat_map(|order| order["lines"].as_array().unwrap());
            for line in lines {
                if let Some(product) = SKUS.iter().position(|sku| line["sku"] == *sku) {
                    held[product] += line["quantity"].as_i64().unwrap() - line["shipped"].as_i64().unwrap();
                }
            }
            let cursor = page["next_cursor"].as_str();
            next = cursor
                .map(|cursor| format!("/orders?limit=200&status={status}&cursor={cursor}"))
                .unwrap_or_default();
        }
    }
    for (product, held) in held.into_iter().enumerate() {
        let mut allocated = 0;
        for place in stage.places {
            allocated += level(&stage.app.db, stage.products[product], place).await[1];
        }
        assert_eq!(allocated, held, "{}", SKUS[product]);
    }
}
