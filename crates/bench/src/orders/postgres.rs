//! The floor on PostgreSQL: the statements of a placement one after another, each answer awaited, on sixteen
//! connections; what a careful service without pipelining does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use kit::clock::{Clock, new_id};
use tokio::runtime;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

use crate::auditing;
use crate::measure::Sample;
use crate::orders::SEALED_EVERY;
use crate::placement::{INSERT_EVENT, INSERT_HISTORY, INSERT_LINE, INSERT_ORDER, Placement};
use crate::program::{cpu_of_children, own_cpu};
use crate::taking;

const CONNECTIONS: usize = 16;
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const NEXT_NUMBER: &str = "SELECT nextval(CAST(CAST($1 AS TEXT) AS regclass))";

/// A connection with its statements prepared.
pub(crate) struct Statements {
    client: Client,
    number: Statement,
    order: Statement,
    line: Statement,
    history: Statement,
    event: Statement,
    taking: taking::Statements,
    auditing: auditing::Statements,
    user: Uuid,
}

impl Statements {
    /// On a runtime of its own with a thread for each core, which is what the measured program has.
    pub(crate) fn run(
        url: &str,
        server: Option<u32>,
        placements: &Arc<[Placement]>,
        seconds: f64,
    ) -> Result<Sample> {
        let (url, placements) = (url.to_owned(), Arc::clone(placements));
        let thread = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(all(&url, server, &placements, seconds))
        });
        thread.join().ok().context("the loop panicked")?
    }

    async fn connect(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        Ok(Self {
            number: client.prepare(NEXT_NUMBER).await?,
            order: client.prepare(INSERT_ORDER).await?,
            line: client.prepare(INSERT_LINE).await?,
            history: client.prepare(INSERT_HISTORY).await?,
            event: client.prepare(INSERT_EVENT).await?,
            taking: taking::Statements::prepare(&client).await?,
            auditing: auditing::Statements::prepare(&client).await?,
            client,
            user: new_id(),
        })
    }

    async fn place(&self, placement: &Placement) -> Result<()> {
        let (id, now, client) = (new_id(), Clock::default().now().0, &self.client);
        let none: Option<&str> = None;
        client.batch_execute(BEGIN).await?;
        self.taking.take(client, placement, (id, self.user), now).await?;
        let number: i64 = client.query_one(&self.number, &[&"order_numbers"]).await?.try_get(0)?;
        let (total, search) = (placement.total(), placement.search_text(number));
        client
            .execute(
                &self.order,
                &[
                    &id,
                    &number,
                    &self.user,
                    &"pending",
                    &"USD",
                    &total,
                    &false,
                    &none,
                    &none,
                    &none,
                    &"{}",
                    &search,
                    &now,
                    &placement.expires_at(now),
                ],
            )
            .await?;
        for (position, line) in (0_i64..).zip(&placement.lines) {
            let total = line.quantity * line.unit;
            client
                .execute(
                    &self.line,
                    &[
                        &id,
                        &position,
                        &new_id(),
                        &line.sku(),
                        &line.product(),
                        &line.name,
                        &line.quantity,
                        &Some(line.unit),
                        &total,
                        &line.item.is_some(),
                    ],
                )
                .await?;
        }
        self.insert_history(id, now).await?;
        self.auditing.record(client, placement, id, self.user).await?;
        Ok(client.batch_execute("COMMIT").await?)
    }

    async fn insert_history(&self, id: Uuid, now: i64) -> Result<()> {
        let none: Option<&str> = None;
        let (history, request) = (new_id(), new_id().to_string());
        self.client
            .execute(
                &self.history,
                &[&history, &id, &"place", &none, &"pending", &Some(self.user), &none, &"{}", &request, &now],
            )
            .await?;
        self.client.execute(&self.event, &[&"order.placed", &id, &history, &now]).await?;
        Ok(())
    }
}

/// CPU time of the server's processes, if they run on this machine.
pub(crate) fn server_cpu(server: Option<u32>) -> Result<Duration> {
    server.map_or(Ok(Duration::ZERO), cpu_of_children)
}

async fn all(url: &str, server: Option<u32>, placements: &Arc<[Placement]>, seconds: f64) -> Result<Sample> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Statements::connect(url).await?);
    }
    let (begun, before) = (Instant::now(), server_cpu(server)? + own_cpu()?);
    let end = begun + Duration::from_secs_f64(seconds);
    let (mut sealing, driver) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(driver);
    let mut running = JoinSet::new();
    for (number, connection) in connections.into_iter().enumerate() {
        let placements = Arc::clone(placements);
        running.spawn(async move {
            let mut done = 0_u64;
            for placement in placements.iter().cycle().skip(number * 1000) {
                if Instant::now() >= end {
                    break;
                }
                connection.place(placement).await?;
                done += 1;
            }
            // It goes back whole, so that its server process is still there to be counted.
            Ok::<_, anyhow::Error>((done, connection))
        });
    }
    let sealing = tokio::spawn(async move {
        while Instant::now() < end {
            tokio::time::sleep(SEALED_EVERY).await;
            auditing::seal_on_postgres(&mut sealing).await?;
        }
        Ok::<_, anyhow::Error>(sealing)
    });
    let ended: Vec<_> = running.join_all().await.into_iter().collect::<Result<_>>()?;
    let span = begun.elapsed();
    let _sealing = sealing.await??;
    let used = (server_cpu(server)? + own_cpu()?).saturating_sub(before);
    Ok(Sample::of(ended.iter().map(|(done, _)| done).sum(), span, Some(used), None))
}
