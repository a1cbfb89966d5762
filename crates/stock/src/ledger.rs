//! Levels being changed: read once, changed in memory, and stored with a row of the ledger for each change.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use db::Tx;
use events::{EventType, LowStock, NewEvent};
use kit::author::Author;
use kit::clock::new_id;
use kit::problem::Problem;
use uuid::Uuid;

use crate::model::{Cause, Delta, Kind, Level, MAX_LEVEL, Movement, Terms};
use crate::store;

/// Why a level was not changed.
#[derive(Debug)]
pub enum Refused {
    /// It isn't what the caller expected; so much lies there.
    Unexpected(i64),
    /// There is not so much to take; so much there is.
    TooLittle(i64),
    /// There would be more than a level can tell.
    TooMuch,
    /// The database failed.
    Database(db::Error),
}

impl From<db::Error> for Refused {
    fn from(error: db::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unexpected(on_hand) => Self::conflict(
                "unexpected_stock",
                format!("{on_hand} are on hand, not as many as you expected."),
            )
            .with_member("on_hand", on_hand),
            Refused::TooLittle(available) => {
                Self::conflict("insufficient_stock", format!("Only {available} can be taken."))
                    .with_member("available", available)
            }
            Refused::TooMuch => Self::conflict("too_much_stock", "There would be more than 2^53-1 of it."),
            Refused::Database(error) => error.into(),
        }
    }
}

/// A level is what was read and what its movements changed; no figure is less than nothing, and what can't be sold is a part of what lies there.
pub const STOCK_LEVEL: &str = "stock_level";

/// The levels of some products, and what happened to them.
pub(crate) struct Ledger {
    /// By product, and in the order in which orders are filled.
    levels: Vec<Level>,
    /// What of them is stored; none if a level isn't stored yet.
    stored: Vec<Option<Stored>>,
    movements: Vec<Movement>,
}

/// A level as it was read.
#[derive(Clone, Copy)]
struct Stored {
    version: i64,
    figures: Delta,
}

impl Stored {
    fn free(&self) -> i64 {
        self.figures.on_hand - self.figures.unavailable - self.figures.allocated
    }
}

impl Ledger {
    /// Reads all levels of these products. Until the transaction ends nobody else changes them.
    pub(crate) async fn open(tx: &Tx, products: &BTreeSet<Uuid>) -> Result<Self, db::Error> {
        store::take_products(tx, products).await?;
        Self::look(tx, products).await
    }

    /// Reads them for whoever changes nothing.
    pub(crate) async fn look(tx: &Tx, products: &BTreeSet<Uuid>) -> Result<Self, db::Error> {
        let levels = store::list_levels(tx, products).await?;
        levels.iter().try_for_each(|level| require_sound(tx, level, figures(level)))?;
        let stored = |level: &Level| Some(Stored { version: level.version, figures: figures(level) });
        let stored = levels.iter().map(stored).collect();
        Ok(Self { levels, stored, movements: Vec::new() })
    }

    /// Where a product's levels stand.
    pub(crate) fn of(&self, product: Uuid) -> Range<usize> {
        let start = self.levels.partition_point(|level| level.product_id < product);
        let count = self.levels[start..].iter().take_while(|level| level.product_id == product).count();
        start..start + count
    }

    pub(crate) fn levels(&self, places: Range<usize>) -> &[Level] {
        self.levels.get(places).unwrap_or_default()
    }

    /// Whether a level is stored, and not only just made.
    pub(crate) fn is_stored(&self, place: usize) -> bool {
        self.stored[place].is_some()
    }

    pub(crate) fn level(&self, place: usize) -> &Level {
        &self.levels[place]
    }

    /// Where a product's level at a location stands; it becomes the product's last if there was none.
    pub(crate) fn at(&mut self, product: Uuid, location: Uuid) -> usize {
        let places = self.of(product);
        let end = places.end;
        places.clone().find(|place| self.levels[*place].location_id == location).unwrap_or_else(|| {
            self.levels.insert(end, Level::empty(product, location));
            self.stored.insert(end, None);
            end
        })
    }

    /// Changes a level, and writes down why.
    pub(crate) fn record(
        &mut self,
        place: usize,
        kind: Kind,
        delta: Delta,
        cause: Cause,
        author: &Author,
    ) -> Result<&mut Movement, Refused> {
        let level = &mut self.levels[place];
        let after = Level {
            on_hand: level.on_hand + delta.on_hand,
            allocated: level.allocated + delta.allocated,
            unavailable: level.unavailable + delta.unavailable,
            version: level.version + 1,
            // A request that came earlier may have waited longer for its turn; the ledger's order is that in which a level changed.
            updated_at: author.now.max(level.updated_at.plus(Duration::from_micros(1))),
            ..level.clone()
        };
        check(level, &after)?;
        *level = after;
        self.movements.push(Movement {
            id: new_id(),
            product_id: level.product_id,
            location_id: level.location_id,
            kind,
            delta,
            on_hand_after: level.on_hand,
            allocated_after: level.allocated,
            cause,
            reason: None,
            unit_cost_minor: None,
            actor_id: author.actor_id,
            request_id: author.request_id.clone(),
            created_at: level.updated_at,
        });
        let last = self.movements.len() - 1;
        Ok(&mut self.movements[last])
    }

