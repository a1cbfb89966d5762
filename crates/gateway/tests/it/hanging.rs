//! A backend that takes connections and doesn't answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;

use crate::backends::{Front, QUICK, name_in};
use crate::support::{eventually, get, problem_code, read_head, scripted, status};

#[tokio::test]
async fn one_that_hangs_is_down_until_it_answers_a_check() {
    let hangs = Arc::new(AtomicBool::new(true));
    let says = Arc::clone(&hangs);
    let address = scripted(move |_, mut stream| {
        let says = Arc::clone(&says);
        async move {
            while !read_head(&mut stream).await.is_empty() {
                if says.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                stream.write_all(QUICK).await.unwrap();
            }
        }
    })
    .await;
    let more = ", timeout: 50ms, health_check: {interval: 5ms, timeout: 20ms}";
    let front = Front::new(&[address], more).await;
    front.work();
    eventually("who asks has no longer to wait", async || {
        let answer = front.ask(get("/x", "")).await;
        (status(&answer), problem_code(&answer).as_str()) == (503, "unavailable")
    })
    .await;
    hangs.store(false, Ordering::SeqCst);
    eventually("it is asked again", async || status(&front.ask(get("/x", "")).await) == 200).await;
}

/// A backend that answers requests and no checks, behind a gateway; and how many checks have come.
async fn silent_to_checks() -> (Front, SocketAddr, Arc<AtomicUsize>) {
    let checks = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&checks);
    let address = scripted(move |_, mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            while read_head(&mut stream).await.starts_with("GET /x ") {
                stream.write_all(QUICK).await.unwrap();
            }
            seen.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
    })
    .await;
    let front = Front::new(&[address], ", health_check: {interval: 5ms, timeout: 100ms}").await;
    front.work();
    (front, address, checks)
}

#[tokio::test]
async fn one_that_answers_requests_does_not_hang() {
    let (front, address, checks) = silent_to_checks().await;
    while checks.load(Ordering::SeqCst) < 20 {
        assert_eq!(name_in(&front.ask(get("/x", "")).await), "quick");
    }
    assert!(!front.backend(address).is_ready());
}

#[tokio::test]
async fn silence_while_nobody_asks_is_no_hanging() {
    let (front, _, checks) = silent_to_checks().await;
    eventually("it was checked often", async || checks.load(Ordering::SeqCst) >= 20).await;
    assert_eq!(name_in(&front.ask(get("/x", "")).await), "quick");
}
