//! A life, step by step: what is done to the running system is done to the model, and both must say the same.

use std::cell::RefCell;
use std::time::Duration;

use ::stock::Change;
use http::Method;
use serde_json::{Value, json};

use super::model::{Model, PLACES, Spots};
use super::{LIMITS, SKUS, Stage, all_pages, outcome, random_change, random_lines, two_places};
use crate::harness::{App, Client, Random};
use crate::orders::model::shown;
use crate::orders::path;

/// What completes an order more often than what holds it up.
const STEPS: [&str; 12] = [
    "confirm", "confirm", "hold", "release", "cancel", "deliver", "deliver", "deliver", "pay", "pay", "pay",
    "refund",
];
/// So much of everything that a life isn't over before it has begun.
const AT_FIRST: i64 = 9;
/// Those before are mostly over.
const LATEST: usize = 5;

/// The running system and its model.
pub(super) struct Life<'a> {
    pub(super) stage: Stage<'a>,
    pub(super) model: Model,
    /// Who orders: staff, and customers.
    pub(super) people: [Client<'a>; 3],
    /// As they were last shown.
    pub(super) orders: Vec<Value>,
}

impl<'a> Life<'a> {
    pub(super) async fn new(app: &'a App, told: &'a RefCell<Vec<String>>) -> Self {
        let stage = Stage::new(app, told).await;
        let people = [stage.staff.clone(), app.customer("ada").await, app.customer("bob").await];
        let mut life = Self { stage, model: Model::new(&LIMITS), people, orders: Vec::new() };
        for product in 0..SKUS.len() {
            life.adjust(product, 0, Change::Receive(AT_FIRST)).await;
        }
        life
    }

    /// Does one thing, which the numbers choose.
    pub(super) async fn go_on(&mut self, random: &mut Random) {
        self.stage.app.clock.advance(Duration::from_millis(random.next() % 3));
        match random.below(20) {
            0..=3 => self.change_stock(random).await,
            4..=7 => self.place(random).await,
            8 if random.once_in(2) => self.expire().await,
            _ if self.orders.is_empty() => {}
            8 | 9 => self.edit(random).await,
            10..=14 => self.ship_or_return(random).await,
            15 if random.once_in(3) => self.delete(random).await,
            _ => self.take_step(random).await,
        }
        self.check().await;
    }

    async fn change_stock(&mut self, random: &mut Random) {
        let (product, place) = (random.below(SKUS.len()), random.below(PLACES));
        if !random.once_in(4) {
            return self.adjust(product, place, random_change(random)).await;
        }
        let ((from, to), quantity) = (two_places(random), random.between(1, 4));
        let told = self.stage.transfer(product, (from, to), quantity).await;
        let expected = self.model.attempt(|model| model.transfer(product, from, to, quantity));
        assert_eq!(outcome(&told), expected);
    }

    async fn adjust(&mut self, product: usize, place: usize, change: Change) {
        let told = self.stage.adjust(product, place, change).await;
        assert_eq!(outcome(&told), self.model.attempt(|model| model.adjust(product, place, change)));
    }

    async fn place(&mut self, random: &mut Random) {
        let owner = random.below(self.people.len());
        let (mut body, lines) = random_lines(random, owner == 0);
        body["external_id"] = format!("shop-{}", lines.len()).into();
        let answer = self.stage.ask(&self.people[owner], Method::POST, "/orders", body).await;
        assert_eq!(outcome(&answer), self.model.attempt(|model| model.place(owner, lines)));
        if answer.status == 201 {
            self.orders.push(answer.json());
        }
    }

    fn pick(&self, random: &mut Random) -> usize {
        self.orders.len() - 1 - random.below(self.orders.len().min(LATEST))
    }

    async fn edit(&mut self, random: &mut Random) {
        let (order, (body, lines)) = (self.pick(random), random_lines(random, true));
        let answer = self.stage.put(&path(&self.orders[order], ""), body).await;
        assert_eq!(outcome(&answer), self.model.attempt(|model| model.edit(order, lines)));
    }

    async fn take_step(&mut self, random: &mut Random) {
        let order = self.pick(random);
        let step = self.pick_step(order, random);
        let place = &self.orders[order];
        let answer = if step == "cancel" && random.once_in(2) {
            self.stage.put(&path(place, ""), json!({"status": "cancelled"})).await
        } else {
            self.stage.post(&path(place, &format!("/{step}")), json!({})).await
        };
        assert_eq!(outcome(&answer), self.model.attempt(|model| model.step(order, step)), "{step}");
    }

