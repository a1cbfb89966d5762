//! What is counted of mails, each attempt once its outcome is stored; and how many wait, as it was when it was last looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use db::Tx;
use kit::metrics::{Labelled, Text};

/// What became of attempts, and what waits.
#[derive(Debug, Default)]
pub struct MailCounts {
    outcomes: Labelled<&'static str, 3>,
    waiting: AtomicI64,
}

impl MailCounts {
    /// How an attempt ended, once its transaction is committed.
    pub(crate) fn ended(self: &Arc<Self>, tx: &Tx, outcome: &'static str) {
        let counts = Arc::clone(self);
        tx.after_commit(move || counts.outcomes.increment(outcome));
    }

    pub(crate) fn set_waiting(&self, waiting: i64) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Writes all of it.
    pub fn write(&self, text: &mut Text) {
        let help = "Attempts to send a mail.";
        for (outcome, count) in self.outcomes.counts() {
            let labels = [("outcome", outcome.unwrap_or("other"))];
            text.counter("storehouse_mails_total", help, &labels, count);
        }
        let waiting = self.waiting.load(Ordering::Relaxed) as f64;
        text.gauge("storehouse_mails_waiting", "Mails that are still to be sent.", &[], waiting);
    }
}
