//! The load generator: clients that each send a request, wait for its answer, and send the next (a closed loop), on
//! one thread, so that what the clients cost is one figure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use crate::measure::{Cpu, Sample};
use crate::program::thread_cpu;
use crate::wire::Wire;

/// What is sent, by how many.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) clients: usize,
    /// Each client takes one of these by chance, again and again.
    pub(crate) requests: Arc<[Vec<u8>]>,
    /// Requests a second of all clients together; as many as go if `None`.
    pub(crate) rate: Option<f64>,
}

impl Load {
    pub(crate) fn new(address: SocketAddr, clients: usize, requests: impl Into<Arc<[Vec<u8>]>>) -> Self {
        Self { address, clients, requests: requests.into(), rate: None }
    }
}

/// Long enough for connections to be made and caches to be warm.
pub(crate) const WARM_UP: Duration = Duration::from_millis(700);

/// A client that still waits for its last answer after this is given up.
const PATIENCE: Duration = Duration::from_secs(10);

const WARMING: u8 = 0;
const RECORDING: u8 = 1;
const OVER: u8 = 2;

/// What one client, or all of them, saw while it was recorded.
struct Tally {
    /// In nanoseconds.
    latencies: Histogram<u64>,
    failed: u64,
    /// Why the first one failed.
    failure: Option<String>,
}

impl Tally {
    fn new() -> Result<Self> {
        let longest = u64::try_from(Duration::from_secs(60).as_nanos())?;
        Ok(Self { latencies: Histogram::new_with_bounds(1000, longest, 3)?, failed: 0, failure: None })
    }

    fn record(&mut self, took: Duration, outcome: Result<u16, String>) {
        match outcome {
            Ok(200..300) => {
                let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(nanoseconds);
            }
            Ok(status) => self.fail(format!("answered {status}")),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, why: String) {
        self.failed += 1;
        self.failure.get_or_insert(why);
    }

    fn add(&mut self, other: Self) -> Result<()> {
        self.latencies.add(other.latencies)?;
        self.failed += other.failed;
        if let Some(why) = other.failure {
            self.failure.get_or_insert(why);
        }
        Ok(())
    }
}

/// Runs a load for `seconds` after a warm-up; `cpu` tells what the servers have used so far.
pub(crate) async fn run(load: &Load, seconds: f64, cpu: Cpu<'_>) -> Result<Sample> {
    // Inside a block, since a sleep counts from when it was made.
    let end = async { sleep(Duration::from_secs_f64(seconds)).await };
    run_until(load, cpu, end).await.map(|(sample, ())| sample)
}

/// The same until `end` has come, which begins after the warm-up.
pub(crate) async fn run_until<T>(
    load: &Load,
    cpu: Cpu<'_>,
    end: impl Future<Output = T>,
) -> Result<(Sample, T)> {
    ensure!(!load.requests.is_empty(), "there is nothing to send");
    let phase = Arc::new(AtomicU8::new(WARMING));
    let mut clients = JoinSet::new();
    for number in 0..load.clients {
        clients.spawn(client(load.clone(), number, Arc::clone(&phase)));
    }
    sleep(WARM_UP).await;
    let (begun, server, own) = (Instant::now(), cpu()?, thread_cpu()?);
    phase.store(RECORDING, Ordering::Relaxed);
    let ended = end.await;
    phase.store(OVER, Ordering::Relaxed);
    let (span, server, own) =
        (begun.elapsed(), cpu()?.saturating_sub(server), thread_cpu()?.saturating_sub(own));
    let tally = gather(clients).await?;
    let mut sample = Sample::of(tally.latencies.len(), span, Some(server), Some(own));
    sample.p50 = Some(milliseconds(tally.latencies.value_at_quantile(0.5)));
    sample.p99 = Some(milliseconds(tally.latencies.value_at_quantile(0.99)));
    sample.failed = tally.failed;
    sample.failure = tally.failure;
    Ok((sample, ended))
}

async fn gather(mut clients: JoinSet<Result<Tally>>) -> Result<Tally> {
    let mut all = Tally::new()?;
    while !clients.is_empty() {
        match timeout(PATIENCE, clients.join_next()).await {
            Ok(Some(ended)) => all.add(ended??)?,
            Ok(None) => break,
            Err(_) => {
                for _ in 0..clients.len() {
                    all.fail("no answer in 10 s".to_owned());
                }
                clients.abort_all();
                break;
            }
        }
    }
    Ok(all)
}

#[expect(clippy::cast_precision_loss, reason = "a latency is far below 2^52 ns")]
fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

async fn client(load: Load, number: usize, phase: Arc<AtomicU8>) -> Result<Tally> {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let mut tally = Tally::new()?;
    let mut schedule = Schedule::new(&load, number);
    let mut wire = None;
    while phase.load(Ordering::Relaxed) != OVER {
        let begun = schedule.next().await;
        let Some(request) = load.requests.get(random.usize(..load.requests.len())) else { break };
        let outcome = exchange(&mut wire, load.address, request).await;
        if phase.load(Ordering::Relaxed) == RECORDING {
            tally.record(begun.elapsed(), outcome);
        }
    }
    Ok(tally)
}

/// When a client sends: at once, or at even times, late or not. An answer that was late makes those after it late, and
/// they are counted from when they were due.
struct Schedule {
    due: Instant,
    interval: Option<Duration>,
}

impl Schedule {
    #[expect(clippy::cast_precision_loss, reason = "there are few clients")]
    fn new(load: &Load, number: usize) -> Self {
        let apart = load.rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        let first = apart.map_or(Duration::ZERO, |apart| apart.mul_f64(number as f64));
        Self { due: Instant::now() + first, interval: apart.map(|apart| apart.mul_f64(load.clients as f64)) }
    }

