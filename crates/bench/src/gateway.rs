//! `gateway`: the gateway as a proxy before a fixed backend, and in one process with the services, beside HAProxy with
//! the same policies before the same backend. CPU time a request is what is compared; the backend's doesn't count.

pub(crate) mod backend;
mod haproxy;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Result, ensure};
use kit::identity::Role;

use self::haproxy::HaProxy;
use crate::load::{self, Load};
use crate::measure::{Sample, median};
use crate::people::{Person, settle_sqlite};
use crate::program::Program;
use crate::report::{Report, Row, Target};
use crate::setup::{Setup, free_ports};
use crate::site::Site;
use crate::wire::{Request, status};

const TITLE: &str = "gateway, 64 clients, 1000 tokens";

const CLIENTS: usize = 64;

/// Different tokens, as of as many clients.
const PEOPLE: usize = 1000;

const PROXIED: &str = "/orders/42";

/// The cheapest endpoint of a real service; its answer, the token's claims, is about as long as the backend's.
const IN_PROCESS: &str = "/auth/validate";

pub(crate) async fn measure(setup: &Setup, report: &mut Report<impl Write>) -> Result<()> {
    let people: Vec<Person> = (0..PEOPLE).map(|_| Person::new(Role::Customer)).collect();
    let folder = setup.folder()?;
    let (backend, _backend) = start_backend(&folder.path().join("log")).await?;
    let proxy = Contestant::proxy(setup, backend, &people).await?;
    let all_in_one = Contestant::all_in_one(setup, &people).await?;
    let haproxy = HaProxy::start(setup, backend).await;
    let peers = haproxy.as_ref().ok().map(|haproxy| haproxy.address);
    for address in [proxy.load.address].into_iter().chain(peers) {
        check_policies(address, &people).await?;
    }
    let (mut ours, mut inside, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setup.rounds() {
        ours.push(load::run(&proxy.load, setup.seconds(), &|| proxy.program.cpu()).await?);
        if let Ok(haproxy) = &haproxy {
            let load = Load { address: haproxy.address, ..proxy.load.clone() };
            theirs.push(load::run(&load, setup.seconds(), &|| haproxy.program.cpu()).await?);
        }
        inside.push(load::run(&all_in_one.load, setup.seconds(), &|| all_in_one.program.cpu()).await?);
    }
    let (ours, inside) = (median(&ours), median(&inside));
    let rows = [
        Row::new("storehouse serve gateway, before a backend", &ours),
        Row::new("storehouse in one process, GET /auth/validate", &inside),
    ];
    match haproxy {
        Ok(haproxy) => tell(report, haproxy.threads, [&ours, &inside], rows, &median(&theirs)),
        Err(error) => {
            report.table(TITLE, &rows)?;
            let why =
                format!("no HAProxy ({error:#}): apt-get install haproxy, or name its binary with --haproxy");
            Ok(report.skip("the gateway beside HAProxy", &why)?)
        }
    }
}

/// The proxy and all in one process, beside the peer.
fn tell(
    report: &mut Report<impl Write>,
    threads: usize,
    ours: [&Sample; 2],
    rows: [Row; 2],
    theirs: &Sample,
) -> Result<()> {
    let cpu = |sample: &Sample| sample.server_cpu.unwrap_or_default();
    let [proxy, inside] = ours.map(|sample| cpu(sample) / cpu(theirs).max(f64::MIN_POSITIVE));
    report.judge("the gateway as a proxy, of HAProxy's CPU a request", proxy, "", Target::AtMost(0.67));
    report.judge("the gateway in one process, of HAProxy's CPU a request", inside, "", Target::AtMost(0.4));
    let [proxy_row, inside_row] = rows;
    let rows = [
        proxy_row.ratio(proxy, "of its CPU a request"),
        inside_row.ratio(inside, "of its CPU a request"),
        Row::new(&format!("HAProxy, {threads} threads, before the same"), theirs),
    ];
    Ok(report.table(TITLE, &rows)?)
}

/// A system with what is asked of it.
struct Contestant {
    program: Program,
    load: Load,
    _site: Site,
}

impl Contestant {
    /// The gateway alone; without a database it checks each token's signature and times, which is what HAProxy does.
    async fn proxy(setup: &Setup, backend: SocketAddr, people: &[Person]) -> Result<Self> {
        let mut site = Site::new(setup)?;
        site.route(&[("/orders", &[backend])])?;
        let program = site.start_part(&["serve", "gateway"], site.ports.gateway).await?;
        let load = Load::new(site.ports.gateway, CLIENTS, requests(PROXIED, people)?);
        Ok(Self { program, load, _site: site })
    }

    async fn all_in_one(setup: &Setup, people: &[Person]) -> Result<Self> {
        let site = Site::new(setup)?;
        site.migrate()?;
        settle_sqlite(&site.database(), people)?;
        let program = site.start().await?;
        let load = Load::new(site.ports.gateway, CLIENTS, requests(IN_PROCESS, people)?);
        Ok(Self { program, load, _site: site })
    }
}

fn requests(path: &str, people: &[Person]) -> Result<Arc<[Vec<u8>]>> {
    people.iter().map(|person| Ok(Request::get(path).token(&person.token()?).bytes())).collect()
}

/// The backend is a process of its own, so that its CPU time is neither the gateway's nor the load generator's.
async fn start_backend(log: &Path) -> Result<(SocketAddr, Program)> {
    let [address] = free_ports()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--as-backend", &address.to_string()]);
    let mut program = Program::start(command, log)?;
    program.wait_until(async || status(address, Request::get("/")).await == Some(200)).await?;
    Ok((address, program))
}

/// Both must let good tokens through, and only those.
async fn check_policies(address: SocketAddr, people: &[Person]) -> Result<()> {
    let Some(person) = people.first() else { return Ok(()) };
    let token = person.token()?;
    let forged = format!("{}AAAA", token.get(..token.len() - 4).unwrap_or_default());
    let expected = [
        (Request::get(PROXIED).token(&token), 200),
        (Request::get(PROXIED).token(&forged), 401),
        (Request::get(PROXIED), 401),
        (Request::get("/elsewhere").token(&token), 404),
    ];
    for (number, (request, wanted)) in expected.into_iter().enumerate() {
        let found = status(address, request).await;
        ensure!(found == Some(wanted), "policy {number} at {address}: {found:?} instead of {wanted}");
    }
    Ok(())
}
