//! PostgreSQL stopped, paused, slow, and back: a clear error in the meantime, and recovery without a restart.

use std::cell::RefCell;

use futures_util::future::{join, join_all};
use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Server, Site, Storehouse, Wire, eventually};

fn order(name: &str) -> Value {
    json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99, "external_id": name})
}

/// A running system on a server of its own, and an admin's token.
async fn start(server: &Server) -> (Site, Storehouse, String) {
    let site = Site::new(Some(&server.url("postgres")));
    let process = site.start().await;
    let (wire, _) = process.connect().await.register("boss").await;
    let token = wire.token().to_owned();
    (site, process, token)
}

/// Reads, writes and logs in; each must answer, and in words that say what is wrong.
async fn is_refused_clearly(process: &Storehouse, token: &str, key: &str) {
    let ask = async |method: Method, path: &str, body: Option<Value>| -> Answer {
        let mut wire = process.connect().await.with_token(token);
        let key = body.as_ref().filter(|_| path == "/orders").map(|_| key);
        wire.send(method, path, body.as_ref(), key).await.unwrap()
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
    process.connect().await.get("/health").await.unwrap().expect(200);
    let mut orders = Wire::connect(process.addresses[3]).await.unwrap();
    orders.get("/health/ready").await.unwrap().problem(503, "unavailable");
}

/// The same process serves again; what was asked for meanwhile is done once at most, and now.
async fn recovers(process: &Storehouse, token: &str, key: &str) {
    let placed = RefCell::new(None);
    eventually("the request is served", async || {
        let mut wire = process.connect().await.with_token(token);
        let answer = wire.send(Method::POST, "/orders", Some(&order(key)), Some(key)).await.unwrap();
        let is_done = answer.status == 201;
        placed.replace(is_done.then(|| answer.json()));
        is_done
    })
    .await;
    let placed = placed.take().unwrap();
    let mut wire = process.connect().await.with_token(token);
    let path = format!("/orders?external_id={key}&count=exact");
    eventually("reads are served", async || {
        let mut wire = process.connect().await.with_token(token);
        wire.get("/users/me").await.unwrap().status == 200
    })
    .await;
    let found = wire.get(&path).await.unwrap().expect(200).json();
    assert_eq!((&found["total"], &found["items"][0]["id"]), (&json!(1), &placed["id"]), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_server_is_told_of_at_once_and_its_return_is_noticed() {
    let Some(mut server) = Server::start() else { return };
    let (_site, process, token) = start(&server).await;
    recovers(&process, &token, "before").await;
    server.stop();
    is_refused_clearly(&process, &token, "meanwhile").await;
    server.start_again();
    recovers(&process, &token, "meanwhile").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_given_up_and_its_return_is_noticed() {
    let Some(server) = Server::start() else { return };
    let (_site, process, token) = start(&server).await;
    recovers(&process, &token, "before").await;
    server.pause();
    is_refused_clearly(&process, &token, "meanwhile").await;
    server.resume();
    recovers(&process, &token, "meanwhile").await;
}

/// Every connection of the pool waits for a lock; who is logged in stays so, since the feed has a connection of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_statements_end_nobodys_session() {
    let Some(server) = Server::start() else { return };
    let (_site, process, token) = start(&server).await;
    let (client, connection) =
        tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await.unwrap();
    // Twice as many as there are connections, and twice in a row, so that it takes longer than the feed may be silent.
    let lists = join_all((0..32).map(async |_| {
        let mut wire = process.connect().await.with_token(&token);
        for _ in 0..2 {
            wire.get("/orders").await.unwrap().expect(503);
        }
    }));
    let (all_answered, validated) = (tokio::sync::Notify::new(), RefCell::new(0));
    let validate = async {
        let mut wire = process.connect().await.with_token(&token);
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
    recovers(&process, &token, "after").await;
}
