//! `storehouse verify`: does all stock add up? It reads one snapshot and changes nothing, so it may run beside a system at work.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result, ensure};
use db::Tx;
use futures_util::FutureExt as _;
use orders::{OrderDifference, verify_orders};
use stock::{Difference, verify_levels};

use crate::migrate::open_existing;
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
        let found = db.read((), |tx, ()| look(tx).boxed()).await;
        clear_progress();
        db.close().await;
        found.context("can't read the database; one of an older version wants `storehouse migrate` first")
    })
}

async fn look(tx: &Tx) -> Result<Found, db::Error> {
    let (mut products, mut orders) = (0, 0);
    let levels = verify_levels(tx, |count| {
        products = count;
        show_progress(count, "products");
    });
    let levels = levels.await?;
    let holdings = verify_orders(tx, |count| {
        orders = count;
        show_progress(count, "orders");
    });
    let holdings = holdings.await?;
    Ok(Found { products, orders, levels, holdings })
}

/// Only for a person who waits; if it can't be written nobody misses it.
fn show_progress(count: u64, of: &str) {
    let mut out = io::stderr();
    if out.is_terminal() {
        drop(write!(out, "\r\x1b[K{count} {of}"));
    }
}

fn clear_progress() {
    let mut out = io::stderr();
    if out.is_terminal() {
        drop(write!(out, "\r\x1b[K"));
    }
}

impl Found {
    fn count(&self) -> usize {
        self.levels.len() + self.holdings.len()
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
        ensure!(self.count() == 0, "stock does not add up: {} differences", self.count());
        Ok(())
    }
}
