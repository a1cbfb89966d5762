//! `series`: what a scanner does to the metrics. Paths, methods and hosts are any client's choice, so none of them may
//! make a series of its own.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use fastrand::Rng;

use crate::load::send_all;
use crate::report::{Report, Target};
use crate::setup::Setup;
use crate::site::{Site, token};
use crate::wire::{Request, Wire};

const REQUESTS: usize = 100_000;
const CLIENTS: usize = 32;

pub(crate) async fn measure(setup: &Setup, report: &mut Report<impl Write>) -> Result<()> {
    let site = Site::new(setup)?;
    let program = site.start().await?;
    let token = token(&site.register("scanner").await?)?;
    let count = if setup.options.quick { REQUESTS / 10 } else { REQUESTS };
    report.title(&format!("series, {count} random paths, methods and hosts"))?;
    let mut random = Rng::with_seed(5);
    // As many go first, and a look at the metrics itself, so that what is made once for all isn't counted as growth.
    series(site.ports.gateway).await?;
    send_all(site.ports.gateway, CLIENTS, requests(&mut random, count, &token)).await?;
    let (before, held) = (series(site.ports.gateway).await?, program.memory("VmRSS")?);
    let answers = send_all(site.ports.gateway, CLIENTS, requests(&mut random, count, &token)).await?;
    let (after, holds) = (series(site.ports.gateway).await?, program.memory("VmRSS")?);
    report.note(&format!("answers by status: {answers:?} (0: none)"))?;
    report.note(&format!("memory {held:.1} MiB before, {holds:.1} after"))?;
    report.note(&format!("series {before} before, {after} after"))?;
    report.judge("series that random paths, methods and hosts make", after - before, "", Target::AtMost(0.0));
    report.judge("memory that they take", holds - held, "MiB", Target::AtMost(1.0));
    Ok(())
}

fn requests(random: &mut Rng, count: usize, token: &str) -> Vec<Vec<u8>> {
    (0..count).map(|_| request(random, token)).collect()
}

/// Half go to paths that lead to a service, half with a token; some methods are made up.
fn request(random: &mut Rng, token: &str) -> Vec<u8> {
    let word =
        |random: &mut Rng| std::iter::repeat_with(|| random.alphanumeric()).take(8).collect::<String>();
    let prefix = random.choice(["/orders", "/users", "/auth", "", "", ""]).unwrap_or_default();
    let path = format!("{prefix}/{}/{}", word(random), word(random));
    let known = random.choice(["GET", "GET", "PUT", "DELETE", "PATCH", "POST"]).unwrap_or("GET");
    let method = if random.u8(..) < 32 { word(random).to_uppercase() } else { known.to_owned() };
    let host = format!("{}.example.com", word(random));
    let request = Request::new(&host, &method, &path).header("Content-Length", "0");
    if random.bool() { request.token(token).bytes() } else { request.bytes() }
}

/// Lines of `/metrics` that are no comments.
async fn series(address: SocketAddr) -> Result<f64> {
    let mut wire = Wire::connect(address).await?;
    let status = wire.exchange(&Request::get("/metrics").bytes()).await?;
    ensure!(status == 200, "/metrics answered {status}");
    let text = String::from_utf8_lossy(wire.body()).into_owned();
    let count = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    Ok(u32::try_from(count)?.into())
}
