//! Many who do anything to the same few things at once: what each was told, and nothing else, is what the ledger, the levels and the orders say
//! in the end.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use ::stock::Change;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::model::{Outcome, PLACES};
use super::{SKUS, Stage, all_pages, outcome, random_change, random_lines, start, two_places};
use crate::harness::goods::check_stock;
use crate::harness::{Answer, Random, TestDatabase, each_engine};
use crate::orders::path;

const STEPS: [&str; 5] = ["confirm", "hold", "release", "deliver", "pay"];

/// What somebody did, and was told.
struct Deed {
    act: Act,
    answer: Answer,
    is_done: bool,
}

#[derive(Clone, Copy)]
enum Act {
    Adjust {
        product: usize,
        place: usize,
        change: Change,
    },
    Transfer {
        product: usize,
        places: (usize, usize),
        quantity: i64,
    },
    /// Whatever is done with an order; a return may put nothing back.
    Order {
        restock: bool,
    },
}

/// All that was done, and the orders that are known.
struct Play<'a> {
    stage: Stage<'a>,
    deeds: RefCell<Vec<Deed>>,
    orders: RefCell<Vec<Value>>,
}

impl Play<'_> {
    fn note(&self, act: Act, answer: Answer) {
        let is_done = outcome(&answer) == Outcome::Done;
        self.deeds.borrow_mut().push(Deed { act, answer, is_done });
    }

    async fn adjust(&self, product: usize, place: usize, change: Change) {
        let answer = self.stage.adjust(product, place, change).await;
        self.note(Act::Adjust { product, place, change }, answer);
    }

    async fn transfer(&self, product: usize, places: (usize, usize), quantity: i64) {
        let answer = self.stage.transfer(product, places, quantity).await;
        self.note(Act::Transfer { product, places, quantity }, answer);
    }

    async fn order(&self, method: Method, path: &str, body: Value) {
        let restock = body["restock"] != false;
        let answer = self.stage.ask(&self.stage.staff, method, path, body).await;
        if path == "/orders" && answer.status == 201 {
            self.orders.borrow_mut().push(answer.json());
        }
        self.note(Act::Order { restock }, answer);
    }

    /// One who does anything to anything, while others do the same.
    async fn live(&self, random: &mut Random) {
        let order = random.pick(&self.orders.borrow()).clone();
        let step = async |step: &str, body: Value| {
            self.order(Method::POST, &path(&order, &format!("/{step}")), body).await;
        };
        match random.below(12) {
            0 | 1 => self.adjust(random.below(SKUS.len()), random.below(PLACES), random_change(random)).await,
            2 => self.transfer(random.below(SKUS.len()), two_places(random), random.between(1, 3)).await,
            3 => self.order(Method::POST, "/orders", random_lines(random, true).0).await,
            4 => self.order(Method::PUT, &path(&order, ""), random_lines(random, true).0).await,
            5 => step("ship", json!({})).await,
            6 => step("return", json!({"restock": random.once_in(2)})).await,
            7 if random.once_in(20) => self.stage.expire().await,
            8 if random.once_in(2) => step("cancel", json!({})).await,
            8 => self.order(Method::PUT, &path(&order, ""), json!({"status": "cancelled"})).await,
            _ => {
                let name = *random.pick(&STEPS);
                step(name, if name == "pay" { json!({"amount": 1}) } else { json!({}) }).await;
            }
        }
    }

    /// Each row of the ledger is what somebody was told, and the other way round.
    async fn check(&self) {
        let rows = all_pages(&self.stage.staff, "/stock/movements?sort=created_at", 200).await;
        let mut by_request = HashMap::<&str, Vec<&Value>>::new();
        for row in &rows {
            // What expires isn't asked for.
            let request = row["request_id"].as_str();
            assert!(request.is_some() || row["kind"] == "release", "{row}");
            by_request.entry(request.unwrap_or_default()).or_default().push(row);
        }
        by_request.remove("");
        let mut orders = BTreeMap::<String, Vec<(bool, Value, Vec<&Value>)>>::new();
        for Deed { act, answer, is_done } in &*self.deeds.borrow() {
            let own = by_request.remove(answer.header("x-request-id")).unwrap_or_default();
            match *act {
                _ if !is_done => assert!(own.is_empty(), "it was refused: {} {own:?}", answer.what),
                Act::Adjust { product, place, change } => {
                    self.check_adjustment((product, place), change, &own);
                }
                Act::Transfer { product, places, quantity } => {
                    let moved = [(places.0, -quantity), (places.1, quantity)];
                    let expected = moved.map(|(place, quantity)| ((product, place), quantity));
                    let found =
                        own.iter().map(|row| (self.spot(row), row["on_hand_delta"].as_i64().unwrap()));
                    assert_eq!(found.collect::<BTreeMap<_, _>>(), BTreeMap::from(expected), "{own:?}");
                }
                Act::Order { restock } => {
                    let order = answer.json();
                    orders.entry(text(&order["id"])).or_default().push((restock, order, own));
                }
            }
        }
        assert!(by_request.is_empty(), "nobody was told of {by_request:?}");
        for (id, versions) in orders {
            self.check_order(&id, versions).await;
        }
    }

    fn check_adjustment(&self, spot: (usize, usize), change: Change, rows: &[&Value]) {
        let [row] = rows else { panic!("{spot:?} {change:?}: {rows:?}") };
        let (name, expected) = match change {
            Change::Receive(quantity) | Change::Adjust(quantity) => ("on_hand_delta", quantity),
            Change::Count(quantity) => ("on_hand_after", quantity),
            Change::Quarantine(quantity) => ("unavailable_delta", quantity),
        };
        assert_eq!((self.spot(row), &row[name]), (spot, &json!(expected)), "{row}");
    }

    /// Each change of an order was told once, and did with stock what it says; as it was told last, so it is, if it hasn't expired since.
    async fn check_order(&self, id: &str, mut versions: Vec<(bool, Value, Vec<&Value>)>) {
        versions.sort_by_key(|(_, order, _)| order["version"].as_i64());
        let mut before = [[0; 2]; 3];
        for (index, (restock, order, rows)) in versions.iter().enumerate() {
            assert_eq!(order["version"], index + 1, "each version is told once: {order}");
            let after = effects(order);
            let mut moved = [[0; 2]; 3];
            for row in rows {
                let sums = &mut moved[self.spot(row).0];
                sums[0] += row["allocated_delta"].as_i64().unwrap();
                sums[1] += row["on_hand_delta"].as_i64().unwrap();
            }
            for product in 0..3 {
                let came_back = (after[product][1] - before[product][1]) > 0 && !restock;
                let on_hand = if came_back { 0 } else { after[product][1] - before[product][1] };
                let expected = [after[product][0] - before[product][0], on_hand];
                assert_eq!(moved[product], expected, "{}: {order} {rows:?}", SKUS[product]);
            }
            before = after;
        }
        let (last, found) =
            (&versions[versions.len() - 1].1, self.stage.staff.get(&format!("/orders/{id}")).await);
        let found = found.expect(200).json();
        if found["status"] == "expired" {
            assert_eq!((&found["version"], &last["status"]), (&json!(versions.len() + 1), &json!("pending")));
        } else {
            assert_eq!(&found, last);
        }
    }

    fn spot(&self, row: &Value) -> (usize, usize) {
        let product = self.stage.products.iter().position(|id| row["product_id"] == id.to_string());
        let place = self.stage.places.iter().position(|id| row["location_id"] == id.to_string());
        (product.unwrap(), place.unwrap())
    }

    /// What is allocated is what open orders hold, as everybody sees them.
    async fn check_allocated(&self) {
        let mut held = [0; 3];
        for order in all_pages(&self.stage.staff, "/orders", 200).await {
            for (held, [holds, _]) in held.iter_mut().zip(effects(&order)) {
                *held += holds;
            }
        }
        for (product, held) in self.stage.products.iter().zip(held) {
            let shown = self.stage.staff.get(&format!("/products/{product}")).await.expect(200).json();
            assert_eq!(shown["stock"]["allocated"], held, "{shown}");
        }
    }
}

