//! PostgreSQL stopped, paused, slow, and back: a clear error in the meantime, and recovery without a restart; in one process and in many (R15).

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{join, join_all};
use http::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::{Answer, Server, Site, Split, Storehouse, Wire, eventually};

/// Each request is answered well before the gateway gives a backend up (30 s): of the limits within, the longest is 12 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

fn order(name: &str) -> Value {
    json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99, "external_id": name})
}

/// A running system on a server of its own, and an admin's token.
struct System {
    gateway: SocketAddr,
    orders: SocketAddr,
    token: String,
    /// One of both, which ends with this value.
    _processes: (Option<Storehouse>, Option<Split>),
    _site: Site,
}

impl System {
    async fn start(server: &Server, is_split: bool) -> Self {
        let site = Site::new(Some(&server.url("postgres")));
        let (gateway, orders, processes) = if is_split {
            let mut split = site.start_split().await;
            let orders = split.part("orders").addresses[0];
            (split.part("gateway").gateway(), orders, (None, Some(split)))
        } else {
            let process = site.start().await;
            (process.gateway(), process.addresses[3], (Some(process), None))
        };
        let (wire, _) = Wire::connect(gateway).await.unwrap().register("boss").await;
        Self { gateway, orders, token: wire.token().to_owned(), _processes: processes, _site: site }
    }

    async fn connect(&self) -> Wire {
        Wire::connect(self.gateway).await.unwrap().with_token(&self.token)
    }

    /// What the orders service tells of itself: whether it takes work.
    async fn tells_ready(&self) -> bool {
        let mut orders = Wire::connect(self.orders).await.unwrap();
        let metrics = orders.get("/metrics").await.unwrap().expect(200);
        metrics.text().lines().any(|line| line == "storehouse_ready 1")
    }

    /// Reads, writes and logs in; each must answer in time, and in words that say what is wrong.
    async fn refuses_clearly(&self, key: &str) {
        let ask = async |method: Method, path: &str, body: Option<Value>| -> Answer {
            let mut wire = self.connect().await;
            let key = body.as_ref().filter(|_| path == "/orders").map(|_| key);
            let answer = timeout(ANSWERED_WITHIN, wire.send(method, path, body.as_ref(), key)).await;
            answer.expect("an answer in time").unwrap()
        };
        let login = json!({"email": "boss@example.com", "password": "wrong password"});
        let answers = join_all([
            ask(Method::GET, "/orders", None),
            ask(Method::GET, "/users/me", None),
            ask(Method::POST, "/orders", Some(order(key))),
            ask(Method::POST, "/auth/login", Some(login)),
        ])
        .await;
        for answer in answers {
            let what = answer.what.clone();
            let answer = answer.expect(503);
            assert!(
                ["unavailable", "outcome_unknown"].contains(&answer.code().as_str()),
                "{what}: {}",
                answer.text()
            );
        }
        self.connect().await.get("/health").await.unwrap().expect(200);
        let mut orders = Wire::connect(self.orders).await.unwrap();
        let ready = timeout(ANSWERED_WITHIN, orders.get("/health/ready")).await.expect("an answer in time");
        ready.unwrap().problem(503, "unavailable");
        eventually("the metric tells that it isn't ready", async || !self.tells_ready().await).await;
    }

    /// The same process serves again; what was asked for meanwhile is done once at most, and now.
    async fn recovers(&self, key: &str) {
        let placed = RefCell::new(None);
        eventually("the request is served", async || {
            let mut wire = self.connect().await;
            let answer = wire.send(Method::POST, "/orders", Some(&order(key)), Some(key)).await.unwrap();
            let is_done = answer.status == 201;
            placed.replace(is_done.then(|| answer.json()));
            is_done
        })
        .await;
        let placed = placed.take().unwrap();
        eventually("reads are served", async || {
            self.connect().await.get("/users/me").await.unwrap().status == 200
        })
        .await;
        let path = format!("/orders?external_id={key}&count=exact");
        let found = self.connect().await.get(&path).await.unwrap().expect(200).json();
        assert_eq!((&found["total"], &found["items"][0]["id"]), (&json!(1), &placed["id"]), "{found}");
        eventually("the metric tells that it is ready", async || self.tells_ready().await).await;
    }
}

async fn a_stopped_server(is_split: bool) {
    let Some(mut server) = Server::start() else { return };
    let system = System::start(&server, is_split).await;
    system.recovers("before").await;
    server.stop();
    system.refuses_clearly("meanwhile").await;
    server.start_again();
    system.recovers("meanwhile").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_server_is_told_of_at_once_and_its_return_is_noticed() {
    a_stopped_server(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_tell_of_a_stopped_server_and_notice_its_return() {
    a_stopped_server(true).await;
}

async fn a_paused_server(is_split: bool) {
    let Some(server) = Server::start() else { return };
    let system = System::start(&server, is_split).await;
    system.recovers("before").await;
    server.pause();
    system.refuses_clearly("meanwhile").await;
    server.resume();
    system.recovers("meanwhile").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_given_up_and_its_return_is_noticed() {
    a_paused_server(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_give_up_a_server_that_does_not_answer_and_notice_its_return() {
    a_paused_server(true).await;
}

/// Every connection of the pool waits for a lock; who is logged in stays so, since the feed has a connection of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_statements_end_nobodys_session() {
    let Some(server) = Server::start() else { return };
    let system = System::start(&server, false).await;
    let (client, connection) =
        tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await.unwrap();
    // Twice as many as there are connections, and twice in a row, so that it takes longer than the feed may be silent.
    let lists = join_all((0..32).map(async |_| {
        let mut wire = system.connect().await;
        for _ in 0..2 {
            wire.get("/orders").await.unwrap().expect(503);
        }
    }));
    let (all_answered, validated) = (tokio::sync::Notify::new(), RefCell::new(0));
    let validate = async {
        let mut wire = system.connect().await;
        loop {
            wire.get("/auth/validate").await.unwrap().expect(200);
            *validated.borrow_mut() += 1;
            tokio::select! {
                () = all_answered.notified() => break,
                () = tokio::task::yield_now() => {}
            }
        }
    };
    let lists = async {
        lists.await;
        all_answered.notify_one();
    };
    join(lists, validate).await;
    assert!(*validated.borrow() > 1);
    client.batch_execute("ROLLBACK").await.unwrap();
    system.recovers("after").await;
}
