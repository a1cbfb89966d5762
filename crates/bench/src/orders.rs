//! `orders`: durable placement through HTTP and the gateway, all in one process, beside loops of the same statements
//! that have no HTTP, no token and no JSON.

mod postgres;
mod sqlite;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use kit::identity::Role;

use crate::load::{self, Load};
use crate::measure::{Sample, median};
use crate::people::{Person, settle_sqlite};
use crate::placement::{Placement, placements};
use crate::postgres::{Database, find_server};
use crate::report::{Report, Row, Target};
use crate::setup::Setup;
use crate::site::{Site, token};
use crate::wire::Request;

pub(crate) use self::postgres::{Statements, server_cpu};
pub(crate) use self::sqlite::{RawLoop, SEALED_EVERY, TABLES, rows_an_order, rows_text};

const CLIENTS: [usize; 4] = [1, 16, 64, 256];

/// The number of clients that the targets speak of.
const TARGET_CLIENTS: usize = 64;

pub(crate) async fn measure(setup: &Setup, report: &mut Report<impl Write>) -> Result<()> {
    let placements: Arc<[Placement]> = placements(20_000).into();
    on_sqlite(setup, report, &placements).await?;
    let Some(server) = find_server(setup, report, "orders on PostgreSQL").await? else { return Ok(()) };
    on_postgres(setup, report, &server, &placements).await
}

pub(crate) fn requests(placements: &[Placement], token: &str) -> Arc<[Vec<u8>]> {
    let request = |placement: &Placement| Request::post("/orders", &placement.body()).token(token).bytes();
    placements.iter().map(request).collect()
}

pub(crate) async fn place(
    setup: &Setup,
    address: SocketAddr,
    clients: usize,
    requests: &Arc<[Vec<u8>]>,
    cpu: impl Fn() -> Result<Duration>,
) -> Result<Sample> {
    load::run(&Load::new(address, clients, Arc::clone(requests)), setup.seconds(), &cpu).await
}

async fn on_sqlite(setup: &Setup, report: &mut Report<impl Write>, placements: &[Placement]) -> Result<()> {
    let (site, staff) = (Site::new(setup)?, Person::new(Role::Staff));
    site.migrate()?;
    settle_sqlite(&site.database(), std::slice::from_ref(&staff))?;
    let floor = Site::new(setup)?;
    floor.migrate()?;
    let mut raw_loop = RawLoop::open(&floor.database())?;
    let program = site.start().await?;
    let requests = requests(placements, &staff.token()?);
    let (mut ours, mut raw) = (vec![Vec::new(); CLIENTS.len()], Vec::new());
    for _ in 0..setup.rounds() {
        for (clients, samples) in CLIENTS.into_iter().zip(&mut ours) {
            samples.push(place(setup, site.ports.gateway, clients, &requests, || program.cpu()).await?);
        }
        raw.push(raw_loop.run(placements, setup.seconds())?);
    }
    tell_sqlite(report, &ours, &median(&raw))?;
    let (placed, looped) = (rows_an_order(&site.database())?, rows_an_order(&floor.database())?);
    Ok(report.note(&format!("rows an order: {placed}; in the raw loop {looped}"))?)
}

fn tell_sqlite(report: &mut Report<impl Write>, ours: &[Vec<Sample>], raw: &Sample) -> Result<()> {
    let mut rows = Vec::new();
    for (clients, samples) in CLIENTS.into_iter().zip(ours) {
        let sample = median(samples);
        let ratio = sample.rate / raw.rate;
        let name = format!("storehouse, clients: {clients}");
        rows.push(Row::new(&name, &sample).ratio(ratio, "of the raw loop"));
        if clients == TARGET_CLIENTS {
            report.judge("orders on SQLite at 64 clients, of the raw loop", ratio, "", Target::AtLeast(0.75));
        }
    }
    rows.push(Row::new("raw loop: rusqlite, 100 in a transaction, FULL", raw));
    Ok(report.table("orders, SQLite, each on the disk before its answer", &rows)?)
}

async fn on_postgres(
    setup: &Setup,
    report: &mut Report<impl Write>,
    server: &Database,
    placements: &Arc<[Placement]>,
) -> Result<()> {
    let (database, floor) = (server.create("ours").await?, server.create("floor").await?);
    let postmaster = server.postmaster().await?;
    let mut site = Site::new(setup)?;
    site.set("DATABASE_URL", &floor.url);
    site.migrate()?;
    site.set("DATABASE_URL", &database.url);
    let program = site.start().await?;
    let admin = token(&site.register("boss").await?)?;
    let requests = requests(placements, &admin);
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..setup.rounds() {
        // The program and the server do the work together, so both count.
        let cpu = || Ok(program.cpu()? + server_cpu(postmaster)?);
        ours.push(place(setup, site.ports.gateway, TARGET_CLIENTS, &requests, cpu).await?);
        raw.push(Statements::run(&floor.url, postmaster, placements, setup.seconds())?);
    }
    let (ours, raw) = (median(&ours), median(&raw));
    let ratio = ours.rate / raw.rate;
    report.judge("orders on PostgreSQL at 64 clients, of the loop", ratio, "", Target::AtLeast(1.5));
    let rows = [
        Row::new("storehouse, 64 clients", &ours).ratio(ratio, "of the loop"),
        Row::new("statement by statement, 16 connections", &raw),
    ];
    report.table("orders, PostgreSQL (its processes counted in)", &rows)?;
    let (placed, looped) = (database.rows_an_order().await?, floor.rows_an_order().await?);
    report.note(&format!("rows an order: {placed}; in the loop {looped}"))?;
    Ok(())
}
