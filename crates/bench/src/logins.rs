//! `logins`: five hundred people log in at once, while others go on reading at a steady rate. Hashing a password is
//! made to be slow, so it must not make all else slow.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;

use anyhow::Result;
use rusqlite::Connection;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::load::{self, Load};
use crate::measure::median;
use crate::program::Program;
use crate::report::{Report, Row, Target};
use crate::setup::Setup;
use crate::site::{PASSWORD, Site, token};
use crate::tell_apart;
use crate::wire::Request;

const LOGINS: usize = 500;

/// Readers and their requests a second, all together: well below what one core serves.
const READERS: usize = 16;
const RATE: f64 = 1000.0;

/// What one running Argon2id hash takes.
const HASH_MIB: f64 = 19.0;

/// What a connection with its request takes.
const CONNECTION_MIB: f64 = 16.0 / 1024.0;

pub(crate) async fn measure(setup: &Setup, report: &mut Report<impl Write>) -> Result<()> {
    let mut site = Site::new(setup)?;
    // Each login comes from an address of its own, as through a balancer, so that no limit is met.
    site.set("TRUSTED_PROXIES", "127.0.0.1");
    let program = site.start().await?;
    let reader = token(&site.register("reader").await?)?;
    add_people(&site)?;
    let request = Request::get("/auth/validate").token(&reader).bytes();
    let load = Load { rate: Some(RATE), ..Load::new(site.ports.gateway, READERS, vec![request]) };
    let (mut before, mut during, mut answers) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut at_work = None;
    for _ in 0..setup.rounds() {
        before.push(load::run(&load, setup.seconds(), &|| program.cpu()).await?);
        at_work.get_or_insert(program.memory("VmHWM")?);
        let burst = log_in_all(site.ports.gateway);
        let (sample, counts) = load::run_until(&load, &|| program.cpu(), burst).await?;
        during.push(sample);
        for (status, count) in counts? {
            *answers.entry(status).or_insert(0) += count;
        }
    }
    let (before, during) = (median(&before), median(&during));
    let ratio = during.p99.unwrap_or_default() / before.p99.unwrap_or(f64::INFINITY);
    report.judge("p99 of other routes during 500 logins, times that before", ratio, "", Target::AtMost(2.0));
    let rows = [
        Row::new("GET /auth/validate, before", &before),
        Row::new("GET /auth/validate, during the logins", &during).ratio(ratio, "times the p99"),
    ];
    report.table("logins, 500 at once, beside 1000 reads a second", &rows)?;
    report.note(&format!("logins by status: {answers:?} (503: too many wait already; 0: no answer)"))?;
    tell_memory(report, &program, at_work.unwrap_or_default())?;
    tell_apart::measure(site.ports.gateway, report).await
}

/// What the logins take beside the reads: the hashes that run, and the connections that wait for one.
#[expect(clippy::cast_precision_loss, reason = "there are few cores, and connections")]
fn tell_memory(report: &mut Report<impl Write>, program: &Program, at_work: f64) -> Result<()> {
    let hashes = (std::thread::available_parallelism()?.get() - 1).max(1) as f64;
    let (peak, bound) = (program.memory("VmHWM")?, hashes * HASH_MIB + LOGINS as f64 * CONNECTION_MIB);
    let text = format!(
        "memory {at_work:.1} MiB before, {peak:.1} at most; {hashes} hashes at a time and {LOGINS} connections take {bound:.0}"
    );
    report.note(&text)?;
    report.judge(
        "memory that 500 logins take, of its bound",
        (peak - at_work) / bound,
        "",
        Target::AtMost(1.0),
    );
    Ok(())
}

fn email(number: usize) -> String {
    format!("person{number}@example.com")
}

/// Gives five hundred more the password of the one who registered.
fn add_people(site: &Site) -> Result<()> {
    let mut connection = Connection::open(site.database())?;
    let transaction = connection.transaction()?;
    for number in 0..LOGINS {
        let (id, email) = (kit::clock::new_id(), email(number));
        transaction
            .prepare_cached(
                "INSERT INTO accounts (id, email, email_key, username, username_key, role, password_hash, preferences,
                                       disabled, search, created_at, updated_at, version)
                 SELECT ?1, ?2, ?2, ?2, ?2, 'customer', password_hash, '{}', FALSE, '', created_at, updated_at, 1
                 FROM accounts WHERE username_key = 'reader'",
            )?
            .execute((id.as_bytes().as_slice(), email))?;
    }
    Ok(transaction.commit()?)
}

/// From a thread of its own, so that the readers' thread has nothing to do but read.
async fn log_in_all(address: SocketAddr) -> Result<BTreeMap<u16, u64>> {
    let request = |number: usize| {
        let from = format!("10.0.{}.{}", number / 250, number % 250 + 1);
        let body = json!({"email": email(number), "password": PASSWORD});
        Request::post("/auth/login", &body).header("X-Forwarded-For", &from).bytes()
    };
    let requests = (0..LOGINS).map(request).collect();
    let sending = spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(load::send_all(address, LOGINS, requests))
    });
    sending.await?
}
