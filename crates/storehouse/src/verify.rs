//! `storehouse verify`: do all stock and all orders add up, does the audit log's chain hold, is there still what keeps both from being changed, and is the file whole? It reads one snapshot and changes nothing, so it may run beside a system at work.

use anyhow::{Context as _, Result, bail, ensure};
use audit::{Anchor, AuditFound};
use db::{Db, Tx};
use futures_util::FutureExt as _;
use orders::{OrderDifference, verify_orders};
use stock::{Difference, verify_levels};

use crate::migrate::open_existing;
use crate::migrations::MIGRATIONS;
use crate::progress::Progress;
use crate::runtime::block_on;
use crate::settings::Settings;

/// What was looked at, and what doesn't add up.
pub(crate) struct Found {
    products: u64,
    orders: u64,
    levels: Vec<Difference>,
    holdings: Vec<OrderDifference>,
    audit: AuditFound,
    /// What makes tables append-only, and is missing.
    triggers: Vec<&'static str>,
    /// Of the file itself.
    damage: Vec<String>,
}

/// Adds everything up.
pub(crate) fn run(settings: &Settings, anchor: Option<Anchor>) -> Result<Found> {
    block_on(async {
        let db = open_existing(settings).await?;
        let progress = Progress::new();
        let found = look_for(&db, anchor, &progress).await;
        progress.clear();
        db.close().await;
        found
    })
}

/// Adds up all that is in one snapshot.
pub(crate) async fn look_at(db: &Db, progress: &Progress) -> Result<Found> {
    look_for(db, None, progress).await
}

/// The same, and looks whether an entry of the audit log is the one that was noted.
async fn look_for(db: &Db, anchor: Option<Anchor>, progress: &Progress) -> Result<Found> {
    let input = (anchor, progress.clone());
    progress.show("checking the file", 0, None);
    let damage: Vec<String> = db.read((), |tx, ()| tx.damage().boxed()).await?;
    let found = db.read(input, |tx, (anchor, progress)| look(tx, anchor.as_ref(), progress).boxed()).await;
    if found.is_err() && !damage.is_empty() {
        bail!("the file is damaged, so that not all of it can be read: {}", damage.join("; "));
    }
    found
        .map(|found| Found { damage, ..found })
        .context("can't read the database; one of an older version wants `storehouse migrate` first")
}

async fn look(tx: &Tx, anchor: Option<&Anchor>, progress: &Progress) -> Result<Found, db::Error> {
    let (mut products, mut orders) = (0, 0);
    let levels = verify_levels(tx, |count| {
        products = count;
        progress.show("adding up products", count, None);
    });
    let levels = levels.await?;
    let holdings = verify_orders(tx, |count| {
        orders = count;
        progress.show("adding up orders", count, None);
    });
    let holdings = holdings.await?;
    let audit =
        audit::verify(tx, anchor, |count| progress.show("following the audit log", count, None)).await?;
    let triggers = tx.missing_triggers(MIGRATIONS).await?;
    Ok(Found { products, orders, levels, holdings, audit, triggers, damage: Vec::new() })
}

impl Found {
    fn count(&self) -> usize {
        self.levels.len()
            + self.holdings.len()
            + self.audit.faults.len()
            + self.triggers.len()
            + self.damage.len()
    }

    /// Whether all adds up.
    pub(crate) fn is_clean(&self) -> bool {
        self.count() == 0
    }

    /// Each difference on a line of its own, and the counts at the end.
    pub(crate) fn text(&self) -> String {
        let levels = self.levels.iter().map(ToString::to_string);
        let stock = levels.chain(self.holdings.iter().map(ToString::to_string));
        let mut lines: Vec<String> = stock.chain(self.audit.faults.iter().cloned()).collect();
        let missing = |name| {
            format!(
                "schema: the trigger {name} is missing or turned off: what it keeps as it is could be changed"
            )
        };
        lines.extend(self.triggers.iter().map(missing));
        lines.extend(self.damage.iter().map(|damage| format!("file: {damage}")));
        let Self { products, orders, .. } = self;
        lines.push(self.audit.to_string());
        lines.push(format!("Products: {products}, orders: {orders}, differences: {}.", self.count()));
        lines.join("\n") + "\n"
    }

    /// An error if something doesn't add up.
    pub(crate) fn check(&self) -> Result<()> {
        let stock = self.levels.len() + self.holdings.len();
        ensure!(stock == 0, "stock does not add up: {stock} differences");
        ensure!(self.audit.faults.is_empty(), "the audit log does not hold");
        ensure!(self.triggers.is_empty(), "triggers of the schema are missing");
        ensure!(self.is_clean(), "the file is damaged");
        Ok(())
    }
}
