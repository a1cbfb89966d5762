//! Waiting without guessing, and speaking up.

use std::io::{Write, stderr};
use std::time::{Duration, Instant};

pub(super) const DEADLINE: Duration = Duration::from_secs(180);

/// Polls until the condition holds; fails after a deadline that only a broken program reaches.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    eventually_within(DEADLINE, what, condition).await;
}

/// What is promised within a second or five: fails after many times that, since other tests run beside it.
pub(crate) async fn soon(what: &str, condition: impl AsyncFn() -> bool) {
    eventually_within(Duration::from_secs(20), what, condition).await;
}

async fn eventually_within(deadline: Duration, what: &str, condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A line that the test runner does not capture.
pub(crate) fn say(line: &str) {
    writeln!(stderr(), "\n*** {line}\n").unwrap();
}
