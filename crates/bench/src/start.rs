//! `start`: how soon the program answers, what it holds when idle, and its size.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::time::sleep;

use crate::measure::middle;
use crate::report::{Report, Target};
use crate::setup::Setup;
use crate::site::Site;
use crate::wire::{Request, status};

const STARTS: usize = 10;

/// Until what a start leaves behind has settled.
const SETTLED: Duration = Duration::from_secs(3);

#[expect(clippy::cast_precision_loss, reason = "a binary is far below 2^52 bytes")]
pub(crate) async fn measure(setup: &Setup, report: &mut Report<impl Write>) -> Result<()> {
    let (mut fresh, mut existing) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let site = Site::new(setup)?;
        fresh.push(start(&site).await?);
        existing.push(start(&site).await?);
    }
    let site = Site::new(setup)?;
    let program = site.start().await?;
    sleep(SETTLED).await;
    let figures = [
        ("start to first answer, fresh data folder", middle(fresh).context("no start")?, "ms", 50.0),
        ("start to first answer, existing data folder", middle(existing).context("no start")?, "ms", 50.0),
        ("resident memory, idle", program.memory("VmRSS")?, "MiB", 30.0),
        ("release binary", fs::metadata(&setup.program)?.len() as f64 / 1e6, "MB", 30.0),
    ];
    report.title("start")?;
    for (what, figure, unit, bound) in figures {
        report.note(&format!("{what:<44} {figure:>8.1} {unit}"))?;
        report.judge(what, figure, unit, Target::AtMost(bound));
    }
    Ok(())
}

/// Milliseconds to the first answer of the gateway.
async fn start(site: &Site) -> Result<f64> {
    let begun = Instant::now();
    let mut program = site.spawn(&["serve"])?;
    let answers = async || status(site.ports.gateway, Request::get("/health")).await == Some(200);
    program.wait_until(answers).await?;
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    program.stop().await?;
    Ok(took)
}
