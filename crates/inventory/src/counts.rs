//! What is counted of stock, each movement once it is stored, and what all stock is worth, added up in the background.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use db::{Db, Error, Tx};
use futures_util::FutureExt;
use kit::metrics::{Counter, Labelled, Text};
use stock::Kind;
use uuid::Uuid;

use crate::store::figures::next_worths;

/// So many products are added up by one statement, which must stay short.
const PRODUCTS_AT_ONCE: i64 = 1_000;

/// Movements by kind, and the figures of the last time that all stock was added up.
#[derive(Debug, Default)]
pub(crate) struct StockCounts {
    movements: Labelled<&'static str, { Kind::ALL.len() }>,
    figures: Mutex<Sums>,
    refreshed: Counter,
}

/// What all stock adds up to.
#[derive(Clone, Debug, Default)]
struct Sums {
    low: u64,
    /// What lies there at its cost, in minor units; no sum of stored figures is too large for it.
    value: BTreeMap<&'static str, i128>,
}

impl StockCounts {
    /// Movements, once their transaction is committed.
    pub(crate) fn moved(self: &Arc<Self>, tx: &Tx, kinds: Vec<Kind>) {
        let counts = Arc::clone(self);
        tx.after_commit(move || kinds.iter().for_each(|kind| counts.movements.increment(kind.as_str())));
    }

    pub(crate) fn write(&self, text: &mut Text) {
        let help = "Changes of stock levels by staff.";
        for (kind, count) in self.movements.counts() {
            let labels = [("kind", kind.unwrap_or("other"))];
            text.counter("storehouse_stock_movements_total", help, &labels, count);
        }
        // Nothing is known before the first time.
        if self.refreshed.get() == 0 {
            return;
        }
        let sums = self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let help = "Products on sale whose stock has sunk to their reorder point.";
        text.gauge("storehouse_low_stock_products", help, &[], sums.low as f64);
        let help = "What is on hand at its cost, in the currency's smallest unit.";
        for (currency, value) in sums.value {
            let labels = [("currency", currency)];
            text.gauge("storehouse_stock_value_minor_units", help, &labels, value as f64);
        }
    }
}

/// Adds up all stock.
pub(crate) async fn refresh(db: &Db, counts: &StockCounts) -> Result<(), Error> {
    let (mut last, mut sums) = (Uuid::nil(), Sums::default());
    loop {
        let worths = db.read(last, |tx, last| next_worths(tx, *last, PRODUCTS_AT_ONCE).boxed()).await?;
        let Some(end) = worths.last() else { break };
        last = end.product_id;
        for worth in worths {
            sums.low += u64::from(worth.is_low);
            if let Some(cost) = worth.cost_minor {
                let value = i128::from(cost) * i128::from(worth.on_hand);
                *sums.value.entry(worth.currency.code()).or_default() += value;
            }
        }
    }
    *counts.figures.lock().unwrap_or_else(PoisonError::into_inner) = sums;
    counts.refreshed.increment();
    Ok(())
}
