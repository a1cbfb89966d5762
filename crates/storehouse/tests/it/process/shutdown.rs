//! Signals, with requests under way.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::laptop;
use crate::harness::{Site, Storehouse, Wire, each_engine, eventually};
use crate::load::{Dice, check, check_database, stock_up, write_until};

/// A request whose body stops in the middle.
async fn begin_slow_request(process: &Storehouse, token: &str) -> (TcpStream, String) {
    let body = laptop().to_string();
    let (sent, rest) = body.split_at(body.len() / 2);
    let mut stream = TcpStream::connect(process.gateway()).await.unwrap();
    let head = format!(
        "POST /orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{sent}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    (stream, rest.to_owned())
}

/// What readiness answers, over a new connection; nothing once connections are refused.
async fn readiness(gateway: SocketAddr) -> Option<u16> {
    let mut wire = Wire::connect(gateway).await.ok()?;
    wire.get("/health/ready").await.ok().map(|answer| answer.status.as_u16())
}

/// All that readiness answers, from now until connections are refused.
async fn watch_readiness(gateway: SocketAddr, begun: &AtomicBool) -> Vec<u16> {
    let mut seen = Vec::new();
    while let Some(status) = readiness(gateway).await {
        seen.push(status);
        begun.store(true, Ordering::SeqCst);
    }
    seen.dedup();
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_lets_requests_in_flight_end() {
    let site = Site::new(None);
    for (number, signal) in ["TERM", "INT"].into_iter().enumerate() {
        let process = site.start().await;
        let (_, registered) = process.connect().await.register(&format!("user{number}")).await;
        let (mut slow, rest) = begin_slow_request(&process, registered["token"].as_str().unwrap()).await;
        let begun = AtomicBool::new(false);
        let gateway = process.gateway();
        let (seen, ()) = tokio::join!(watch_readiness(gateway, &begun), async {
            eventually("readiness is watched", async || begun.load(Ordering::SeqCst)).await;
            process.signal(signal);
        });
        assert_eq!(seen, [200, 503], "{signal}: readiness fails before connections are refused");
        slow.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = String::new();
        slow.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{signal}: {answer}");
        let log = process.log_at_end(0).await;
        assert!(log.contains("\"stopped\"") && log.contains(&format!("SIG{signal}")), "{log}");
        assert!(!log.contains("outlasted"), "{log}");
    }
}

/// The services go on, so nobody else ends it.
#[tokio::test]
async fn an_event_stream_does_not_hold_up_a_gateway_that_stops() {
    let site = Site::new(None);
    let mut split = site.start_split().await;
    let (mut wire, _) = split.part("gateway").connect().await.register("boss").await;
    let mut events = wire.stream("/events/stream").await.unwrap();
    let gateway = split.part("gateway");
    gateway.signal("TERM");
    while let Some(frame) = events.frame().await {
        frame.expect("the stream ends whole");
    }
    eventually("the gateway stops", async || gateway.log().contains("\"stopped\"")).await;
    assert!(!gateway.log().contains("outlasted"), "{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    each_engine(&[], async |database| {
        let (site, mut dice) = (Site::new(Some(database.url())), Dice::new());
        let mut process = site.start().await;
        let (_, registered) = process.connect().await.register("boss").await;
        let token = registered["token"].as_str().unwrap();
        stock_up(database.url()).await;
        let mut entries = Vec::new();
        for (round, signal) in ["TERM", "INT"].into_iter().enumerate() {
            let (writers, answers) = ((process.gateway(), token), 1 + dice.under(200));
            let mut new = write_until(writers, &round.to_string(), answers, || process.signal(signal)).await;
            assert_eq!(process.exit_code().await, Some(0));
            process = site.start().await;
            check(&process, token, &entries, &mut new).await;
            check_database(database.url()).await;
            entries.append(&mut new);
        }
    })
    .await;
}

#[tokio::test]
async fn a_paused_process_goes_on_as_if_nothing_was() {
    let site = Site::new(None);
    let process = site.start().await;
    let (mut wire, _) = process.connect().await.register("ann").await;
    process.signal("STOP");
    let order = laptop();
    let (placed, ()) = tokio::join!(wire.post("/orders", &order), async { process.signal("CONT") });
    placed.unwrap().expect(201);
    wire.post("/auth/logout", &json!({})).await.unwrap().expect(204);
    assert_eq!(process.signal_and_wait("TERM").await, Some(0));
}
