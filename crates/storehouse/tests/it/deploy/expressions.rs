//! What an expression of Prometheus asks for, and whether the program offers it.

use std::collections::BTreeSet;

/// How many series a name makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Its name ends in `_bucket`, `_sum` or `_count`.
    Histogram,
}

use Kind::{Histogram, Plain};

/// One metric of the program, with its own labels.
struct Metric(Kind, &'static str, &'static [&'static str]);

/// Every metric that `/metrics` offers.
fn offered_metrics() -> &'static [Metric] {
    &[
        Metric(Plain, "http_requests_total", &["service", "method", "route", "status"]),
        Metric(Histogram, "http_request_duration_seconds", &["service", "route"]),
        Metric(Plain, "http_requests_in_flight", &["service"]),
        Metric(Plain, "storehouse_db_writes_waiting", &[]),
        Metric(Plain, "storehouse_db_reads_waiting", &[]),
        Metric(Histogram, "storehouse_db_batch_size", &[]),
        Metric(Histogram, "storehouse_db_commit_seconds", &[]),
        Metric(Plain, "storehouse_db_pool_connections", &["state"]),
        Metric(Plain, "storehouse_db_pool_waiting", &[]),
        Metric(Plain, "storehouse_db_retries_total", &[]),
        Metric(Plain, "storehouse_password_hashes_waiting", &[]),
        Metric(Plain, "storehouse_password_hashes_refused_total", &[]),
        Metric(Histogram, "storehouse_password_hash_seconds", &[]),
        Metric(Plain, "storehouse_registrations_total", &[]),
        Metric(Plain, "storehouse_logins_total", &["outcome"]),
        Metric(Plain, "storehouse_orders_placed_total", &[]),
        Metric(Plain, "storehouse_order_value_minor_units_total", &["currency"]),
        Metric(Plain, "storehouse_order_status_total", &["status"]),
        Metric(Plain, "storehouse_upstream_requests_total", &["route", "backend", "outcome"]),
        Metric(Plain, "storehouse_upstream_healthy", &["route", "backend"]),
        Metric(Plain, "storehouse_rate_limited_total", &["policy"]),
        Metric(Plain, "process_cpu_seconds_total", &[]),
        Metric(Plain, "process_resident_memory_bytes", &[]),
        Metric(Plain, "process_open_fds", &[]),
        Metric(Plain, "process_max_fds", &[]),
        Metric(Plain, "process_start_time_seconds", &[]),
        Metric(Plain, "storehouse_data_free_bytes", &[]),
        Metric(Plain, "storehouse_database_bytes", &[]),
        Metric(Plain, "storehouse_ready", &[]),
        Metric(Plain, "storehouse_build_info", &["version"]),
    ]
}

/// The labels that Prometheus itself puts on every series.
const OF_THE_TARGET: &[&str] = &["job", "instance"];

/// The labels of a series, its target's among them; nothing if nobody offers it.
fn labels_of(series: &str) -> Option<BTreeSet<String>> {
    // Prometheus makes it for each target.
    let of_prometheus = Metric(Plain, "up", &[]);
    let mut known = offered_metrics().iter().chain([&of_prometheus]);
    let ending = ["_bucket", "_sum", "_count"].into_iter().find(|ending| series.ends_with(ending));
    let found = known.find(|Metric(kind, name, _)| match kind {
        Plain => *name == series,
        Histogram => ending.is_some_and(|ending| series.strip_suffix(ending) == Some(name)),
    })?;
    let bucket = (ending == Some("_bucket")).then_some("le");
    let labels = found.2.iter().chain(OF_THE_TARGET).copied().chain(bucket);
    Some(labels.map(str::to_owned).collect())
}

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Each series with the labels that are asked of it.
    pub(super) series: Vec<(String, Vec<String>)>,
    /// The labels that something is grouped or matched by.
    grouping: Vec<String>,
}

const GROUPING: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];

/// What stands before a grouping or between two operands; functions are told by their parenthesis.
const WORDS: &[&str] =
    &["and", "or", "unless", "bool", "offset", "sum", "min", "max", "avg", "count", "topk"];

/// Reads an expression: names, strings, selectors, ranges; the rest is arithmetic.
pub(super) fn read(expression: &str) -> Named {
    let mut named = Named::default();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let mut after = &rest[first.len_utf8()..];
        if first == '"' {
            after = until(after, '"').1;
        } else if first == '[' {
            after = until(after, ']').1;
        } else if first == '{' {
            let (selector, behind) = until(after, '}');
            named.series.last_mut().expect("a selector follows a name").1.extend(selector_labels(selector));
            after = behind;
        } else if first.is_ascii_digit() {
            after = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if is_of_name(first) {
            after = rest.trim_start_matches(is_of_name);
            let name = &rest[..rest.len() - after.len()];
            let opened = after.trim_start().strip_prefix('(');
            match opened {
                Some(list) if GROUPING.contains(&name) => {
                    let (list, behind) = until(list, ')');
                    let labels = list.split(',').map(|label| label.trim().to_owned());
                    named.grouping.extend(labels.filter(|label| !label.is_empty()));
                    after = behind;
                }
                Some(_) => {}
                None if WORDS.contains(&name) => {}
                None => named.series.push((name.to_owned(), Vec::new())),
            }
        }
        rest = after.trim_start();
    }
    named
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What stands before and behind a closing sign.
fn until(text: &str, sign: char) -> (&str, &str) {
    text.split_once(sign).unwrap_or_else(|| panic!("{sign} is missing after {text}"))
}

/// The labels of `a="x", b=~"y|z"`; no value here has a comma.
fn selector_labels(selector: &str) -> Vec<String> {
    let conditions = selector.split(',').filter(|condition| !condition.trim().is_empty());
    conditions.map(|condition| condition.split(['=', '!']).next().unwrap().trim().to_owned()).collect()
}

/// Every series, with every label, must be one that there is.
#[track_caller]
pub(super) fn check(expression: &str) {
    let named = read(expression);
    assert!(!named.series.is_empty(), "it asks for nothing: {expression}");
    let mut all = BTreeSet::new();
    for (series, asked) in &named.series {
        let labels = labels_of(series).unwrap_or_else(|| panic!("nobody offers {series}: {expression}"));
        for label in asked {
            assert!(labels.contains(label), "{series} has no label {label}: {expression}");
        }
        all.extend(labels);
    }
    for label in &named.grouping {
        assert!(all.contains(label), "nothing here has a label {label}: {expression}");
    }
}

#[test]
fn expressions_are_read() {
    let named = read(
        "histogram_quantile(0.99, sum by (service, le) (rate(a_bucket{x=~\"$y\", z!=\"up\"}[5m]))) > 2e3\n\
         and on (instance) b_total{} / 60",
    );
    let series = [("a_bucket", vec!["x", "z"]), ("b_total", vec![])];
    let owned = |labels: Vec<&str>| labels.into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(named.series, series.map(|(name, labels)| (name.to_owned(), owned(labels))));
    assert_eq!(named.grouping, ["service", "le", "instance"]);
}

#[test]
fn what_is_not_offered_is_found() {
    for wrong in [
        "rate(http_request_total[5m])",
        "http_requests_total{state=\"1\"}",
        "sum by (le) (http_requests_total)",
        "storehouse_db_commit_seconds",
        "storehouse_ready_count",
        "time()",
    ] {
        assert!(std::panic::catch_unwind(|| check(wrong)).is_err(), "{wrong}");
    }
}