    /// Stores what was changed, with an event for each of the ledger's new rows, and gives these.
    pub(crate) async fn store(self, tx: &Tx) -> Result<Vec<Movement>, db::Error> {
        self.require_sums(tx)?;
        store::store_levels(tx, &self.changed()).await?;
        self.write_down(tx).await
    }

    /// The levels that differ from what is stored, each with its stored version.
    fn changed(&self) -> Vec<(&Level, Option<i64>)> {
        let versions = self.stored.iter().map(|stored| stored.map(|stored| stored.version));
        self.levels.iter().zip(versions).filter(|(level, stored)| *stored != Some(level.version)).collect()
    }

    /// Each level is what was read and the sum of what is written down, or nothing is stored.
    fn require_sums(&self, tx: &Tx) -> Result<(), db::Error> {
        let mut sums: Vec<Delta> = self
            .stored
            .iter()
            .map(|stored| stored.map(|stored| stored.figures).unwrap_or_default())
            .collect();
        for movement in &self.movements {
            let mut places = self.of(movement.product_id);
            let place = places.find(|place| self.levels[*place].location_id == movement.location_id);
            if let Some(sum) = place.and_then(|place| sums.get_mut(place)) {
                *sum = *sum + movement.delta;
            }
        }
        self.levels.iter().zip(sums).try_for_each(|(level, sum)| require_sound(tx, level, sum))
    }

    /// What is told of a product that is low by these terms, and wasn't by those that it has.
    fn becomes_low(&self, terms: &Terms) -> Option<(Uuid, LowStock)> {
        let levels = self.levels(self.of(terms.product_id));
        let before = levels.iter().find_map(|level| level.reorder_point).unwrap_or(i64::MIN);
        let (free, reorder_point) = (levels.iter().map(Level::free).sum(), terms.reorder_point?);
        has_become_low((free, before), (free, reorder_point))
            .then_some((terms.product_id, LowStock { free, reorder_point }))
    }

    async fn write_down(self, tx: &Tx) -> Result<Vec<Movement>, db::Error> {
        store::insert_movements(tx, &self.movements).await?;
        events::record_rows(tx, self.movements.iter().map(event)).await?;
        self.tell_low(tx).await?;
        Ok(self.movements)
    }

    /// Tells of each product of which so little is free now that it should be bought, and wasn't before.
    async fn tell_low(&self, tx: &Tx) -> Result<(), db::Error> {
        let asked = self.levels.iter().filter_map(|level| Some((level.product_id, level.reorder_point?)));
        for (product, point) in asked {
            let places = self.of(product);
            let before = self.stored[places.clone()].iter().flatten().map(Stored::free).sum();
            let after = self.levels[places].iter().map(Level::free).sum();
            if !has_become_low((before, point), (after, point)) {
                continue;
            }
            if let Some(last) = self.movements.iter().rev().find(|movement| movement.product_id == product) {
                let author = Author {
                    actor_id: last.actor_id,
                    request_id: last.request_id.clone(),
                    address: None,
                    key_id: None,
                    now: last.created_at,
                };
                record_low(tx, product, after, point, &author).await?;
            }
        }
        Ok(())
    }
}

/// Whether so little is free that it should be bought, and wasn't so before; each is what is free and the reorder point.
fn has_become_low(before: (i64, i64), after: (i64, i64)) -> bool {
    before.0 > before.1 && after.0 <= after.1
}

async fn record_low(tx: &Tx, product: Uuid, free: i64, point: i64, author: &Author) -> Result<(), db::Error> {
    let data = LowStock { free, reorder_point: point };
    events::record(tx, EventType::StockLow, product, &data, author).await
}

/// Changes the terms of products; a reorder point above what is free tells that the product is low, unless it was before. What else a transaction waits for
/// comes first: it holds the products up to its end, and of very many all.
pub async fn set_terms(tx: &Tx, terms: &[Terms], author: &Author) -> Result<(), db::Error> {
    let mut in_order = terms.to_vec();
    in_order.sort_by_key(|terms| terms.product_id);
    let ledger = Ledger::open(tx, &in_order.iter().map(|terms| terms.product_id).collect()).await?;
    store::set_terms(tx, &in_order, author.now).await?;
    let low = in_order.iter().filter_map(|terms| ledger.becomes_low(terms));
    events::record_many(tx, EventType::StockLow, low, author).await
}

fn event(movement: &Movement) -> NewEvent {
    NewEvent {
        event_type: movement.kind.event_type(),
        object_id: movement.product_id,
        source_id: movement.id,
        created_at: movement.created_at,
    }
}

fn figures(level: &Level) -> Delta {
    Delta { on_hand: level.on_hand, allocated: level.allocated, unavailable: level.unavailable }
}

fn require_sound(tx: &Tx, level: &Level, sum: Delta) -> Result<(), db::Error> {
    let is_sound = level.allocated >= 0 && (0..=level.on_hand).contains(&level.unavailable);
    tx.require(STOCK_LEVEL, is_sound && figures(level) == sum, || {
        format!("{level:?}, where the sum is {sum:?}")
    })
}

/// Nothing is ever less than nothing, or more than can be told.
fn check(before: &Level, after: &Level) -> Result<(), Refused> {
    for (before, after) in [
        (before.on_hand, after.on_hand),
        (before.allocated, after.allocated),
        (before.unavailable, after.unavailable),
    ] {
        if after < 0 {
            return Err(Refused::TooLittle(before));
        }
        if after > MAX_LEVEL {
            return Err(Refused::TooMuch);
        }
    }
    Ok(())
}
