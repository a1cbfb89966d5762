//! `restart`: clients place orders and read through the gateway, while the two copies of each service behind it are
//! stopped and started again in turn. A 502, 503 or 504 says that the request may be sent again, and it is, with its
//! `Idempotency-Key`; a connection that is lost says nothing, and counts as a fault.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use rusqlite::Connection;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::postgres::Database;
use crate::program::Program;
use crate::report::{Report, Target};
use crate::setup::{Setup, free_ports};
use crate::site::{Site, token};
use crate::wire::{Request, Wire};

const REQUESTS: usize = 100_000;
const CLIENTS: usize = 32;

/// One restart follows another after so long, so that the copy that came back has taken its share again.
const BETWEEN: Duration = Duration::from_secs(1);

/// What is read meanwhile: something of each service.
const READ: [&str; 4] = ["/orders?limit=1", "/users/me", "/auth/validate", "/products?limit=1"];

/// A request that is refused so often is given up.
const MAX_TRIES: usize = 100;

pub(crate) async fn measure(setup: &Setup, report: &mut Report<impl Write>) -> Result<()> {
    let (site, places) = lay_out(setup)?;
    let server = Database::server(&setup.options.postgres).await.ok();
    let database = match server {
        Some(server) => Some(server.create("restart").await?),
        None => None,
    };
    run(setup, report, site, places, database).await
}

/// Where each copy of each service listens.
type Places = [(&'static str, [SocketAddr; 2]); 4];

/// The gateway's file names both copies of each service.
fn lay_out(setup: &Setup) -> Result<(Site, Places)> {
    let mut site = Site::new(setup)?;
    let [auth, users, orders, inventory] = free_ports()?;
    let places = [
        ("auth", [site.ports.auth, auth]),
        ("users", [site.ports.users, users]),
        ("orders", [site.ports.orders, orders]),
        ("inventory", [site.ports.inventory, inventory]),
    ];
    let [(_, auth), (_, users), (_, orders), (_, inventory)] = &places;
    site.route(&[("/auth", auth), ("/users", users), ("/orders", orders), ("/products", inventory)])?;
    Ok((site, places))
}

/// A copy of a service.
struct Copy {
    service: &'static str,
    address: SocketAddr,
    program: Program,
}

/// First one copy of each, then the other, which is the order of restarts too.
async fn start_all(site: &Site, places: Places) -> Result<Vec<Copy>> {
    let mut copies = Vec::new();
    for number in 0..2 {
        for (service, addresses) in places {
            let address = addresses[number];
            copies.push(Copy { service, address, program: site.start_copy(service, address).await? });
        }
    }
    Ok(copies)
}

async fn run(
    setup: &Setup,
    report: &mut Report<impl Write>,
    mut site: Site,
    places: Places,
    database: Option<Database>,
) -> Result<()> {
    let on = if database.is_some() { "PostgreSQL" } else { "SQLite" };
    if let Some(database) = &database {
        site.set("DATABASE_URL", &database.url);
    }
    site.migrate()?;
    let mut copies = start_all(&site, places).await?;
    let _gateway = site.start_part(&["serve", "gateway"], site.ports.gateway).await?;
    let token = token(&site.register("boss").await?)?;
    let count = if setup.options.quick { REQUESTS / 10 } else { REQUESTS };
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client(site.ports.gateway, token.clone(), Arc::clone(&next), count));
    }
    let mut restarts = 0;
    while next.load(Ordering::Relaxed) < count {
        let number = restarts % copies.len();
        restart(&site, &mut copies[number]).await?;
        restarts += 1;
    }
    let mut seen = Seen::default();
    clients.join_all().await.into_iter().for_each(|other| seen.add(other));
    let stored = match &database {
        Some(database) => stored_in_postgres(database).await?,
        None => stored_in_sqlite(&site)?,
    };
    tell(report, &seen, &stored, restarts, on)
}

/// Stops a copy as a deployment does, and starts it again where it was.
async fn restart(site: &Site, copy: &mut Copy) -> Result<()> {
    sleep(BETWEEN).await;
    copy.program.stop().await?;
    copy.program = site.start_copy(copy.service, copy.address).await?;
    Ok(())
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    answered: u64,
    /// How often each of 502, 503 and 504 came.
    refused: BTreeMap<u16, u64>,
    /// Any other status than 2xx.
    wrong: BTreeMap<u16, u64>,
    /// Without an answer.
    lost: u64,
    given_up: u64,
    /// The keys of the orders that were acknowledged.
    acknowledged: Vec<String>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.lost += other.lost;
        self.given_up += other.given_up;
        self.acknowledged.extend(other.acknowledged);
        for (status, count) in other.refused {
            *self.refused.entry(status).or_insert(0) += count;
        }
        for (status, count) in other.wrong {
            *self.wrong.entry(status).or_insert(0) += count;
        }
    }
}

