//! What nobody asks for: each second what was committed is sealed, and what was refused in the minute before is written down.

use std::sync::Arc;
use std::time::Duration;

use db::{Db, Error};
use futures_util::FutureExt;
use kit::clock::Clock;
use kit::metrics::Text;
use kit::refusals::Refusals;
use kit::work::ticks;
use tracing::warn;

use crate::counts::AuditCounts;
use crate::refused::write_refused;
use crate::seal::seal_counting;
use crate::store;

/// How often it is looked for what is to be sealed.
const INTERVAL: Duration = Duration::from_secs(1);

/// A process's share of keeping the log.
pub struct Auditing {
    db: Db,
    clock: Clock,
    refusals: Arc<Refusals>,
    counts: Arc<AuditCounts>,
}

impl Auditing {
    /// Of what was counted in this process.
    pub fn new(db: Db, clock: Clock, refusals: Arc<Refusals>) -> Self {
        Self { db, clock, refusals, counts: Arc::default() }
    }

    /// Seals and writes down, for ever.
    pub async fn work(&self) {
        let mut ticks = ticks(INTERVAL);
        loop {
            ticks.tick().await;
            if let Err(error) = self.catch_up(false).await {
                warn!(cause = %error, "the audit log can't be sealed");
            }
        }
    }

    /// Writes down and seals all that there is, also what was refused in this very minute: before the process ends.
    pub async fn finish(&self) {
        if let Err(error) = self.catch_up(true).await {
            warn!(cause = %error, "what was refused last is not in the audit log");
        }
    }

    /// Writes down what is due, or all there is, and seals what was committed.
    pub async fn catch_up(&self, all: bool) -> Result<(), Error> {
        write_refused(&self.db, &self.refusals, all).await?;
        // Mostly there is nothing to seal, and so nothing to write.
        let (oldest, number, swept) = self.db.lookup((), |tx, ()| store::find_state(tx).boxed()).await?;
        self.counts.set_state(oldest, number - swept);
        if oldest.is_some() {
            seal_counting(&self.db, self.clock.now(), &self.counts).await?;
        }
        Ok(())
    }

    /// Tells how the log is.
    pub fn write_metrics(&self, text: &mut Text) {
        self.counts.write(self.clock.now(), text);
    }
}