/// Of each product, how much an order holds, and how much it has brought back less what it took away.
fn effects(order: &Value) -> [[i64; 2]; 3] {
    let is_open = ["pending", "confirmed", "on_hold"].iter().any(|status| order["status"] == *status);
    let mut effects = [[0; 2]; 3];
    for line in order["lines"].as_array().unwrap() {
        let Some(product) = SKUS.iter().position(|sku| line["sku"] == *sku) else { continue };
        let [quantity, shipped, returned] =
            ["quantity", "shipped", "returned"].map(|name| line[name].as_i64().unwrap());
        effects[product][0] += if is_open { quantity - shipped } else { 0 };
        effects[product][1] += returned - shipped;
    }
    effects
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b02_many_at_once_leave_stock_that_adds_up() {
    let test = async |database: &TestDatabase| {
        let (app, told) = (start(database).await, RefCell::default());
        let stage = Stage::new(&app, &told).await;
        let play = &Play { stage, deeds: RefCell::default(), orders: RefCell::default() };
        for product in 0..SKUS.len() {
            play.adjust(product, 0, Change::Receive(60)).await;
        }
        let mut random = Random::new();
        for _ in 0..40 {
            let body = json!({"lines": [{"sku": random.pick(&SKUS), "quantity": 2}]});
            play.order(Method::POST, "/orders", body).await;
        }
        let lives: Vec<u64> = (0..16).map(|_| random.next()).collect();
        join_all(lives.into_iter().map(async |seed| {
            let mut random = Random::from(seed);
            for _ in 0..60 {
                play.live(&mut random).await;
            }
        }))
        .await;
        check_stock(&app.db).await;
        play.check().await;
        play.check_allocated().await;
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}
