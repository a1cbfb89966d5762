//! `stock`: orders that take their goods from stock, as a shop with 100,000 products and 200,000 orders has them, beside loops
//! of the same statements; everybody buying the same product; and finding a product.

mod shop;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use kit::identity::Role;

use self::shop::{Shop, fill_postgres, fill_sqlite};
use crate::load::{self, Load};
use crate::measure::{Sample, median};
use crate::orders::{RawLoop, Statements, place, requests, rows_an_order, server_cpu};
use crate::people::{Person, settle_sqlite};
use crate::placement::Placement;
use crate::postgres::{Database, find_server};
use crate::report::{Report, Row, Target};
use crate::setup::Setup;
use crate::site::{Site, token};
use crate::wire::Request;

const CLIENTS: usize = 64;

/// Under which a person takes an answer for instant, and a list for part of typing: in milliseconds.
const SEARCH_LIMIT: f64 = 5.0;

pub(crate) async fn measure(setup: &Setup, report: &mut Report<impl Write>) -> Result<()> {
    let shop = Shop::new(setup.options.quick);
    on_sqlite(setup, report, &shop).await?;
    let Some(server) = find_server(setup, report, "stock on PostgreSQL").await? else { return Ok(()) };
    on_postgres(setup, report, &server, &shop).await
}

/// What is ordered: one to three products by chance; one by chance; always the same one.
struct Wishes {
    mixed: Arc<[Placement]>,
    any: Arc<[Placement]>,
    hot: Arc<[Placement]>,
}

impl Wishes {
    fn new(shop: &Shop) -> Self {
        let mut random = Rng::with_seed(5);
        Self {
            mixed: (0..20_000).map(|_| shop.placement(&mut random, 1..=3)).collect(),
            any: (0..20_000).map(|_| shop.placement(&mut random, 1..=1)).collect(),
            hot: (0..100).map(|_| shop.hot_placement()).collect(),
        }
    }
}

async fn on_sqlite(setup: &Setup, report: &mut Report<impl Write>, shop: &Shop) -> Result<()> {
    report.note(&format!(
        "filling a database with {} products and {} orders ...",
        shop.products(),
        shop.orders()
    ))?;
    let (site, floor, staff) = (Site::new(setup)?, Site::new(setup)?, Person::new(Role::Staff));
    site.migrate()?;
    settle_sqlite(&site.database(), std::slice::from_ref(&staff))?;
    fill_sqlite(&site.database(), shop)?;
    floor.migrate()?;
    std::fs::copy(site.database(), floor.database())?;
    let before = rows_an_order(&floor.database())?;
    let mut raw_loop = RawLoop::open(&floor.database())?;
    let program = site.start().await?;
    let (wishes, staff) = (Wishes::new(shop), staff.token()?);
    let all = [&wishes.mixed, &wishes.any, &wishes.hot].map(|wishes| requests(wishes, &staff));
    let (mut ours, mut raw) = ([Vec::new(), Vec::new(), Vec::new()], Vec::new());
    for _ in 0..setup.rounds() {
        for (requests, samples) in all.iter().zip(&mut ours) {
            samples.push(place(setup, site.ports.gateway, CLIENTS, requests, || program.cpu()).await?);
        }
        raw.push(raw_loop.run(&wishes.mixed, setup.seconds())?);
    }
    let [mixed, any, hot] = ours.map(|rounds| median(&rounds));
    let raw = median(&raw);
    let ratio = mixed.rate / raw.rate;
    report.judge("stock orders on SQLite at 64 clients, of the raw loop", ratio, "", Target::AtLeast(0.75));
    report.judge("stock orders on SQLite at 64 clients, a second", mixed.rate, "", Target::AtLeast(6000.0));
    let rows = [
        Row::new("storehouse, 1 to 3 products of many", &mixed).ratio(ratio, "of the raw loop"),
        Row::new("raw loop: rusqlite, 100 in a transaction, FULL", &raw),
    ];
    report.table("stock orders, SQLite, 64 clients", &rows)?;
    report.note(&format!("rows an order: {}; before {before}", rows_an_order(&site.database())?))?;
    tell_hot(report, "SQLite", &any, &hot)?;
    search(setup, report, "SQLite", (&site, &staff), || program.cpu()).await
}

