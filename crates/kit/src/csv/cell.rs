//! Cells that no spreadsheet takes for a formula.
//!
//! Text that begins like one gets an apostrophe in front (OWASP, CSV injection). So does text whose apostrophes such a beginning follows, so that
//! taking one off again gives back every text as it was.

use std::borrow::Cow;
use std::fmt::Display;

use ::csv::{Terminator, Writer, WriterBuilder};
use serde::Serialize;

/// What formulas begin with, as typed and in full width, and what spreadsheets skip before them.
const RISKY: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Text for a cell, with an apostrophe in front where it could be taken for a formula.
pub(super) fn shield(text: &str) -> Cow<'_, str> {
    if is_risky(text) { format!("'{text}").into() } else { text.into() }
}

/// The text that [`shield`] made a cell of.
pub(super) fn unshield(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| is_risky(text)).unwrap_or(cell)
}

fn is_risky(text: &str) -> bool {
    let is_skipped = |character: char| character.is_whitespace() && !RISKY.contains(&character);
    text.trim_start_matches('\'').trim_start_matches(is_skipped).starts_with(RISKY)
}

/// The lines of a file, cell by cell.
pub struct Lines(Writer<Vec<u8>>);

impl Lines {
    pub(super) fn new() -> Self {
        Self(WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new()))
    }

    /// The names of columns, if there are any.
    pub(super) fn header(&mut self, names: &[&str]) {
        if !names.is_empty() {
            names.iter().for_each(|name| self.plain(name));
            self.end();
        }
    }

    /// Text of people's own.
    pub fn text(&mut self, text: &str) {
        self.cell(shield(text).as_bytes());
    }

    /// The same, or an empty cell.
    pub fn optional_text(&mut self, text: Option<&String>) {
        self.text(text.map_or("", String::as_str));
    }

    /// What is no text of people's own: a number, an amount in major units, a time, an id, a word of ours, JSON.
    pub fn plain(&mut self, value: impl Display) {
        self.cell(value.to_string().as_bytes());
    }

    /// The same, or an empty cell.
    pub fn optional(&mut self, value: Option<impl Display>) {
        self.cell(value.map(|value| value.to_string()).unwrap_or_default().as_bytes());
    }

    /// A word of ours, as JSON has it.
    pub fn word(&mut self, word: &impl Serialize) {
        let word = serde_json::to_value(word).unwrap_or_default();
        self.plain(word.as_str().unwrap_or_default());
    }

    /// So many empty cells.
    pub fn empty(&mut self, count: usize) {
        (0..count).for_each(|_| self.cell(b""));
    }

    /// Ends the line.
    pub fn end(&mut self) {
        // Memory takes whatever is written to it, here and below.
        let _ = self.0.write_record(None::<&[u8]>);
    }

    fn cell(&mut self, bytes: &[u8]) {
        let _ = self.0.write_field(bytes);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i03_what_begins_like_a_formula_is_shielded_and_comes_back() {
        for text in [
            "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1", " =1",
            "\u{a0}=1", "'=1", "''=1", "' =1", "'-", "-", "=",
        ] {
            let cell = shield(text);
            assert_eq!((&*cell, unshield(&cell)), (&*format!("'{text}"), text));
        }
        for text in ["", "'", "''", "'a", "a=1", "'a=1", "1-1", " a", "Ä", "\u{202e}=", "😀", "\"=1\""] {
            let cell = shield(text);
            assert_eq!((&*cell, unshield(&cell)), (text, text));
        }
    }

    #[test]
    fn each_text_of_these_characters_comes_back() {
        let characters = ['\'', '=', ' ', 'a', '\t', '＠', '"'];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer = |text: &String| characters.map(|character| format!("{text}{character}"));
            texts.extend(texts.iter().flat_map(longer).collect::<Vec<_>>());
        }
        for text in &texts {
            let cell = shield(text);
            assert_eq!(unshield(&cell), text);
            assert!(!is_risky(&cell) || cell.starts_with('\''), "{cell:?}");
        }
    }
}
