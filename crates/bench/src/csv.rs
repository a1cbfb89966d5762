//! `csv`: a catalogue of 100,000 products, changes of them all and a count of each come in as files and go out again, through a service's port; what the
//! process holds meanwhile; and how long somebody waits who changes other stock while the counts are stored.

use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::{Either, select};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::measure::middle;
use crate::postgres::find_server;
use crate::report::{Report, Target};
use crate::setup::Setup;
use crate::site::{Site, token};
use crate::wire::{Request, Wire, call};

/// What a person who imports a catalogue takes for soon: 100,000 rows in ten seconds; and who is kept waiting by it.
const ROWS_A_SECOND: f64 = 10_000.0;
const EXPORTED_A_SECOND: f64 = 50_000.0;
const LONGEST_WAIT: f64 = 10.0;
/// What a process may hold that sends a file of any length.
const EXPORT_MIB: f64 = 64.0;

/// How long is waited between two changes of other stock.
const PAUSE: Duration = Duration::from_millis(20);

/// What a chunked body ends with.
const END: &[u8] = b"\r\n0\r\n\r\n";

/// What is imported and exported, in the order in which it is done.
const FILES: [(&str, &str, Direction); 6] = [
    ("products in", "/products/import", Direction::In),
    ("products changed", "/products/import", Direction::In),
    ("counts in", "/stock/import", Direction::In),
    ("products out", "/products.csv", Direction::Out),
    ("levels out", "/stock.csv", Direction::Out),
    ("ledger out", "/stock/movements.csv", Direction::Out),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// One time through all of it.
#[derive(Default)]
struct Round {
    /// For each file.
    seconds: Vec<f64>,
    /// The longest that a change of other stock took while counts came in, in seconds.
    longest_wait: f64,
    /// In MiB: when nothing was done yet, at most while files came in, and in a new process while they went out.
    idle: f64,
    peak_in: f64,
    peak_out: f64,
}

pub(crate) async fn measure(setup: &Setup, report: &mut Report<impl Write>) -> Result<()> {
    let rows = if setup.options.quick { 20_000 } else { 100_000 };
    let mut rounds = Vec::new();
    for _ in 0..setup.rounds() {
        rounds.push(one_round(&Site::new(setup)?, rows).await?);
    }
    tell(report, "SQLite", rows, &rounds)?;
    let Some(server) = find_server(setup, report, "files on PostgreSQL").await? else { return Ok(()) };
    let mut rounds = Vec::new();
    for _ in 0..setup.rounds() {
        let (database, mut site) = (server.create("files").await?, Site::new(setup)?);
        site.set("DATABASE_URL", &database.url);
        rounds.push(one_round(&site, rows).await?);
    }
    tell(report, "PostgreSQL", rows, &rounds)
}

async fn one_round(site: &Site, rows: usize) -> Result<Round> {
    let mut program = site.start().await?;
    let token = token(&site.register("boss").await?)?;
    let address = site.ports.inventory;
    let other = json!({"sku": "OTHER", "name": "Other", "unit_price": 1});
    call(address, Request::post("/products", &other).token(&token)).await?;
    let mut round = Round { idle: program.memory("VmRSS")?, ..Round::default() };
    for revision in 0..2 {
        let products = products(rows, revision)?;
        round.seconds.push(import(address, "/products/import", &products, &token).await?);
    }
    let counts = counts(rows)?;
    let importing = Box::pin(import(address, "/stock/import", &counts, &token));
    let (seconds, longest_wait) = beside(importing, address, &token).await?;
    round.seconds.push(seconds);
    round.longest_wait = longest_wait;
    round.peak_in = program.memory("VmHWM")?;
    program.stop().await?;
    let program = site.start().await?;
    for (_, path, _) in FILES.iter().filter(|(.., direction)| *direction == Direction::Out) {
        round.seconds.push(export(address, path, &token).await?);
    }
    round.peak_out = program.memory("VmHWM")?;
    Ok(round)
}

/// Another revision changes each product's name, and so its words, category, price and reorder point.
fn products(rows: usize, revision: usize) -> Result<String> {
    let mut file =
        "sku,name,description,barcode,category,unit_price,unit_cost,reorder_point,attributes\n".to_owned();
    for row in 0..rows {
        let (price, cost) = (row % 9_999 + 100 + revision, row % 4_999 + 50);
        let (kind, point) = ((row + revision) % 40, (row + revision) % 10);
        writeln!(
            file,
            "SKU-{row:06},Thing number {row} of kind {kind},A thing that is sold by the piece,{},Kind {kind},{}.{:02},{}.{:02},{},\"{{\"\"size\"\": {}}}\"",
            4_000_000_000_000 + row,
            price / 100,
            price % 100,
            cost / 100,
            cost % 100,
            point,
            row % 7
        )?;
    }
    Ok(file)
}

fn counts(rows: usize) -> Result<String> {
    let mut file = "sku,on_hand\n".to_owned();
    for row in 0..rows {
        writeln!(file, "SKU-{row:06},{}", row % 500 + 1)?;
    }
    Ok(file)
}

/// Seconds until it is stored.
async fn import(address: SocketAddr, path: &str, file: &str, token: &str) -> Result<f64> {
    let head = Request::new("localhost", "POST", path).token(token).header("Content-Type", "text/csv");
    let mut request = head.header("Content-Length", &file.len().to_string()).bytes();
    request.extend_from_slice(file.as_bytes());
    let (mut wire, begun) = (Wire::connect(address).await?, Instant::now());
    let status = wire.exchange(&request).await?;
    ensure!(status == 200, "{path} answered {status}: {}", String::from_utf8_lossy(wire.body()));
    Ok(begun.elapsed().as_secs_f64())
}

/// Seconds until the last byte has come.
async fn export(address: SocketAddr, path: &str, token: &str) -> Result<f64> {
    let (mut stream, begun) = (TcpStream::connect(address).await?, Instant::now());
    stream.write_all(&Request::get(path).token(token).bytes()).await?;
    let (mut buffer, mut last) = (vec![0; 64 * 1024], Vec::new());
    while !last.ends_with(END) {
        let count = stream.read(&mut buffer).await?;
        ensure!(count > 0, "{path} broke off");
        if last.is_empty() {
            ensure!(buffer.starts_with(b"HTTP/1.1 200"), "{path} was refused");
        }
        last.extend_from_slice(buffer.get(..count).unwrap_or_default());
        last.drain(..last.len().saturating_sub(END.len()));
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// Changes other stock again and again until the import is done; tells how long that took and the longest of the changes.
async fn beside(
    mut importing: std::pin::Pin<Box<impl Future<Output = Result<f64>>>>,
    address: SocketAddr,
    token: &str,
) -> Result<(f64, f64)> {
    let body = json!({"sku": "OTHER", "kind": "receive", "quantity": 1});
    let (request, mut longest) = (Request::post("/stock/adjustments", &body).token(token).bytes(), 0.0_f64);
    let mut wire = Wire::connect(address).await?;
    loop {
        let begun = Instant::now();
        let changing = Box::pin(async {
            wire.exchange(&request).await?;
            let took = begun.elapsed().as_secs_f64();
            sleep(PAUSE).await;
            anyhow::Ok(took)
        });
        match select(importing, changing).await {
            Either::Left((seconds, changing)) => {
                // It waits for the import, so its end counts.
                return Ok((seconds?, longest.max(changing.await?)));
            }
            Either::Right((took, unfinished)) => {
                longest = longest.max(took?);
                importing = unfinished;
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a file has far fewer than 2^52 rows")]
fn tell(report: &mut Report<impl Write>, engine: &str, rows: usize, rounds: &[Round]) -> Result<()> {
    report.title(&format!("files of {rows} rows, {engine}"))?;
    let of = |figure: &dyn Fn(&Round) -> f64| middle(rounds.iter().map(figure).collect()).context("no round");
    for (index, (what, _, direction)) in FILES.iter().enumerate() {
        let seconds = of(&|round| round.seconds.get(index).copied().unwrap_or(f64::INFINITY))?;
        let rate = rows as f64 / seconds;
        report.note(&format!("{what:<40} {rate:>9.0} rows/s {seconds:>8.2} s"))?;
        let target = if *direction == Direction::In { ROWS_A_SECOND } else { EXPORTED_A_SECOND };
        report.judge(&format!("{what} on {engine}, rows a second"), rate, "", Target::AtLeast(target));
    }
    let wait = of(&|round| round.longest_wait)?;
    report.note(&format!("{:<40} {wait:>8.2} s", "longest wait of a change of other stock"))?;
    report.judge(&format!("longest wait beside counts on {engine}"), wait, "s", Target::AtMost(LONGEST_WAIT));
    let (idle, peak_in, peak_out) =
        (of(&|round| round.idle)?, of(&|round| round.peak_in)?, of(&|round| round.peak_out)?);
    let memory =
        format!("memory {idle:.1} MiB idle, {peak_in:.1} at most for files in, {peak_out:.1} for files out");
    report.note(&memory)?;
    report.judge(&format!("memory for files out on {engine}"), peak_out, "MiB", Target::AtMost(EXPORT_MIB));
    Ok(())
}
