//! Linearizability (R11): what many clients are told of a product and its orders, over real connections to the real program, is what
//! one client would have been told who did all of it one by one, each between its call and its answer.
//!
//! A round is a few products of its own. Now and then a client gives up before its answer has come; in every second round a process is killed and
//! started again in the midst of it. An ordinary run does two rounds, `STOREHOUSE_ROUNDS=50 cargo test --release --test it linearizability` is the full run.

mod checker;
mod checks;
mod clients;
mod shelf;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use self::checker::{Operation, check};
use self::clients::live;
use self::shelf::Shelf;
use crate::harness::goods::check_stock;
use crate::harness::{PASSWORD, Random, Site, Storehouse, TestDatabase, each_engine, eventually, say};

const CLIENTS: usize = 8;
const PRODUCTS: usize = 3;
/// Of each client in a round.
const OPERATIONS: usize = 60;
/// Of each product when a round begins: so little that orders come too short.
const AT_FIRST: i64 = 4;

/// A product, what was done to it, and the orders for it.
struct Product {
    id: String,
    sku: String,
    history: RefCell<Vec<Operation>>,
    /// By number, the path of those that are known to be placed.
    orders: RefCell<Vec<Option<String>>>,
    /// As somebody saw it last, for whoever sets it only if it is still so.
    on_hand: Cell<i64>,
}

/// What the clients of a round share.
struct Stage<'a> {
    token: &'a str,
    /// The gateways; another stands in the place of one that was killed.
    doors: RefCell<Vec<SocketAddr>>,
    products: Vec<Product>,
    /// Never says the same twice.
    clock: Cell<u64>,
}

impl Stage<'_> {
    fn now(&self) -> u64 {
        self.clock.replace(self.clock.get() + 1)
    }
}

/// How many rounds, and whether to say what came of them.
fn rounds() -> (usize, bool) {
    crate::crash::rounds()
}

async fn new_product(process: &Storehouse, token: &str, sku: String) -> Product {
    let mut wire = process.connect().await.with_token(token);
    let body = json!({"sku": sku, "name": "Thing", "unit_price": 1});
    let made: Value = wire.post("/products", &body).await.unwrap().expect(201).json();
    let body = json!({"sku": sku, "kind": "receive", "quantity": AT_FIRST});
    wire.post("/stock/adjustments", &body).await.unwrap().expect(201);
    Product {
        id: made["id"].as_str().unwrap().to_owned(),
        sku,
        history: RefCell::default(),
        orders: RefCell::default(),
        on_hand: Cell::new(AT_FIRST),
    }
}

/// Kills one of the processes when half is done, and starts it again.
async fn kill_one(stage: &Stage<'_>, site: &Site, processes: &mut [Storehouse], victim: usize) {
    let half = u64::try_from(CLIENTS * OPERATIONS).unwrap();
    eventually("half of it is done", async || stage.clock.get() >= half).await;
    processes[victim].kill();
    processes[victim] = site.start().await;
    stage.doors.borrow_mut()[victim] = processes[victim].gateway();
}

/// Lets clients do what they like, and gives how many operations there were, and how many of them without an answer.
async fn play(
    site: &Site,
    processes: &mut [Storehouse],
    token: &str,
    round: usize,
    random: &mut Random,
) -> [usize; 2] {
    let mut products = Vec::new();
    for number in 0..PRODUCTS {
        products.push(new_product(&processes[0], token, format!("R{round}-{number}")).await);
    }
    let doors = RefCell::new(processes.iter().map(Storehouse::gateway).collect());
    let stage = &Stage { token, doors, products, clock: Cell::new(0) };
    let seeds: Vec<u64> = (0..CLIENTS).map(|_| random.next()).collect();
    let clients = join_all(seeds.into_iter().enumerate().map(|(client, seed)| live(stage, client, seed)));
    let victim = (round / 2) % processes.len();
    if round % 2 == 1 {
        join(clients, kill_one(stage, site, processes, victim)).await;
    } else {
        clients.await;
    }
    let histories = stage.products.iter().map(|product| product.history.borrow());
    histories.fold([0, 0], |[all, untold], history| {
        if let Err(unexplained) = check(&Shelf::with(AT_FIRST), &history) {
            panic!("no order of events explains what the clients were told in round {round}: {unexplained}");
        }
        [all + history.len(), untold + history.iter().filter(|operation| operation.answer.is_none()).count()]
    })
}

/// As many processes as that on one database, and clients at each of them.
async fn play_rounds(database: &TestDatabase, count: usize) {
    let (site, mut random) = (Site::new(Some(database.url())), Random::new());
    let mut processes = Vec::new();
    for _ in 0..count {
        processes.push(site.start().await);
    }
    processes[0].connect().await.register("boss").await;
    let (mut all, mut untold) = (0, 0);
    for round in 0..rounds().0 {
        // A token is not good for as long as the full run takes.
        let login = json!({"email": "boss@example.com", "password": PASSWORD});
        let token =
            processes[0].connect().await.post("/auth/login", &login).await.unwrap().expect(200).json();
        let token = token["token"].as_str().unwrap();
        let found = play(&site, &mut processes, token, round, &mut random).await;
        (all, untold) = (all + found[0], untold + found[1]);
    }
    drop(processes);
    let db = database.open().await;
    check_stock(&db).await;
    db.close().await;
    if rounds().1 {
        let engine = database.engine;
        let rounds = rounds().0;
        say(&format!(
            "{count} on {engine}: {rounds} rounds, {all} operations, {untold} of them without an answer, all explained"
        ));
    }
}

#[tokio::test]
async fn r11_what_clients_are_told_has_one_order() {
    each_engine(&[], async |database| play_rounds(database, 1).await).await;
}

#[tokio::test]
async fn r11_two_processes_on_one_database_are_as_one() {
    if let Some(database) = TestDatabase::on_postgres(&[]).await {
        play_rounds(&database, 2).await;
    }
}