    async fn next(&mut self) -> Instant {
        let Some(interval) = self.interval else { return Instant::now() };
        let due = self.due;
        sleep_until(due.into()).await;
        self.due += interval;
        due
    }
}

/// One request over a connection that is kept, and made anew where it is gone.
async fn exchange(wire: &mut Option<Wire>, address: SocketAddr, request: &[u8]) -> Result<u16, String> {
    let mut connection = match wire.take() {
        Some(connection) => connection,
        None => match Wire::connect(address).await {
            Ok(connection) => connection,
            Err(error) => {
                sleep(Duration::from_millis(10)).await;
                return Err(format!("no connection: {error}"));
            }
        },
    };
    let status = connection.exchange(request).await.map_err(|error| format!("no answer: {error}"))?;
    if !connection.closes() {
        *wire = Some(connection);
    }
    Ok(status)
}

/// Sends each request once; tells how often each status came, 0 for none.
pub(crate) async fn send_all(
    address: SocketAddr,
    clients: usize,
    requests: Vec<Vec<u8>>,
) -> Result<BTreeMap<u16, u64>> {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
        running.spawn(async move {
            let (mut wire, mut seen) = (None, Vec::new());
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                seen.push(exchange(&mut wire, address, request).await.unwrap_or(0));
            }
            seen
        });
    }
    let mut counts = BTreeMap::new();
    for status in running.join_all().await.into_iter().flatten() {
        *counts.entry(status).or_insert(0) += 1;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::backend;
    use crate::wire::Request;

    /// A server for the test that answers everything with 200 and 297 bytes.
    async fn server() -> SocketAddr {
        let listener = backend::bind().await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(backend::serve(listener));
        address
    }

    #[tokio::test]
    async fn counts_what_was_answered() {
        let load = Load::new(server().await, 4, vec![Request::get("/").bytes()]);
        let sample = run(&load, 0.2, &|| Ok(Duration::ZERO)).await.unwrap();
        assert!(sample.rate > 0.0 && sample.failed == 0, "{sample:?}");
        assert!(sample.p50 <= sample.p99 && sample.client_cpu.unwrap() > 0.0);
    }

    #[tokio::test]
    async fn a_rate_is_kept() {
        let load =
            Load { rate: Some(100.0), ..Load::new(server().await, 4, vec![Request::get("/").bytes()]) };
        let (sample, ended) = run_until(&load, &|| Ok(Duration::ZERO), async { 7 }).await.unwrap();
        assert_eq!((ended, sample.failed), (7, 0));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_a_failure() {
        let listener = backend::bind().await.unwrap();
        let load = Load::new(listener.local_addr().unwrap(), 1, vec![Request::get("/").bytes()]);
        drop(listener);
        let sample = run(&load, 0.1, &|| Ok(Duration::ZERO)).await.unwrap();
        assert!(sample.failed > 0 && sample.failure.unwrap().starts_with("no connection"));
    }

    #[tokio::test]
    async fn each_request_is_sent_once() {
        let requests = vec![Request::get("/").bytes(); 100];
        assert_eq!(send_all(server().await, 8, requests).await.unwrap(), BTreeMap::from([(200, 100)]));
    }
}
