//! `storehouse verify`: does all stock add up? It reads one snapshot and changes nothing, so it may run beside a system at work.

use anyhow::{Context as _, Result, ensure};
use db::{Db, Tx};
use futures_util::FutureExt as _;
use orders::{OrderDifference, verify_orders};
use stock::{Difference, verify_levels};

use crate::migrate::open_existing;
use crate::progress::Progress;
use crate::settings::Settings;

/// What was looked at, and what doesn't add up.
pub(crate) struct Found {
    products: u64,
    orders: u64,
    levels: Vec<Difference>,
    holdings: Vec<OrderDifference>,
}

/// Adds everything up.
pub(crate) fn run(settings: &Settings) -> Result<Found> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let db = open_existing(settings).await?;
        let progress = Progress::new();
        let found = look_at(&db, &progress).await;
        progress.clear();
        db.close().await;
        found
    })
}

/// Adds up all that is in one snapshot.
pub(crate) async fn look_at(db: &Db, progress: &Progress) -> Result<Found> {
    let found = db.read(progress.clone(), |tx, progress| look(tx, progress).boxed()).await;
    found.context("can't read the database; one of an older version wants `storehouse migrate` first")
}

async fn look(tx: &Tx, progress: &Progress) -> Result<Found, db::Error> {
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
    Ok(Found { products, orders, levels, holdings })
}

impl Found {
    fn count(&self) -> usize {
        self.levels.len() + self.holdings.len()
    }

    /// Whether all adds up.
    pub(crate) fn is_clean(&self) -> bool {
        self.count() == 0
    }

    /// Each difference on a line of its own, and the counts at the end.
    pub(crate) fn text(&self) -> String {
        let levels = self.levels.iter().map(ToString::to_string);
        let mut lines: Vec<String> = levels.chain(self.holdings.iter().map(ToString::to_string)).collect();
        let Self { products, orders, .. } = self;
        lines.push(format!("Products: {products}, orders: {orders}, differences: {}.", self.count()));
        lines.join("\n") + "\n"
    }

    /// An error if something doesn't add up.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.is_clean(), "stock does not add up: {} differences", self.count());
        Ok(())
    }
}
