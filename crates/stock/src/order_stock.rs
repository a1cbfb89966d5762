//! What orders do with stock: placing allocates, changing and cancelling release, shipping takes, a return puts back.

use kit::author::Author;
use std::collections::{BTreeMap, BTreeSet};

use db::Tx;
use uuid::Uuid;

use crate::ledger::{Ledger, Refused};
use crate::model::{Cause, CauseKind, Delta, Kind, Level, Shortage};
use crate::split::{allocation, taken};
use crate::store::{self, Held};

/// What an order holds, and what came back of it, is the same by the ledger and by its lines.
pub const ORDER_HOLDS: &str = "order_holds";

/// What a step of an order does with stock: so much of each product.
#[derive(Clone, Debug)]
pub struct OrderStock {
    /// Whose step.
    pub order_id: Uuid,
    /// The order's version after it.
    pub step: i64,
    /// Who takes it.
    pub author: Author,
    /// What its lines say that it holds before, of each product more than nothing.
    pub held_before: BTreeMap<Uuid, i64>,
    /// How much of each product, already summed over the order's lines.
    pub quantities: BTreeMap<Uuid, i64>,
}

impl OrderStock {
    fn cause(&self) -> Cause {
        Cause { kind: CauseKind::Order, id: self.order_id, step: self.step }
    }

    fn products(&self) -> impl Iterator<Item = Uuid> {
        self.quantities.keys().copied()
    }
}

/// Allocates for new orders, one after the other, each all or nothing: an order that comes too short takes nothing and is
/// in no other's way. One after the other gets its answer, what it is short of.
pub async fn place(tx: &Tx, orders: &[&OrderStock]) -> Result<Vec<Vec<Shortage>>, Refused> {
    let products: BTreeSet<Uuid> = orders.iter().flat_map(|order| order.products()).collect();
    if products.is_empty() {
        return Ok(vec![Vec::new(); orders.len()]);
    }
    let mut ledger = Ledger::open(tx, &products).await?;
    let placed = orders.iter().map(|order| allocate(&mut ledger, order, &order.quantities));
    let placed = placed.collect::<Result<_, _>>()?;
    ledger.store(tx).await?;
    Ok(placed)
}

/// Makes an order hold exactly these quantities, in place of what it holds; or nothing changes, and it says what there is too little of. Of what
/// it shipped already nothing is held any more, so that isn't touched.
pub async fn hold(tx: &Tx, order: &OrderStock) -> Result<Vec<Shortage>, Refused> {
    let held = held_by(tx, order).await?;
    let products: BTreeSet<Uuid> = held.iter().map(|held| held.product_id).chain(order.products()).collect();
    if products.is_empty() {
        return Ok(Vec::new());
    }
    let mut ledger = Ledger::open(tx, &products).await?;
    let mut more = BTreeMap::new();
    for product in products {
        let wanted = order.quantities.get(&product).copied().unwrap_or_default();
        let change = wanted - held_of(&held, product);
        if change > 0 {
            more.insert(product, change);
        } else {
            release(&mut ledger, order, product, -change, &held)?;
        }
    }
    let mut short = allocate(&mut ledger, order, &more)?;
    if short.is_empty() {
        ledger.store(tx).await?;
    }
    for shortage in &mut short {
        // What it holds already is there for it to have.
        let own = held_of(&held, shortage.product_id);
        shortage.requested += own;
        shortage.available += own;
    }
    Ok(short)
}

/// Takes what an order ships from what it holds; what isn't there to be shipped, as after a count, it takes from what nobody holds elsewhere. Or nothing
/// changes, and it says what there is too little of.
pub async fn ship(tx: &Tx, order: &OrderStock) -> Result<Vec<Shortage>, Refused> {
    if order.quantities.is_empty() {
        return Ok(Vec::new());
    }
    let held = held_by(tx, order).await?;
    let mut ledger = Ledger::open(tx, &order.products().collect()).await?;
    let mut short = Vec::new();
    for (&product_id, &requested) in &order.quantities {
        let places = ledger.of(product_id);
        let parts = taken(ledger.levels(places.clone()), requested, |level| {
            // What lies there and can't be sold is not shipped either.
            (level.on_hand - level.unavailable).min(allocated_at(&held, product_id, level.location_id))
        });
        let missing = requested - parts.iter().sum::<i64>();
        let elsewhere = taken(ledger.levels(places.clone()), missing, |level| level.free());
        let found = elsewhere.iter().sum::<i64>();
        if found < missing {
            short.push(Shortage { product_id, requested, available: requested - missing + found });
            continue;
        }
        let mut released = found;
        for (place, (own, other)) in places.zip(parts.into_iter().zip(elsewhere)) {
            let left = allocated_at(&held, product_id, ledger.level(place).location_id) - own;
            let let_go = left.clamp(0, released);
            released -= let_go;
            for (kind, on_hand, allocated) in [(Kind::Release, 0, let_go), (Kind::Ship, own + other, own)] {
                if on_hand + allocated > 0 {
                    let delta = Delta { on_hand: -on_hand, allocated: -allocated, ..Delta::default() };
                    ledger.record(place, kind, delta, order.cause(), &order.author)?;
                }
            }
        }
    }
    if short.is_empty() {
        ledger.store(tx).await?;
    }
    Ok(short)
}

