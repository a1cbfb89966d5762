//! What the gateway tells of its backends and of whom it refused; requests are counted at the edge, by `kit`.

use kit::metrics::Text;

use crate::Backend;
use crate::pipeline::Gateway;

/// Writes a series for each backend of each route, and for each rate limit.
pub(crate) fn write(gateway: &Gateway, text: &mut Text) {
    for (route, backend) in gateway.upstreams() {
        write_backend(&[("route", route), ("backend", backend.address())], backend, text);
    }
    let own = gateway.table.iter().filter_map(|route| Some((&*route.path, route.policy.as_ref()?)));
    for (name, policy) in own.chain(gateway.default_policy.iter().map(|policy| ("default", policy))) {
        kit::limit::write_refused(name, policy.refused(), text);
    }
}

fn write_backend(labels: &[(&'static str, &str)], backend: &Backend, text: &mut Text) {
    let help = "Requests to a backend: answered (its head came), refused (no connection came about), broken (no answer, or an answered one broke off), gone (the client left).";
    let counters = &backend.counters;
    let outcomes = [
        ("answered", &counters.answered),
        ("refused", &counters.refused),
        ("broken", &counters.broken),
        ("gone", &counters.gone),
    ];
    for (outcome, count) in outcomes {
        let labels = [labels, &[("outcome", outcome)]].concat();
        text.counter("storehouse_upstream_requests_total", help, &labels, count.get());
    }
    let help = "Requests whose answer from the backend hasn't ended.";
    text.gauge("storehouse_upstream_in_flight", help, labels, counters.in_flight() as f64);
    let is_ready = if backend.is_ready() { 1.0 } else { 0.0 };
    text.gauge(
        "storehouse_upstream_healthy",
        "Whether the backend says that it takes work: 1 or 0.",
        labels,
        is_ready,
    );
}
