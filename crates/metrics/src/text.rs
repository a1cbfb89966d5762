//! The text that Prometheus reads: the text format 0.0.4, which every version of it and every other collector takes.

use std::collections::BTreeMap;

use crate::value::Histogram;

/// The text's media type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics at one moment, gathered by name, so that several owners may add series to one metric.
#[derive(Default)]
pub struct Text {
    metrics: BTreeMap<&'static str, Metric>,
}

struct Metric {
    help: &'static str,
    kind: &'static str,
    series: String,
}

/// What tells the series of a metric apart: our names, and any text as their values.
type Labels<'a> = [(&'static str, &'a str)];

impl Text {
    /// A series of what only rises; its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str, labels: &Labels<'_>, value: u64) {
        self.exact_counter(name, help, labels, value as f64);
    }

    /// The same of what is no whole number.
    pub fn exact_counter(&mut self, name: &'static str, help: &'static str, labels: &Labels<'_>, value: f64) {
        write_series(self.of(name, help, "counter"), name, "", labels, value);
    }

    /// A series of what rises and falls.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: &Labels<'_>, value: f64) {
        write_series(self.of(name, help, "gauge"), name, "", labels, value);
    }

    /// The series of a histogram; its name ends in its unit.
    pub fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &Labels<'_>,
        histogram: &Histogram,
    ) {
        let series = self.of(name, help, "histogram");
        let mut total = 0;
        for (bound, count) in histogram.cumulative() {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
            write_series(series, name, "_bucket", &[labels, &[("le", &bound)]].concat(), count as f64);
            total = count;
        }
        write_series(series, name, "_sum", labels, histogram.sum());
        write_series(series, name, "_count", labels, total as f64);
    }

    fn of(&mut self, name: &'static str, help: &'static str, kind: &'static str) -> &mut String {
        &mut self.metrics.entry(name).or_insert_with(|| Metric { help, kind, series: String::new() }).series
    }

    /// The whole text.
    pub fn finish(self) -> String {
        let whole = self.metrics.into_iter().map(|(name, Metric { help, kind, series })| {
            format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{series}")
        });
        whole.collect()
    }
}

fn write_series(text: &mut String, name: &str, ending: &str, labels: &Labels<'_>, value: f64) {
    text.push_str(name);
    text.push_str(ending);
    for (index, (label, of)) in labels.iter().enumerate() {
        text.push(if index == 0 { '{' } else { ',' });
        text.push_str(label);
        text.push_str("=\"");
        text.push_str(&of.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
        text.push('"');
    }
    if !labels.is_empty() {
        text.push('}');
    }
    text.push_str(&format!(" {value}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_metric_stand_together_in_the_order_of_names() {
        let mut text = Text::default();
        text.gauge("b", "Of b.", &[("where", "here")], 0.5);
        text.counter("a_total", "Of a.", &[], 5);
        text.gauge("b", "Of b.", &[("where", "there"), ("and", "x")], -2.0);
        let expected = "# HELP a_total Of a.\n# TYPE a_total counter\na_total 5\n\
                        # HELP b Of b.\n# TYPE b gauge\nb{where=\"here\"} 0.5\nb{where=\"there\",and=\"x\"} -2\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn a_label_can_hold_any_text() {
        let mut text = Text::default();
        text.gauge("a", "Of a.", &[("path", "/\"x\\\n{}é")], 1.0);
        assert!(text.finish().ends_with("\na{path=\"/\\\"x\\\\\\n{}é\"} 1\n"));
    }

    #[test]
    fn a_histogram_ends_with_all_its_values() {
        let histogram = Histogram::of_numbers(&[1, 10]);
        for value in [1, 5, 50] {
            histogram.observe(value);
        }
        let mut text = Text::default();
        text.histogram("size", "Sizes.", &[("of", "a")], &histogram);
        let expected = "size_bucket{of=\"a\",le=\"1\"} 1\nsize_bucket{of=\"a\",le=\"10\"} 2\n\
                        size_bucket{of=\"a\",le=\"+Inf\"} 3\nsize_sum{of=\"a\"} 56\nsize_count{of=\"a\"} 3\n";
        assert!(text.finish().ends_with(expected));
    }
}
