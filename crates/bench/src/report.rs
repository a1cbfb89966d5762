//! The table, and what it says of the targets.

use std::io::{self, Write};

use anyhow::Result;

use crate::measure::Sample;

/// A line of the table: what was measured, and how it stands to its floor or peer.
pub(crate) struct Row {
    name: String,
    sample: Sample,
    ratio: Option<String>,
}

impl Row {
    pub(crate) fn new(name: &str, sample: &Sample) -> Self {
        Self { name: name.to_owned(), sample: sample.clone(), ratio: None }
    }

    /// With the ratio to what it is compared with.
    pub(crate) fn ratio(self, ratio: f64, of: &str) -> Self {
        Self { ratio: Some(format!("{ratio:.2} {of}")), ..self }
    }
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }
}

/// Everything that is printed.
pub(crate) struct Report<W> {
    out: W,
    verdicts: Vec<String>,
}

const NAME: usize = 46;

impl<W: Write> Report<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, verdicts: Vec::new() }
    }

    /// A group of lines with one heading.
    pub(crate) fn table(&mut self, title: &str, rows: &[Row]) -> io::Result<()> {
        let heads = ["requests/s", "server µs", "client µs", "p50 ms", "p99 ms"];
        write!(self.out, "\n{title:<NAME$}")?;
        for head in heads {
            write!(self.out, " {head:>10}")?;
        }
        writeln!(self.out, "  ratio")?;
        rows.iter().try_for_each(|row| self.row(row))
    }

    fn row(&mut self, row: &Row) -> io::Result<()> {
        let sample = &row.sample;
        write!(self.out, "  {:<width$} {:>10.0}", row.name, sample.rate, width = NAME - 2)?;
        for (figure, decimals) in
            [(sample.server_cpu, 1), (sample.client_cpu, 1), (sample.p50, 2), (sample.p99, 2)]
        {
            let text = figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.decimals$}"));
            write!(self.out, " {text:>10}")?;
        }
        writeln!(self.out, "  {}", row.ratio.as_deref().unwrap_or_default())?;
        if sample.failed > 0 {
            let why = sample.failure.as_deref().unwrap_or("no reason known");
            writeln!(self.out, "    !!! {} of these requests failed, the first: {why}", sample.failed)?;
        }
        self.out.flush()
    }

    /// A line of its own.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "  {text}")?;
        self.out.flush()
    }

    /// A heading without a table.
    pub(crate) fn title(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n{text}")
    }

    /// Judges a figure; all verdicts stand at the end.
    pub(crate) fn judge(&mut self, what: &str, figure: f64, unit: &str, target: Target) {
        let verdict = if target.is_met(figure) { "met   " } else { "MISSED" };
        let (word, bound) = match target {
            Target::AtLeast(bound) => ("at least", bound),
            Target::AtMost(bound) => ("at most", bound),
        };
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        self.verdicts
            .push(format!("{verdict}  {what}: {}{unit} (target {word} {bound}{unit})", short(figure)));
    }

    /// A target that could not be judged.
    pub(crate) fn skip(&mut self, what: &str, why: &str) -> io::Result<()> {
        self.verdicts.push(format!("not measured  {what}: {why}"));
        self.note(&format!("{what}: not measured, {why}"))
    }

    /// The verdicts.
    pub(crate) fn finish(mut self) -> Result<()> {
        writeln!(self.out, "\nTargets")?;
        for verdict in &self.verdicts {
            writeln!(self.out, "  {verdict}")?;
        }
        Ok(self.out.flush()?)
    }
}

/// As many decimals as tell something.
fn short(figure: f64) -> String {
    if figure.fract() == 0.0 || figure >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_ratios_failures_and_verdicts() {
        let sample = Sample {
            rate: 1234.4,
            server_cpu: Some(20.06),
            p99: Some(1.5),
            failed: 3,
            failure: Some("answered 503".to_owned()),
            ..Sample::default()
        };
        let mut out = Vec::new();
        let mut report = Report::new(&mut out);
        report.table("things", &[Row::new("ours", &sample).ratio(0.8, "of the floor")]).unwrap();
        report.judge("things", 0.8, "of it", Target::AtLeast(0.75));
        report.judge("others", 5.0, "", Target::AtMost(4.0));
        report.skip("more", "there is none").unwrap();
        report.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        let row = text.lines().find(|line| line.contains("ours")).unwrap();
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells, ["ours", "1234", "20.1", "-", "-", "1.50", "0.80", "of", "the", "floor"]);
        for line in [
            "!!! 3 of these requests failed, the first: answered 503",
            "met     things: 0.80 of it (target at least 0.75 of it)",
            "MISSED  others: 5 (target at most 4)",
            "not measured  more: there is none",
        ] {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
    }
}
