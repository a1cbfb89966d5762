//! `storehouse demo`: a new system with a made-up business in it, told from its first day by the services themselves, whose clock is moved on.
//!
//! `goods` says what is sold and to whom, `year` what happens when, `shop` asks the services to do it, `dice` decides. The same seed on the
//! same day makes the same business; only ids differ, which are random.

mod dice;
mod goods;
mod shop;
mod year;

use anyhow::{Context as _, Result, bail, ensure};
use db::Draft;
use kit::clock::{Clock, Timestamp};
use kit::secret::Secret;
use tokio::time::Instant;

use crate::migrations::MIGRATIONS;
use crate::progress::Progress;
use crate::runtime::block_on;
use crate::settings::{Environment, Settings};
use crate::verify::{self, Found};

use self::shop::Shop;
use self::year::{Counts, Year};

/// What everybody in it logs in with; production refuses the whole command.
const PASSWORD: &str = "a demonstration 7";
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// Fills it and says how to look at it.
pub(crate) fn run(settings: &Settings, seed: u64, days: u32) -> Result<String> {
    ensure!(
        settings.environment == Environment::Development,
        "a demonstration has passwords that everybody knows, which production refuses: remove ENVIRONMENT=production"
    );
    let (begun, progress) = (Instant::now(), Progress::new());
    let filled = block_on(fill(settings, seed, days, &progress));
    progress.clear();
    let (counts, found) = filled.with_context(|| format!("can't fill {}", settings.database_url))?;
    let seconds = begun.elapsed().as_secs_f64();
    let Counts { products, customers, orders, requests, .. } = counts;
    Ok(format!(
        "{} has {products} products at 3 locations, {customers} customers and {orders} orders of {days} days now: \
         {requests} requests in {seconds:.1} s.\n{}\
         Start it with `{}`, and log in as admin@example.com, staff@example.com or {}, password: {PASSWORD}\n",
        settings.database_url,
        found.text(),
        settings.serve_command(),
        goods::email(0)
    ))
}

async fn fill(settings: &Settings, seed: u64, days: u32, progress: &Progress) -> Result<(Counts, Found)> {
    let draft = Draft::begin(&settings.database_url).await?;
    let db = draft.open().await?;
    db.migrate(MIGRATIONS).await?;
    let today = Clock::default().now();
    let today = Timestamp(today.0 - today.0.rem_euclid(DAY));
    let clock = Clock::standing_at(Timestamp(today.0 - i64::from(days) * DAY));
    let secret = Secret::generate().context("can't make a secret")?;
    let shop = Shop::open(db.clone(), clock, settings, &secret).await?;
    let told = Year::new(shop, seed, today).tell(progress).await;
    let found = verify::look_at(&db, progress).await;
    db.close().await;
    let (told, found) = (told?, found?);
    found.check()?;
    if told.orders == 0 {
        bail!("nothing happened in {days} days");
    }
    draft.finish().await?;
    Ok((told, found))
}
