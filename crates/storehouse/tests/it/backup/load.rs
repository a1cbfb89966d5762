use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ::db::Error;
use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::json;
use storehouse::migrations::MIGRATIONS;

use super::{back_up, empty_place, restore};
use crate::crash::rounds;
use crate::harness::{Site, Storehouse, TestDatabase, Wire, each_engine, eventually, say};
use crate::load::{check_database, stock_up};

const WRITERS: usize = 16;

/// Writers that place one order after the other, each with its writer and number as note, and how far each was acknowledged.
struct Load {
    acknowledged: Arc<[AtomicUsize; WRITERS]>,
    is_over: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(process: &Storehouse, token: &str) -> Self {
        let acknowledged: Arc<[AtomicUsize; WRITERS]> = Arc::default();
        let is_over = Arc::<AtomicBool>::default();
        let start = |writer: usize| {
            let (gateway, token) = (process.gateway(), token.to_owned());
            let (acknowledged, is_over) = (Arc::clone(&acknowledged), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut wire = Wire::connect(gateway).await.unwrap().with_token(&token);
                while !is_over.load(Ordering::SeqCst) {
                    let number = acknowledged[writer].load(Ordering::SeqCst);
                    let lines = json!([{"sku": "PLENTY", "quantity": 1}, {"name": "Wrapping", "quantity": 1, "unit_price": 1}]);
                    let body = json!({"lines": lines, "note": format!("{writer} {number}")});
                    wire.post("/orders", &body).await.unwrap().expect(201);
                    acknowledged[writer].store(number + 1, Ordering::SeqCst);
                }
            })
        };
        let writers = (0..WRITERS).map(start).collect();
        Self { acknowledged, is_over, writers }
    }

    fn now(&self) -> [usize; WRITERS] {
        std::array::from_fn(|writer| self.acknowledged[writer].load(Ordering::SeqCst))
    }

    fn total(&self) -> usize {
        self.now().iter().sum()
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::SeqCst);
        join_all(self.writers).await.into_iter().for_each(Result::unwrap);
    }
}

/// How many orders each writer has in a database; fails unless they are its first ones.
async fn prefixes(database: &TestDatabase) -> [usize; WRITERS] {
    let db = database.open().await;
    let notes: Result<Vec<String>, Error> =
        db.read((), |tx, ()| tx.rows("SELECT note FROM orders", &[], |row| row.get(0)).boxed()).await;
    db.close().await;
    let mut found = [const { Vec::new() }; WRITERS];
    for note in notes.unwrap() {
        let (writer, number) = note.split_once(' ').unwrap();
        found[writer.parse::<usize>().unwrap()].push(number.parse::<usize>().unwrap());
    }
    found.map(|mut numbers| {
        numbers.sort_unstable();
        assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>(), "nothing before it is missing");
        numbers.len()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_full_load_is_a_consistent_prefix_and_stops_nobody() {
    each_engine(MIGRATIONS, async |database| {
        let site = Arc::new(Site::new(Some(database.url())));
        let process = site.start().await;
        let (_, registered) = process.connect().await.register("boss").await;
        stock_up(database.url()).await;
        let load = Load::start(&process, registered["token"].as_str().unwrap());
        let mut restored = Vec::new();
        for round in 0..rounds().0 {
            let begun = load.total();
            eventually("the writers write", async || load.total() > begun + 50).await;
            let (before, name) = (load.now(), format!("{round}.backup"));
            let making = Arc::clone(&site);
            let file = tokio::task::spawn_blocking(move || back_up(&making, &name)).await.unwrap();
            let after = load.now();
            assert!(after.iter().sum::<usize>() > before.iter().sum(), "writing went on");
            restored.push((before, file, after));
        }
        load.end().await;
        for (before, file, after) in &restored {
            let (copy, other) = empty_place(database.engine).await;
            let told = restore(&other, file);
            assert!(told.contains("differences: 0."), "{told}");
            check_database(copy.url()).await;
            for (writer, count) in prefixes(&copy).await.into_iter().enumerate() {
                // One more of each may have been written whose answer was on its way.
                assert!(
                    before[writer] <= count && count <= after[writer] + 1,
                    "{writer}: {before:?} {count} {after:?}"
                );
            }
        }
        if rounds().1 {
            let orders: usize = restored.last().unwrap().2.iter().sum();
            say(&format!(
                "backups under load, {}: {} rounds, {orders} orders",
                database.engine,
                restored.len()
            ));
        }
    })
    .await;
}
