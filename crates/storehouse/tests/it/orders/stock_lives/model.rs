//! Stock and the orders that take it, unit by unit in plain memory, to hold the running system against.

use std::collections::BTreeMap;

use ::stock::Change;

use crate::orders::model::{Ask, Expected, Line as Counters, Model as Lifecycle};

/// MAIN, and two others in the order in which they are emptied.
pub(super) const PLACES: usize = 3;

/// What there is of a product at a place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shelf {
    pub(super) on_hand: i64,
    pub(super) allocated: i64,
    pub(super) unavailable: i64,
}

/// A tracked product: its shelves, and how much more than there is MAIN may owe.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) shelves: [Shelf; PLACES],
    pub(super) backorder_limit: i64,
}

/// So much of a product at a place.
pub(super) type Spots = BTreeMap<(usize, usize), i64>;

/// An order: what it is by itself, and what it does with stock.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// Whose it is, among those who order.
    pub(super) owner: usize,
    /// From its owner.
    pub(super) hidden: bool,
    pub(super) life: Lifecycle,
    pub(super) lines: Vec<Line>,
    pub(super) held: Spots,
    /// Shipped from there and not put back.
    pub(super) gone: Spots,
}

/// What a line was ordered as: `product` is nothing where it takes no stock, `sku` where it is in no catalogue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) product: Option<usize>,
    pub(super) sku: Option<&'static str>,
    pub(super) quantity: i64,
    pub(super) unit_price: i64,
}

impl Line {
    /// Its quantity and total.
    fn counted(&self) -> (i64, i64) {
        (self.quantity, self.quantity * self.unit_price)
    }
}

/// A product, how much of it was asked for, and how much there is.
pub(super) type Short = (usize, i64, i64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Refused,
    Short(Vec<Short>),
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) products: Vec<Product>,
    pub(super) orders: Vec<Order>,
}

impl Model {
    pub(super) fn new(backorder_limits: &[i64]) -> Self {
        let product = |limit: &i64| Product { shelves: Default::default(), backorder_limit: *limit };
        Self { products: backorder_limits.iter().map(product).collect(), orders: Vec::new() }
    }

    /// Does it on a copy, which is kept if it is done.
    pub(super) fn attempt(&mut self, change: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let mut after = self.clone();
        let outcome = change(&mut after);
        if outcome == Outcome::Done {
            *self = after;
        }
        outcome
    }

    fn free(&self, product: usize, place: usize) -> i64 {
        let shelf = self.products[product].shelves[place];
        shelf.on_hand - shelf.unavailable - shelf.allocated
    }

    pub(super) fn adjust(&mut self, product: usize, place: usize, change: Change) -> Outcome {
        let free = self.free(product, place);
        let shelf = &mut self.products[product].shelves[place];
        match change {
            Change::Receive(quantity) | Change::Adjust(quantity) => shelf.on_hand += quantity,
            Change::Count(quantity) => shelf.on_hand = quantity,
            Change::Quarantine(quantity) if quantity > free => return Outcome::Refused,
            Change::Quarantine(quantity) => shelf.unavailable += quantity,
        }
        if matches!(change, Change::Adjust(_) | Change::Count(_)) {
            shelf.unavailable = shelf.unavailable.min(shelf.on_hand);
        }
        if shelf.on_hand < 0 || shelf.unavailable < 0 { Outcome::Refused } else { Outcome::Done }
    }

    pub(super) fn transfer(&mut self, product: usize, from: usize, to: usize, quantity: i64) -> Outcome {
        if quantity > self.free(product, from) {
            return Outcome::Refused;
        }
        self.products[product].shelves[from].on_hand -= quantity;
        self.products[product].shelves[to].on_hand += quantity;
        Outcome::Done
    }

    pub(super) fn place(&mut self, owner: usize, lines: Vec<Line>) -> Outcome {
        let quantities: Vec<(i64, i64)> = lines.iter().map(Line::counted).collect();
        let life = Lifecycle::new(&quantities, true);
        let (held, gone) = (Spots::new(), Spots::new());
        self.orders.push(Order { owner, hidden: false, life, lines, held, gone });
        self.hold(self.orders.len() - 1)
    }

