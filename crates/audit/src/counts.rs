//! What is told of the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use db::Tx;
use kit::clock::Timestamp;
use kit::metrics::{Counter, Text};

/// What this process sealed, and how the log was when it looked last.
#[derive(Debug, Default)]
pub(crate) struct AuditCounts {
    sealed: Counter,
    entries: AtomicI64,
    /// In microseconds since 1970; 0 if all is sealed.
    oldest: AtomicI64,
}

impl AuditCounts {
    /// So many entries got their place, once the transaction is committed.
    pub(crate) fn sealed(self: &Arc<Self>, tx: &Tx, count: u64) {
        let counts = Arc::clone(self);
        tx.after_commit(move || {
            counts.sealed.add(count);
            counts.entries.fetch_add(i64::try_from(count).unwrap_or(0), Ordering::Relaxed);
            counts.oldest.store(0, Ordering::Relaxed);
        });
    }

    pub(crate) fn set_state(&self, oldest: Option<Timestamp>, entries: i64) {
        self.oldest.store(oldest.map_or(0, |oldest| oldest.0), Ordering::Relaxed);
        self.entries.store(entries, Ordering::Relaxed);
    }

    pub(crate) fn write(&self, now: Timestamp, text: &mut Text) {
        let help = "Entries of the audit log that this process sealed.";
        text.counter("storehouse_audit_sealed_total", help, &[], self.sealed.get());
        let entries = self.entries.load(Ordering::Relaxed) as f64;
        text.gauge("storehouse_audit_entries", "Sealed entries that the audit log keeps.", &[], entries);
        let age = match self.oldest.load(Ordering::Relaxed) {
            0 => 0.0,
            oldest => (now.0 - oldest).max(0) as f64 / 1e6,
        };
        let help = "How long the oldest entry waits that is not sealed yet, in seconds.";
        text.gauge("storehouse_audit_unsealed_seconds", help, &[], age);
    }
}
