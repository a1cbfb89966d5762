//! What an expression of Prometheus asks for, and whether the program offers it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use storehouse::nightly::Plan;
use tokio::sync::OnceCell;

use crate::harness::{App, Redis, each_engine, postgres_server};
use crate::mails::receiver::Receiver;
use crate::mails::sent_to;
use crate::metrics::a_day;
use crate::metrics::scrape::{Scrape, split_key};

/// Every series that `/metrics` of a system in use shows, with the labels that Prometheus has of it.
pub(super) struct Offered(BTreeMap<String, BTreeSet<String>>);

/// Of each part in a process of its own, after some use, on both engines.
pub(super) async fn offered() -> &'static Offered {
    static OFFERED: OnceCell<Offered> = OnceCell::const_new();
    OFFERED.get_or_init(Offered::look).await
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

impl Offered {
    async fn look() -> Self {
        let found: Mutex<BTreeMap<_, _>> = Mutex::default();
        each_engine(storehouse::migrations::MIGRATIONS, async |database| {
            let backups = tempfile::tempdir().unwrap();
            let plan = Plan {
                url: database.url().parse().unwrap(),
                folder: backups.path().to_owned(),
                time: Duration::ZERO,
                keep: 1,
            };
            let (receiver, redis) = (Receiver::start().await, Redis::start().await);
            let app = App::split_with(database, |options| {
                options.nightly = Some(plan.clone());
                options.rate_limit = true;
                options.redis = redis.as_ref().map(Redis::client);
                sent_to(&receiver)(options);
            })
            .await;
            a_day(&app).await;
            for part in super::PARTS {
                let scrape = Scrape::of_part(&app, part).await;
                let keys = scrape.series.keys().map(|key| split_key(key));
                found
                    .lock()
                    .unwrap()
                    .extend(keys.map(|(name, labels)| (name.to_owned(), with_targets(&labels))));
            }
        })
        .await;
        let mut offered = found.into_inner().unwrap();
        // Prometheus makes it for each target.
        offered.insert("up".to_owned(), with_targets(&[]));
        Self(offered)
    }

    /// The metrics' names.
    pub(super) fn metrics(&self) -> BTreeSet<&str> {
        let endings = ["_bucket", "_sum", "_count"];
        let own = |name| endings.iter().find_map(|ending| str::strip_suffix(name, ending)).unwrap_or(name);
        self.0.keys().map(|name| own(name)).collect()
    }

    /// Every series, with every label, must be one that there is.
    #[track_caller]
    pub(super) fn check(&self, expression: &str) {
        let named = read(expression);
        assert!(!named.series.is_empty(), "it asks for nothing: {expression}");
        let mut all = BTreeSet::new();
        for (series, asked) in &named.series {
            let labels = self.0.get(series).cloned().unwrap_or_else(|| {
                let is_unseen = series.starts_with("storehouse_db_") && postgres_server().is_none()
                    || series.starts_with("storehouse_common_limits_") && !Redis::is_installed();
                assert!(is_unseen, "nobody offers {series}: {expression}");
                asked.iter().cloned().chain(with_targets(&[])).collect()
            });
            for label in asked {
                assert!(labels.contains(label), "{series} has no label {label}: {expression}");
            }
            all.extend(labels);
        }
        for label in &named.grouping {
            assert!(all.contains(label), "nothing here has a label {label}: {expression}");
        }
    }
}

/// A series' own labels, and those that Prometheus puts on every series.
fn with_targets(labels: &[(&str, &str)]) -> BTreeSet<String> {
    let own = labels.iter().map(|(label, _)| *label);
    own.chain(["job", "instance"]).map(str::to_owned).collect()
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

#[tokio::test]
async fn what_is_not_offered_is_found() {
    let offered = offered().await;
    for wrong in [
        "rate(http_request_total[5m])",
        "http_requests_total{state=\"1\"}",
        "sum by (le) (http_requests_total)",
        "http_request_duration_seconds",
        "storehouse_ready_count",
        "time()",
    ] {
        assert!(std::panic::catch_unwind(|| offered.check(wrong)).is_err(), "{wrong}");
    }
}
