//! What orders count, each change once it is stored: a refused or repeated request counts nothing.

use std::sync::Arc;

use db::Tx;
use kit::metrics::{Counter, Labelled, Text};
use kit::money::Money;

use crate::lifecycle::Status;
use crate::model::Order;

/// More currencies than ISO 4217 has.
const CURRENCIES: usize = 256;

/// Orders placed, what they are worth, and the statuses that orders entered.
#[derive(Debug, Default)]
pub struct OrderCounts {
    placed: Counter,
    value: Labelled<&'static str, CURRENCIES>,
    statuses: Labelled<&'static str, { Status::ALL.len() }>,
}

impl OrderCounts {
    /// A new order, once its transaction is committed.
    pub(crate) fn placed(self: &Arc<Self>, tx: &Tx, order: &Order) {
        let (counts, status, total) = (Arc::clone(self), order.status, order.total);
        tx.after_commit(move || {
            counts.placed.increment();
            counts.add_value(total);
            counts.statuses.increment(status.as_str());
        });
    }

    /// An order that may have entered another status, once its transaction is committed.
    pub(crate) fn changed(self: &Arc<Self>, tx: &Tx, before: Status, after: Status) {
        if before != after {
            let counts = Arc::clone(self);
            tx.after_commit(move || counts.statuses.increment(after.as_str()));
        }
    }

    fn add_value(&self, total: Money) {
        self.value.add(total.currency().code(), u64::try_from(total.minor()).unwrap_or_default());
    }

    pub(crate) fn write(&self, text: &mut Text) {
        text.counter("storehouse_orders_placed_total", "Orders placed.", &[], self.placed.get());
        let help = "What the placed orders are worth, in the currency's smallest unit.";
        for (currency, value) in self.value.counts() {
            let labels = [("currency", currency.unwrap_or("other"))];
            text.counter("storehouse_order_value_minor_units_total", help, &labels, value);
        }
        let help = "Orders that entered a status.";
        for (status, count) in self.statuses.counts() {
            let labels = [("status", status.unwrap_or("other"))];
            text.counter("storehouse_order_status_total", help, &labels, count);
        }
    }
}