    pub(super) fn edit(&mut self, order: usize, lines: Vec<Line>) -> Outcome {
        let Order { life, lines: own, .. } = &mut self.orders[order];
        if life.status != "pending" {
            return Outcome::Refused;
        }
        life.lines = lines.iter().map(|line| Counters::new(line.counted())).collect();
        life.total = life.lines.iter().map(|line| line.total).sum();
        life.record("change", life.status, true, None);
        *own = lines;
        self.hold(order)
    }

    /// Takes a step that moves no goods.
    pub(super) fn step(&mut self, order: usize, step: &str) -> Outcome {
        match self.orders[order].life.take(step, &Ask::default(), true, None) {
            Expected::Done => self.hold(order),
            _ => Outcome::Refused,
        }
    }

    /// Lets the pending ones that take stock expire, except those for which money was received.
    pub(super) fn expire(&mut self) {
        for order in 0..self.orders.len() {
            let Order { life, lines, .. } = &mut self.orders[order];
            let takes_stock = lines.iter().any(|line| line.product.is_some());
            if life.status == "pending" && takes_stock && life.paid <= life.refunded {
                life.status = "expired";
                life.record("expire", "pending", false, None);
                self.hold(order);
            }
        }
    }

    /// Calls it off, unless it is over, and hides it.
    pub(super) fn delete(&mut self, order: usize) -> Outcome {
        let Order { life, hidden, .. } = &mut self.orders[order];
        if life.lines.iter().any(|line| line.shipped > 0) {
            return Outcome::Refused;
        }
        if !*hidden {
            let before = life.status;
            life.status = if before == "expired" { before } else { "cancelled" };
            life.record("delete", before, true, None);
        }
        *hidden = true;
        self.hold(order)
    }

    /// Ships so much of each line.
    pub(super) fn ship(&mut self, order: usize, counts: &[i64]) -> Outcome {
        if self.move_goods(order, "ship", counts) != Expected::Done {
            return Outcome::Refused;
        }
        let wanted = self.orders[order].sums(|index, _| counts[index]);
        let mut short = Vec::new();
        for product in self.orders[order].products() {
            let requested = wanted.get(&product).copied().unwrap_or_default();
            let shipped = (0..requested).filter(|_| self.ship_one(order, product)).count();
            let available = i64::try_from(shipped).unwrap();
            if available < requested {
                short.push((product, requested, available));
            }
        }
        if short.is_empty() { Outcome::Done } else { Outcome::Short(short) }
    }

    fn ship_one(&mut self, order: usize, product: usize) -> bool {
        for place in 0..PLACES {
            let shelf = &mut self.products[product].shelves[place];
            let held = self.orders[order].held.entry((product, place)).or_default();
            if *held > 0 && shelf.on_hand > shelf.unavailable {
                *held -= 1;
                shelf.on_hand -= 1;
                shelf.allocated -= 1;
                *self.orders[order].gone.entry((product, place)).or_default() += 1;
                return true;
            }
        }
        self.ship_another(order, product)
    }

    /// What is held isn't there, but elsewhere is one that nobody holds.
    fn ship_another(&mut self, order: usize, product: usize) -> bool {
        let holds =
            |place: &usize| self.orders[order].held.get(&(product, *place)).is_some_and(|held| *held > 0);
        let (held, free) =
            ((0..PLACES).find(holds), (0..PLACES).find(|place| self.free(product, *place) > 0));
        let (Some(held), Some(free)) = (held, free) else { return false };
        *self.orders[order].held.entry((product, held)).or_default() -= 1;
        self.products[product].shelves[held].allocated -= 1;
        self.products[product].shelves[free].on_hand -= 1;
        *self.orders[order].gone.entry((product, free)).or_default() += 1;
        true
    }

