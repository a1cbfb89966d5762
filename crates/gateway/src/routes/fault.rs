//! What is wrong with a routes file: all of it, each fault with its place.

use std::fmt;

use serde_saphyr::Location;

/// One fault: `routes.yaml:6:5: unknown key …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named.
    pub(super) file: String,
    /// From 1; 0 where the fault has no place.
    pub(super) line: u64,
    /// From 1, in characters; 0 where the fault has no place.
    pub(super) column: u64,
    /// A sentence for the file's author.
    pub(super) message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message } = self;
        write!(formatter, "{file}:{line}:{column}: {message}")
    }
}

/// All faults of a routes file, in the order of their places; shown one on a line.
#[derive(Debug, PartialEq, Eq)]
pub struct RoutesError(Vec<Fault>);

impl RoutesError {
    /// Of bytes that aren't text: where that shows.
    pub(super) fn not_text(bytes: &[u8], file: &str) -> Self {
        let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let (line, column) = text.chars().fold((1, 1), |(line, column), character| match character {
            '\n' => (line + 1, 1),
            _ => (line, column + 1),
        });
        let message = "from here on this is no text in UTF-8: save the file in that encoding".to_owned();
        Self(vec![Fault { file: file.to_owned(), line, column, message }])
    }

    /// The faults; at least one.
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }
}

impl fmt::Display for RoutesError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for RoutesError {}

/// A message and the place that it is about.
pub(super) type Located = (Location, String);

/// The faults found so far. Whoever gets nothing from a reader has a fault in here.
#[derive(Default)]
pub(super) struct Faults(Vec<Located>);

impl Faults {
    pub(super) fn add(&mut self, place: Location, message: impl Into<String>) {
        self.0.push((place, message.into()));
    }

    /// What was read, if it could be.
    pub(super) fn note<T>(&mut self, read: Result<T, Located>) -> Option<T> {
        read.map_err(|fault| self.0.push(fault)).ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_error(mut self, file: &str) -> RoutesError {
        self.0.sort_by_key(|(place, _)| (place.line(), place.column()));
        let faults = self.0.into_iter().map(|(place, message)| Fault {
            file: file.to_owned(),
            line: place.line(),
            column: place.column(),
            // It may quote the file, and must stay one line that does nothing to a terminal.
            message: message.replace(char::is_control, " "),
        });
        RoutesError(faults.collect())
    }
}
