//! What the gateway tells of its backends and of whom it refused; requests are counted at the edge, by `kit`.

use std::sync::atomic::{AtomicU64, Ordering};

use kit::metrics::Text;

use crate::Counters;
use crate::pipeline::Gateway;

/// Writes a series for each backend of each route, and for each rate limit.
pub(crate) fn write(gateway: &Gateway, text: &mut Text) {
    for (route, backend, counters) in gateway.upstreams() {
        write_backend(&[("route", route), ("backend", backend)], counters, text);
    }
    for (policy, refused) in gateway.limits.iter().flat_map(|limits| limits.refused()) {
        let help = "Requests refused with 429, by the rate that they passed.";
        text.counter("storehouse_rate_limited_total", help, &[("policy", policy)], refused);
    }
}

fn write_backend(labels: &[(&'static str, &str)], counters: &Counters, text: &mut Text) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let refused = count(&counters.connect_failures);
    let broken = count(&counters.other_errors);
    let answered = count(&counters.requests).saturating_sub(refused + broken);
    let help = "Requests to a backend: answered (or under way), refused (no connection came about), broken (no whole answer).";
    for (outcome, count) in [("answered", answered), ("refused", refused), ("broken", broken)] {
        let labels = [labels, &[("outcome", outcome)]].concat();
        text.counter("storehouse_upstream_requests_total", help, &labels, count);
    }
    let help = "Requests whose answer from the backend hasn't ended.";
    text.gauge("storehouse_upstream_in_flight", help, labels, count(&counters.in_flight) as f64);
    let is_healthy = if counters.healthy.load(Ordering::Relaxed) { 1.0 } else { 0.0 };
    text.gauge(
        "storehouse_upstream_healthy",
        "Whether the backend gets requests: 1 or 0.",
        labels,
        is_healthy,
    );
}
