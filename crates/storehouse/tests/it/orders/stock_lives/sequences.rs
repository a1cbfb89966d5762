//! Lives one after the other, each in a database of its own; of one that fails, as few steps as fail too.
//!
//! An ordinary run does a few lives. The full run, and one life again as a failure tells it:
//! `STOREHOUSE_SEQUENCES=10000 STOREHOUSE_STEPS=100 cargo test --release --test it stock_lives`
//! `TEST_STEPS=17,4 cargo test --test it stock_lives`

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use super::life::Life;
use super::start;
use crate::harness::goods::check_stock;
use crate::harness::{Engine, Random, TestDatabase, each_engine, say};

/// What an ordinary run must have come by.
const STATUSES: [&str; 3] = ["confirmed", "cancelled", "expired"];
/// So many steps, then all that can be read is looked at, with some 250 requests.
const BETWEEN_READS: usize = 50;
/// A long run tells how far it is.
const TOLD: usize = 250;

fn setting(name: &str, ordinary: usize) -> usize {
    std::env::var(name).map_or(ordinary, |given| given.parse().unwrap())
}

/// What came of a life.
#[derive(Default)]
struct Lived {
    told: RefCell<Vec<String>>,
    statuses: RefCell<BTreeSet<&'static str>>,
}

/// Each step is a number, which chooses what is done to what there is; so any of them can be left out.
async fn live(engine: Engine, steps: &[u64], lived: &Lived) {
    let database = TestDatabase::new(engine, storehouse::migrations::MIGRATIONS).await;
    let app = start(&database).await;
    let mut life = Life::new(&app, &lived.told).await;
    for steps in steps.chunks(BETWEEN_READS) {
        for step in steps {
            life.go_on(&mut Random::from(*step)).await;
            lived.statuses.borrow_mut().extend(life.model.orders.iter().map(|order| order.life.status));
        }
        life.check_reads().await;
    }
    check_stock(&app.db).await;
}

/// What was told, and why it failed, if it did.
async fn attempt(engine: Engine, steps: &[u64]) -> (Lived, Option<String>) {
    let lived = Lived::default();
    let outcome = AssertUnwindSafe(live(engine, steps, &lived)).catch_unwind().await;
    (lived, outcome.err().map(|panic| message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref().map(|text: &&str| (*text).to_owned())).unwrap_or_default()
}

/// Leaves out what isn't needed to fail: halves, then ever smaller parts.
async fn shrink(mut steps: Vec<u64>, fails: impl AsyncFn(&[u64]) -> bool) -> Vec<u64> {
    let mut part = steps.len().div_ceil(2);
    loop {
        let mut from = 0;
        while from < steps.len() {
            let behind = steps.len().min(from + part);
            let rest = [&steps[..from], &steps[behind..]].concat();
            if fails(&rest).await {
                steps = rest;
            } else {
                from = behind;
            }
        }
        if part <= 1 {
            return steps;
        }
        part = part.div_ceil(2);
    }
}

/// Lives it, and fails in as few steps as it can.
async fn must_live(engine: Engine, steps: Vec<u64>) -> Lived {
    let (lived, failure) = attempt(engine, &steps).await;
    let Some(first) = failure else { return lived };
    say(&format!("a life of {} steps failed on {engine}; looking for a shorter one", steps.len()));
    let steps = shrink(steps, async |steps| attempt(engine, steps).await.1.is_some()).await;
    let (lived, failure) = attempt(engine, &steps).await;
    let numbers: Vec<String> = steps.iter().map(u64::to_string).collect();
    let told = lived.told.take().join("\n");
    panic!(
        "repeat it with TEST_STEPS={}\n{told}\n{}",
        numbers.join(","),
        failure.unwrap_or_else(|| format!("it failed but once: {first}"))
    );
}

fn given_steps() -> Option<Vec<u64>> {
    let given = std::env::var("TEST_STEPS").ok()?;
    Some(given.split(',').map(|step| step.parse().unwrap()).collect())
}

#[tokio::test]
async fn r10_stock_goes_as_the_model_says() {
    let (sequences, length) = (setting("STOREHOUSE_SEQUENCES", 3), setting("STOREHOUSE_STEPS", 60));
    each_engine(&[], async |database| {
        let engine = database.engine;
        if let Some(steps) = given_steps() {
            return drop(must_live(engine, steps).await);
        }
        let mut random = Random::new();
        let (mut count, mut statuses) = (0, BTreeSet::new());
        // Dull lives are followed by others.
        while count < sequences || !STATUSES.iter().all(|status| statuses.contains(status)) {
            let steps = (0..length).map(|_| random.next() % 1_000_000_007).collect();
            statuses.extend(must_live(engine, steps).await.statuses.take());
            count += 1;
            if count % TOLD == 0 {
                say(&format!("{count} lives of {length} steps on {engine} so far: all as the model says"));
            }
        }
        if std::env::var_os("STOREHOUSE_SEQUENCES").is_some() {
            say(&format!("{count} lives of {length} steps on {engine}: all as the model says"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_failing_life_is_made_as_short_as_it_can_be() {
    let fails = async |steps: &[u64]| steps.contains(&3) && steps.contains(&61);
    assert_eq!(shrink((0..64).collect(), fails).await, [3, 61]);
    assert_eq!(shrink((0..61).rev().collect(), async |steps| steps.len() > 4).await.len(), 5);
    assert!(shrink(vec![1], async |_| true).await.is_empty());
}
