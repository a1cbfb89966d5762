//! What `/metrics` says, read as Prometheus does.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;

use crate::harness::App;

/// What `/metrics` says: every series with its value, checked against the rules of the text format.
pub(crate) struct Scrape {
    pub(crate) text: String,
    pub(crate) series: BTreeMap<String, f64>,
}

impl Scrape {
    pub(super) fn parse(text: &str) -> Self {
        let mut series = BTreeMap::new();
        let mut families = BTreeSet::new();
        let mut lines = text.lines().peekable();
        assert!(text.ends_with('\n'));
        while let Some(line) = lines.next() {
            let (name, help) = line.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
            assert!(is_name(name) && help.ends_with('.') && !help.contains('\\'), "{line}");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{name}: {kind}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let (key, value) = line.rsplit_once(' ').unwrap();
                check_key(key, name, kind);
                let value: f64 = value.parse().unwrap();
                assert!(value.is_finite() && series.insert(key.to_owned(), value).is_none(), "{line}");
            }
        }
        Self { text: text.to_owned(), series }
    }

    /// By a gateway.
    pub(crate) async fn of(app: &App) -> Self {
        Self::of_part(app, "gateway").await
    }

    /// By the gateway or a service.
    pub(crate) async fn of_part(app: &App, part: &'static str) -> Self {
        let answer = app.nobody().request(Method::GET, "/metrics").to(part).send().await.expect(200);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        Self::parse(&answer.text())
    }

    /// The value of a series, which must be there.
    #[track_caller]
    pub(crate) fn value(&self, key: &str) -> f64 {
        *self.series.get(key).unwrap_or_else(|| panic!("{key} is not in\n{}", self.text))
    }

    /// The sum of all series of a metric; nothing if it has none yet.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.series
            .iter()
            .filter(|(key, _)| key.split('{').next() == Some(name))
            .map(|(_, value)| value)
            .sum()
    }

    /// Whether nothing was counted: the series says 0, or isn't there, as in a process that doesn't run that part.
    pub(super) fn is_unused(&self, key: &str) -> bool {
        self.series.get(key).is_none_or(|value| *value == 0.0)
    }

    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.series.keys().map(|key| key.split('{').next().unwrap()).collect()
    }

    /// The histograms must add up.
    pub(super) fn check_histograms(&self) {
        for (key, count) in self.series.iter().filter(|(key, _)| key.contains("_count")) {
            let (name, labels) = key.split_once("_count").unwrap();
            let labels = labels.trim_matches(['{', '}']);
            let within = |key: &str| {
                key.strip_prefix(&format!("{name}_bucket{{{labels}"))?.split_once("le=\"").map(drop)
            };
            let mut buckets: Vec<f64> = self
                .series
                .iter()
                .filter(|(key, _)| within(key).is_some())
                .map(|(_, count)| *count)
                .collect();
            buckets.sort_by(f64::total_cmp);
            assert!(buckets.len() > 5 && buckets.last() == Some(count), "{key}: {buckets:?}");
        }
    }
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// A series' name, and its labels' names with their values.
pub(crate) fn split_key(key: &str) -> (&str, Vec<(&str, &str)>) {
    let Some((name, mut rest)) = key.strip_suffix('}').and_then(|key| key.split_once('{')) else {
        return (key, Vec::new());
    };
    let mut labels = Vec::new();
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"").unwrap();
        let (value, behind) = value.split_once('"').unwrap();
        labels.push((label, value));
        rest = behind.strip_prefix(',').unwrap_or(behind);
        assert!(rest.is_empty() == behind.is_empty(), "{key}");
    }
    (name, labels)
}

/// A series belongs to the metric that it stands below; its labels are names with values that need no escape.
#[track_caller]
fn check_key(key: &str, family: &str, kind: &str) {
    let (name, labels) = split_key(key);
    let endings: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
    assert!(endings.iter().any(|ending| name.strip_suffix(ending) == Some(family)), "{key} below {family}");
    let mut names = BTreeSet::new();
    for (label, value) in labels {
        assert!(is_name(label) && names.insert(label), "{key}");
        assert!(
            !value.is_empty() && !value.contains('\\'),
            "{key}: none of ours needs an escape, nor is empty"
        );
    }
}