/// Puts back what an order shipped, where it was taken from.
pub async fn give_back(tx: &Tx, order: &OrderStock) -> Result<(), Refused> {
    if order.quantities.is_empty() {
        return Ok(());
    }
    let held = held_by(tx, order).await?;
    let mut ledger = Ledger::open(tx, &order.products().collect()).await?;
    for (&product_id, &quantity) in &order.quantities {
        let places = ledger.of(product_id);
        let parts = taken(ledger.levels(places.clone()), quantity, |level| {
            held.iter()
                .filter(|held| held.is_at(product_id, level.location_id))
                .map(|held| held.shipped)
                .sum()
        });
        if parts.iter().sum::<i64>() < quantity {
            let found = || format!("the ledger has less of {product_id} shipped than came back");
            tx.require(ORDER_HOLDS, false, found)?;
        }
        for (place, part) in places.zip(parts).filter(|(_, part)| *part > 0) {
            let delta = Delta { on_hand: part, ..Delta::default() };
            ledger.record(place, Kind::Return, delta, order.cause(), &order.author)?;
        }
    }
    ledger.store(tx).await?;
    Ok(())
}

/// What an order holds as the ledger says, which must be what its lines say.
async fn held_by(tx: &Tx, order: &OrderStock) -> Result<Vec<Held>, db::Error> {
    let held = store::held_by(tx, order.order_id).await?;
    let mut sums = BTreeMap::<Uuid, i64>::new();
    for held in &held {
        *sums.entry(held.product_id).or_default() += held.allocated;
    }
    sums.retain(|_, sum| *sum != 0);
    tx.require(ORDER_HOLDS, sums == order.held_before, || {
        let lines = &order.held_before;
        format!("order {} holds {sums:?} as the ledger says, and {lines:?} as its lines say", order.order_id)
    })?;
    Ok(held)
}

fn held_of(held: &[Held], product: Uuid) -> i64 {
    held.iter().filter(|held| held.product_id == product).map(|held| held.allocated).sum()
}

fn allocated_at(held: &[Held], product: Uuid, location: Uuid) -> i64 {
    held.iter().filter(|held| held.is_at(product, location)).map(|held| held.allocated).sum()
}

/// Allocates all or nothing, and says what there is too little of.
fn allocate(
    ledger: &mut Ledger,
    order: &OrderStock,
    quantities: &BTreeMap<Uuid, i64>,
) -> Result<Vec<Shortage>, Refused> {
    let (mut short, mut parts) = (Vec::new(), Vec::new());
    for (&product_id, &requested) in quantities {
        let places = ledger.of(product_id);
        match allocation(ledger.levels(places.clone()), requested) {
            Ok(split) => parts.extend(places.zip(split).filter(|(_, part)| *part > 0)),
            Err(available) => short.push(Shortage { product_id, requested, available }),
        }
    }
    if short.is_empty() {
        for (place, part) in parts {
            let delta = Delta { allocated: part, ..Delta::default() };
            ledger.record(place, Kind::Allocate, delta, order.cause(), &order.author)?;
        }
    }
    Ok(short)
}

/// Releases so much of what an order holds: first what isn't there to be shipped, then the last location first, so that what stays is where
/// it is shipped from first.
fn release(
    ledger: &mut Ledger,
    order: &OrderStock,
    product: Uuid,
    quantity: i64,
    held: &[Held],
) -> Result<(), Refused> {
    let places = ledger.of(product);
    let levels = ledger.levels(places.clone());
    let holds = |level: &Level| allocated_at(held, product, level.location_id);
    let missing = taken(levels, quantity, |level| holds(level).min(-level.free()));
    let mut left = quantity - missing.iter().sum::<i64>();
    let mut parts = missing;
    for (level, part) in levels.iter().zip(&mut parts).rev() {
        let more = (holds(level) - *part).clamp(0, left);
        *part += more;
        left -= more;
    }
    for (place, part) in places.zip(parts).filter(|(_, part)| *part > 0) {
        let delta = Delta { allocated: -part, ..Delta::default() };
        ledger.record(place, Kind::Release, delta, order.cause(), &order.author)?;
    }
    Ok(())
}
