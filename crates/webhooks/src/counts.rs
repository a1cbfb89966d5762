//! What webhooks count, each attempt once its outcome is stored; and what is still to be told, as it was when it was last looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use db::Tx;
use kit::clock::Timestamp;
use kit::metrics::{Labelled, Text};

/// What became of attempts, and what waits.
#[derive(Debug, Default)]
pub struct WebhookCounts {
    outcomes: Labelled<&'static str, 3>,
    pending: AtomicI64,
    /// In microseconds since 1970; 0 if nothing waits.
    oldest: AtomicI64,
}

impl WebhookCounts {
    /// How an attempt ended, once its transaction is committed.
    pub(crate) fn ended(self: &Arc<Self>, tx: &Tx, outcome: &'static str) {
        let counts = Arc::clone(self);
        tx.after_commit(move || counts.outcomes.increment(outcome));
    }

    /// How many are still to be taken, and since when the oldest is.
    pub(crate) fn set_pending(&self, pending: i64, oldest: Option<Timestamp>) {
        self.pending.store(pending, Ordering::Relaxed);
        self.oldest.store(oldest.map_or(0, |oldest| oldest.0), Ordering::Relaxed);
    }

    /// Writes all of it.
    pub fn write(&self, now: Timestamp, text: &mut Text) {
        let help = "Attempts to deliver an event to a webhook.";
        for (outcome, count) in self.outcomes.counts() {
            let labels = [("outcome", outcome.unwrap_or("other"))];
            text.counter("storehouse_webhook_deliveries_total", help, &labels, count);
        }
        let pending = self.pending.load(Ordering::Relaxed) as f64;
        text.gauge("storehouse_webhook_pending", "Deliveries that nobody has taken yet.", &[], pending);
        let age = match self.oldest.load(Ordering::Relaxed) {
            0 => 0.0,
            oldest => (now.0 - oldest).max(0) as f64 / 1e6,
        };
        let help = "How long the oldest delivery that nobody has taken yet is under way, in seconds.";
        text.gauge("storehouse_webhook_oldest_pending_seconds", help, &[], age);
    }
}