/// A product that everybody wants, beside many products.
fn tell_hot(report: &mut Report<impl Write>, engine: &str, any: &Sample, hot: &Sample) -> Result<()> {
    let ratio = hot.rate / any.rate;
    report.judge(&format!("one hot product on {engine}, of many products"), ratio, "", Target::AtLeast(1.0));
    let rows = [
        Row::new("one product of many by chance", any),
        Row::new("always the same product", hot).ratio(ratio, "of many"),
    ];
    Ok(report.table(&format!("a hot product, {engine}, 64 clients"), &rows)?)
}

/// Searches of one client, who waits for each.
async fn search(
    setup: &Setup,
    report: &mut Report<impl Write>,
    engine: &str,
    ask: (&Site, &str),
    cpu: impl Fn() -> Result<Duration>,
) -> Result<()> {
    let ((site, staff), mut rows) = (ask, Vec::new());
    for (what, query) in shop::QUERIES {
        let request = Request::get(&format!("/products?limit=20&q={query}")).token(staff).bytes();
        let load = Load::new(site.ports.gateway, 1, vec![request]);
        let mut samples = Vec::new();
        for _ in 0..setup.rounds() {
            samples.push(load::run(&load, setup.seconds() / 2.0, &cpu).await?);
        }
        let sample = median(&samples);
        if let Some(p50) = sample.p50 {
            report.judge(&format!("search on {engine}, {what}"), p50, "ms", Target::AtMost(SEARCH_LIMIT));
        }
        rows.push(Row::new(&format!("{what}: {query}"), &sample));
    }
    Ok(report.table(&format!("finding a product, {engine}, 1 client"), &rows)?)
}

async fn on_postgres(
    setup: &Setup,
    report: &mut Report<impl Write>,
    server: &Database,
    shop: &Shop,
) -> Result<()> {
    let (database, floor) = (server.create("ours").await?, server.create("floor").await?);
    let postmaster = server.postmaster().await?;
    let mut site = Site::new(setup)?;
    site.set("DATABASE_URL", &floor.url);
    site.migrate()?;
    fill_postgres(&floor, shop).await?;
    site.set("DATABASE_URL", &database.url);
    let program = site.start().await?;
    let admin = token(&site.register("boss").await?)?;
    fill_postgres(&database, shop).await?;
    let wishes = Wishes::new(shop);
    let all = [&wishes.mixed, &wishes.any, &wishes.hot].map(|wishes| requests(wishes, &admin));
    let (mut ours, mut raw) = ([Vec::new(), Vec::new(), Vec::new()], Vec::new());
    // The program and the server do the work together, so both count.
    let cpu = || Ok(program.cpu()? + server_cpu(postmaster)?);
    for _ in 0..setup.rounds() {
        for (requests, samples) in all.iter().zip(&mut ours) {
            samples.push(place(setup, site.ports.gateway, CLIENTS, requests, cpu).await?);
        }
        raw.push(Statements::run(&floor.url, postmaster, &wishes.mixed, setup.seconds())?);
    }
    let [mixed, any, hot] = ours.map(|rounds| median(&rounds));
    let raw = median(&raw);
    let ratio = mixed.rate / raw.rate;
    report.judge("stock orders on PostgreSQL at 64 clients, of the loop", ratio, "", Target::AtLeast(1.5));
    let rows = [
        Row::new("storehouse, 1 to 3 products of many", &mixed).ratio(ratio, "of the loop"),
        Row::new("statement by statement, 16 connections", &raw),
    ];
    report.table("stock orders, PostgreSQL (its processes counted in), 64 clients", &rows)?;
    tell_hot(report, "PostgreSQL", &any, &hot)?;
    search(setup, report, "PostgreSQL", (&site, &admin), cpu).await
}
