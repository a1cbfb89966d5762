//! Measures the release binary beside the floors and peers that it is compared with, and says which targets it meets;
//! it never fails for a slow figure. `docs/performance.md` tells what each line means.
//!
//! Files in reading order: `setup` (options), `site` and `program` (the measured system and its processes), `wire` and
//! `load` (the load generator), `measure` and `report` (figures and the table), `people`, `placement`, `taking` and `filling` (data); then
//! one file for each line.

mod auditing;
mod checks;
mod csv;
mod filling;
mod gateway;
mod load;
mod logins;
mod measure;
mod orders;
mod people;
mod placement;
mod postgres;
mod program;
mod reads;
mod report;
mod restart;
mod series;
mod setup;
mod site;
mod start;
mod stock;
mod taking;
mod tell_apart;
mod wire;

use std::io;

use anyhow::Result;
use clap::Parser as _;

use crate::report::Report;
use crate::setup::{Line, Options, Setup};

fn main() -> Result<()> {
    // One thread, so that the load generator takes one core at most.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(Options::parse()))
}

async fn run(options: Options) -> Result<()> {
    if let Some(address) = options.as_backend {
        return Ok(gateway::backend::run(address).await?);
    }
    let setup = Setup::new(options)?;
    let mut report = Report::new(io::stdout());
    report.note(&format!("measuring {}", setup.program.display()))?;
    if setup.measures(Line::Orders) {
        orders::measure(&setup, &mut report).await?;
    }
    if setup.measures(Line::Stock) {
        stock::measure(&setup, &mut report).await?;
    }
    if setup.measures(Line::Csv) {
        csv::measure(&setup, &mut report).await?;
    }
    if setup.measures(Line::Reads) {
        reads::measure(&setup, &mut report).await?;
    }
    if setup.measures(Line::Gateway) {
        gateway::measure(&setup, &mut report).await?;
    }
    if setup.measures(Line::Logins) {
        logins::measure(&setup, &mut report).await?;
    }
    if setup.measures(Line::Series) {
        series::measure(&setup, &mut report).await?;
    }
    if setup.measures(Line::Restart) {
        restart::measure(&setup, &mut report).await?;
    }
    if setup.measures(Line::Checks) {
        checks::measure(&setup, &mut report).await?;
    }
    if setup.measures(Line::Start) {
        start::measure(&setup, &mut report).await?;
    }
    report.finish()
}