    /// Mostly one that may be taken.
    fn pick_step(&self, order: usize, random: &mut Random) -> &'static str {
        let life = &self.model.orders[order].life;
        let allowed: Vec<&str> = STEPS.into_iter().filter(|step| life.is_legal(step, true)).collect();
        let step = if allowed.is_empty() || random.once_in(3) {
            *random.pick(&STEPS)
        } else {
            *random.pick(&allowed)
        };
        match (step, life.status) {
            // An early end makes a dull life.
            ("cancel", _) if random.once_in(2) => "confirm",
            // How much of what was called off is to be paid has to be said.
            ("pay", "cancelled") => "refund",
            (step, _) => step,
        }
    }

    async fn ship_or_return(&mut self, random: &mut Random) {
        let (order, is_return) = (self.pick(random), random.once_in(4));
        let lines = &self.model.orders[order].life.lines;
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
        let answer = self.stage.post(&path(&self.orders[order], step), body).await;
        let expected = self.model.attempt(|model| {
            if is_return { model.give_back(order, &counts, restock) } else { model.ship(order, &counts) }
        });
        assert_eq!(outcome(&answer), expected, "{step} {counts:?}");
    }

    async fn delete(&mut self, random: &mut Random) {
        let order = self.pick(random);
        let answer = self
            .stage
            .ask(&self.stage.staff, Method::DELETE, &path(&self.orders[order], ""), Value::Null)
            .await;
        assert_eq!(outcome(&answer), self.model.attempt(|model| model.delete(order)));
    }

    async fn expire(&mut self) {
        self.stage.expire().await;
        self.model.expire();
    }

    /// Every level and the latest orders are what the model says.
    async fn check(&mut self) {
        let levels = all_pages(&self.stage.staff, "/stock", 200).await;
        assert_eq!(self.found_levels(&levels), self.model_levels(), "levels");
        let page = self.stage.staff.get(&format!("/orders?limit={LATEST}")).await.expect(200).json();
        let newest = page["items"].as_array().unwrap();
        assert_eq!(newest.len(), self.orders.len().min(LATEST));
        let latest = self.orders.iter_mut().zip(&self.model.orders).rev();
        for ((order, model), found) in latest.zip(newest) {
            assert_eq!(order["id"], found["id"]);
            *order = found.clone();
            assert_eq!(shown(order), model.life.shown(true));
        }
    }

    fn model_levels(&self) -> [Spots; 3] {
        let mut figures = [const { Spots::new() }; 3];
        for (index, product) in self.model.products.iter().enumerate() {
            for (place, shelf) in product.shelves.iter().enumerate() {
                for (spots, figure) in
                    figures.iter_mut().zip([shelf.on_hand, shelf.allocated, shelf.unavailable])
                {
                    add(spots, (index, place), figure);
                }
            }
        }
        figures
    }

    /// On hand, allocated and unavailable, by product and place; nothing where there is nothing.
    pub(super) fn found_levels(&self, levels: &[Value]) -> [Spots; 3] {
        ["on_hand", "allocated", "unavailable"].map(|name| self.sums(levels, name))
    }

    /// A figure of rows that name a product and a location, summed by these.
    pub(super) fn sums<'b>(&self, rows: impl IntoIterator<Item = &'b Value>, name: &str) -> Spots {
        let mut sums = Spots::new();
        for row in rows {
            if let Some(spot) = self.spot(row) {
                add(&mut sums, spot, row[name].as_i64().unwrap());
            }
        }
        sums
    }

    /// Where a row stands; nothing for a product that isn't tracked.
    pub(super) fn spot(&self, row: &Value) -> Option<(usize, usize)> {
        let product = self.stage.products.iter().position(|id| row["product_id"] == id.to_string())?;
        let place = self.stage.places.iter().position(|id| row["location_id"] == id.to_string());
        Some((product, place.unwrap()))
    }
}

fn add(spots: &mut Spots, spot: (usize, usize), figure: i64) {
    let sum = spots.entry(spot).or_default();
    *sum += figure;
    if *sum == 0 {
        spots.remove(&spot);
    }
}

/// Some of each line, no more than is open, as it is sent and as the model has it.
fn random_part(order: &Value, open: &[i64], random: &mut Random) -> (Value, Vec<i64>) {
    if random.once_in(2) {
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