/// Takes requests until all are taken: every other one places an order.
async fn client(gateway: SocketAddr, token: String, next: Arc<AtomicUsize>, count: usize) -> Seen {
    let (mut seen, mut wire) = (Seen::default(), None);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return seen;
        }
        let key = format!("bench-{number}");
        let places = number.is_multiple_of(2);
        let request = if places { placement(&key) } else { Request::get(READ[number / 2 % READ.len()]) };
        if send(&mut wire, gateway, &request.token(&token).bytes(), &mut seen).await && places {
            seen.acknowledged.push(key);
        }
    }
}

fn placement(key: &str) -> Request {
    let body = json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99, "external_id": key});
    Request::post("/orders", &body).header("Idempotency-Key", key)
}

/// Sends it until it is answered; whether that was a success.
async fn send(wire: &mut Option<Wire>, gateway: SocketAddr, request: &[u8], seen: &mut Seen) -> bool {
    for _ in 0..MAX_TRIES {
        match exchange(wire, gateway, request).await {
            Some(status @ (502..=504)) => {
                *seen.refused.entry(status).or_insert(0) += 1;
                sleep(Duration::from_millis(20)).await;
            }
            Some(200..300) => {
                seen.answered += 1;
                return true;
            }
            Some(status) => {
                *seen.wrong.entry(status).or_insert(0) += 1;
                return false;
            }
            None => seen.lost += 1,
        }
    }
    seen.given_up += 1;
    false
}

/// The status over a kept connection, `None` if it or its answer was lost.
async fn exchange(wire: &mut Option<Wire>, gateway: SocketAddr, request: &[u8]) -> Option<u16> {
    let mut connection = match wire.take() {
        Some(connection) => connection,
        None => Wire::connect(gateway).await.ok()?,
    };
    let status = connection.exchange(request).await.ok()?;
    if !connection.closes() {
        *wire = Some(connection);
    }
    Some(status)
}

const STORED: &str = "SELECT external_id FROM orders WHERE external_id IS NOT NULL";

fn stored_in_sqlite(site: &Site) -> Result<Vec<String>> {
    let connection = Connection::open(site.database())?;
    let mut statement = connection.prepare(STORED)?;
    let keys = statement.query_map([], |row| row.get(0))?;
    Ok(keys.collect::<Result<_, _>>()?)
}

async fn stored_in_postgres(database: &Database) -> Result<Vec<String>> {
    let rows = database.client().await?.query(STORED, &[]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Keys that were acknowledged and are not there, and keys that are there more than once.
fn lost_and_twice(acknowledged: &[String], stored: &[String]) -> (usize, usize) {
    let there: HashSet<&String> = stored.iter().collect();
    let lost = acknowledged.iter().filter(|key| !there.contains(key)).count();
    (lost, stored.len() - there.len())
}

fn tell(
    report: &mut Report<impl Write>,
    seen: &Seen,
    stored: &[String],
    restarts: usize,
    on: &str,
) -> Result<()> {
    report.title(&format!("restart: two copies of each service on {on}, {restarts} restarts, 32 clients"))?;
    report.note(&format!("{} answered 2xx", seen.answered))?;
    report.note(&format!("refused and sent again, by status: {:?}", seen.refused))?;
    report.note(&format!("other answers, by status: {:?}; given up: {}", seen.wrong, seen.given_up))?;
    let (lost, twice) = lost_and_twice(&seen.acknowledged, stored);
    report.note(&format!("orders acknowledged {}, stored {}", seen.acknowledged.len(), stored.len()))?;
    let wrong = seen.wrong.values().sum::<u64>() + seen.given_up;
    let figures = [
        ("restart: connections or answers lost", seen.lost),
        ("restart: answers other than 2xx, 502, 503, 504", wrong),
        ("restart: acknowledged orders lost", lost as u64),
        ("restart: orders placed twice", twice as u64),
    ];
    for (what, count) in figures {
        #[expect(clippy::cast_precision_loss, reason = "a count is far below 2^52")]
        report.judge(what, count as f64, "", Target::AtMost(0.0));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_and_doubled_orders_are_found() {
        let keys = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(lost_and_twice(&keys(&["a", "b"]), &keys(&["a", "b", "c"])), (0, 0));
        assert_eq!(lost_and_twice(&keys(&["a", "b"]), &keys(&["a", "a", "c"])), (1, 1));
    }
}