    /// Takes so much of each line back.
    pub(super) fn give_back(&mut self, order: usize, counts: &[i64], restock: bool) -> Outcome {
        if self.move_goods(order, "return", counts) != Expected::Done {
            return Outcome::Refused;
        }
        for (product, quantity) in self.orders[order].sums(|index, _| counts[index]) {
            for _ in 0..if restock { quantity } else { 0 } {
                let gone = &mut self.orders[order].gone;
                let place =
                    (0..PLACES).find(|place| gone.get(&(product, *place)).is_some_and(|count| *count > 0));
                let place = place.expect("what comes back was shipped");
                *gone.get_mut(&(product, place)).unwrap() -= 1;
                self.products[product].shelves[place].on_hand += 1;
            }
        }
        Outcome::Done
    }

    fn move_goods(&mut self, order: usize, step: &str, counts: &[i64]) -> Expected {
        let ask = Ask { counts: Some(counts.to_vec()), amount: None };
        self.orders[order].life.take(step, &ask, true, None)
    }

    /// Lets an order hold what is still to be shipped, as long as it may be.
    fn hold(&mut self, order: usize) -> Outcome {
        let is_open = ["pending", "confirmed", "on_hold"].contains(&self.orders[order].life.status);
        let open = |line: &Counters| if is_open { line.quantity - line.shipped } else { 0 };
        let wanted = self.orders[order].sums(|index, life| open(&life.lines[index]));
        let mut short = Vec::new();
        let mut products = self.orders[order].products();
        products.extend(
            (0..self.products.len()).filter(|product| !products.contains(product)).collect::<Vec<_>>(),
        );
        for product in products {
            let wanted = wanted.get(&product).copied().unwrap_or_default();
            let own = self.orders[order].held_of(product);
            let more = wanted - own;
            for _ in more..0 {
                self.release_one(order, product);
            }
            let held = (0..more).filter(|_| self.hold_one(order, product)).count();
            let available = i64::try_from(held).unwrap();
            if available < more {
                short.push((product, wanted, own + available));
            }
        }
        if short.is_empty() { Outcome::Done } else { Outcome::Short(short) }
    }

    fn hold_one(&mut self, order: usize, product: usize) -> bool {
        let limit = self.products[product].backorder_limit;
        if (0..PLACES).map(|place| self.free(product, place)).sum::<i64>() + limit <= 0 {
            return false;
        }
        let owes = self.free(product, 0) + limit > 0;
        let place = (0..PLACES).find(|place| self.free(product, *place) > 0).or(owes.then_some(0));
        let Some(place) = place else { return false };
        self.products[product].shelves[place].allocated += 1;
        *self.orders[order].held.entry((product, place)).or_default() += 1;
        true
    }

    /// First what isn't there to be shipped; then from the last place, so that what stays is where it is shipped from first.
    fn release_one(&mut self, order: usize, product: usize) {
        let holds =
            |place: &usize| self.orders[order].held.get(&(product, *place)).is_some_and(|held| *held > 0);
        let owed = (0..PLACES).filter(holds).find(|place| self.free(product, *place) < 0);
        let Some(place) = owed.or_else(|| (0..PLACES).rev().find(holds)) else { return };
        *self.orders[order].held.entry((product, place)).or_default() -= 1;
        self.products[product].shelves[place].allocated -= 1;
    }
}

impl Order {
    /// Its products in the order of its lines.
    fn products(&self) -> Vec<usize> {
        let mut products = Vec::new();
        for product in self.lines.iter().filter_map(|line| line.product) {
            if !products.contains(&product) {
                products.push(product);
            }
        }
        products
    }

    fn sums(&self, count: impl Fn(usize, &Lifecycle) -> i64) -> BTreeMap<usize, i64> {
        let mut sums = BTreeMap::new();
        for (index, line) in self.lines.iter().enumerate() {
            if let Some(product) = line.product {
                *sums.entry(product).or_default() += count(index, &self.life);
            }
        }
        sums
    }

    fn held_of(&self, product: usize) -> i64 {
        self.held.iter().filter(|((held, _), _)| *held == product).map(|(_, count)| *count).sum()
    }
}
