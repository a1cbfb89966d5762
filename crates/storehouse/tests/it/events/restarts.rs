//! Readers beside fast writers, while the process is killed and started again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ::db::Db;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::harness::goods::check_events;
use crate::harness::{Site, Wire, each_engine, eventually};

/// What the readers and writers of a run share.
#[derive(Clone)]
struct Run {
    gateway: watch::Receiver<SocketAddr>,
    token: String,
}

/// The ids that a reader was told, in their order.
type Told = Arc<Mutex<Vec<String>>>;

impl Run {
    /// A connection to the process that runs; while none does, it waits for the next.
    async fn connect(&mut self) -> Wire {
        loop {
            let gateway = *self.gateway.borrow_and_update();
            if let Ok(wire) = Wire::connect(gateway).await {
                return wire.with_token(&self.token);
            }
            self.gateway.changed().await.unwrap();
        }
    }

    async fn write(mut self) {
        let order = json!({"product_name": "Lamp", "quantity": 1, "total_price": 5});
        loop {
            let mut wire = self.connect().await;
            while wire.post("/orders", &order).await.is_ok() {}
        }
    }

    async fn poll(mut self, told: Told) {
        loop {
            let mut wire = self.connect().await;
            while let Ok(page) = wire.get(&following("/events?limit=20", &told)).await {
                if page.status == 200 {
                    told.lock().unwrap().extend(ids(&page.json()));
                }
            }
        }
    }

    async fn follow(mut self, told: Told) {
        loop {
            let mut wire = self.connect().await;
            let Ok(mut body) = wire.stream(&following("/events/stream?", &told)).await else { continue };
            let mut text = String::new();
            while let Some(Ok(frame)) = body.frame().await {
                text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
                while let Some((block, rest)) = text.split_once("\n\n") {
                    let is_event = block.contains("data: ");
                    let id = block.lines().find_map(|line| line.strip_prefix("id: ")).filter(|_| is_event);
                    told.lock().unwrap().extend(id.map(str::to_owned));
                    text = rest.to_owned();
                }
            }
        }
    }
}

/// The path on which a reader goes on.
fn following(path: &str, told: &Told) -> String {
    let last = told.lock().unwrap().last().cloned();
    last.map_or_else(|| path.to_owned(), |last| format!("{path}&after={last}"))
}

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

/// All events, by one who comes when all is over.
async fn all(wire: &mut Wire) -> Vec<String> {
    let told = Told::default();
    loop {
        let page = wire.get(&following("/events?limit=200", &told)).await.unwrap().expect(200).json();
        if ids(&page).is_empty() {
            return told.lock().unwrap().clone();
        }
        told.lock().unwrap().extend(ids(&page));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_polls_and_who_follows_miss_nothing_over_restarts() {
    each_engine(&[], async |database| {
        let site = Site::new(Some(database.url()));
        let mut process = site.start().await;
        let (_, registered) = process.connect().await.register("boss").await;
        let token = registered["token"].as_str().unwrap().to_owned();
        let (address, gateway) = watch::channel(process.gateway());
        let run = Run { gateway, token: token.clone() };
        let (polled, followed) = (Told::default(), Told::default());
        let (mut readers, mut writers) = (JoinSet::new(), JoinSet::new());
        readers.spawn(run.clone().poll(polled.clone()));
        readers.spawn(run.clone().follow(followed.clone()));
        for _ in 0..3 {
            writers.spawn(run.clone().write());
        }
        for round in 1..=2 {
            let seen = || polled.lock().unwrap().len().min(followed.lock().unwrap().len());
            eventually("both readers get on", async || seen() >= 60 * round).await;
            process.kill();
            process = site.start().await;
            address.send(process.gateway()).unwrap();
        }
        writers.shutdown().await;
        let mut wire = process.connect().await.with_token(&token);
        // What was under way is committed or not by the time that nothing more comes.
        eventually("the readers were told all", async || {
            let count = all(&mut process.connect().await.with_token(&token)).await.len();
            polled.lock().unwrap().len() == count && followed.lock().unwrap().len() == count
        })
        .await;
        let all = all(&mut wire).await;
        assert!(all.len() >= 120);
        assert_eq!(*polled.lock().unwrap(), all);
        assert_eq!(*followed.lock().unwrap(), all);
        check_events(&Db::open(&database.url().parse().unwrap()).await.unwrap()).await;
    })
    .await;
}
