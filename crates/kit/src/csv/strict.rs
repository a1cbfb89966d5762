//! What the reader takes without a word although it is no CSV (RFC 4180): text behind a closing quote, which it adds to the cell, and a CR alone, at which it
//! ends the row.

/// The first such place of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Breach {
    /// As a spreadsheet counts.
    pub(super) row: u32,
    /// The first is 0.
    pub(super) column: usize,
    /// What stands there.
    pub(super) what: &'static str,
}

/// Where in a cell a byte stands.
enum Place {
    Start,
    Plain,
    Quoted,
    /// Behind a quote inside quotes: it ends them, unless another follows.
    Closed,
}

/// Looks for the first place that breaks the rules.
pub(super) fn find_breach(text: &str, separator: u8) -> Option<Breach> {
    let (mut place, mut row, mut column) = (Place::Start, 1, 0);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        place = match (place, byte) {
            (Place::Quoted, b'"') => Place::Closed,
            (Place::Quoted, _) | (Place::Closed | Place::Start, b'"') => Place::Quoted,
            (_, b'\n') => {
                (row, column) = (row + 1, 0);
                Place::Start
            }
            // Before the LF, or at the very end, it ends the row as it should.
            (place, b'\r') if matches!(bytes.peek(), None | Some(b'\n')) => place,
            (_, b'\r') => return Some(Breach { row, column, what: "a CR stands alone, without its LF" }),
            (_, byte) if byte == separator => {
                column += 1;
                Place::Start
            }
            (Place::Closed, _) => {
                return Some(Breach { row, column, what: "text stands behind the closing quote" });
            }
            _ => Place::Plain,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<(u32, usize, bool)> {
        find_breach(text, b',').map(|found| (found.row, found.column, found.what.starts_with("text")))
    }

    #[test]
    fn what_follows_the_rules_passes() {
        for text in [
            "",
            "a,b\r\nc,d\n",
            "\"a\"\"b\",\"\"\r\n\"\"\"\"",
            "\"a\rb\",\"c\r\nd\"\r\n",
            "5\" pipe,a\"b\"",
            "a\r",
            " \"a\" b",
            "\"open, \r x",
        ] {
            assert_eq!(found(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_first_breach_is_found_where_it_is() {
        assert_eq!(found("a,\"b\"c"), Some((1, 1, true)));
        assert_eq!(found("a\n\"b\r\n\n\"\r\n\"c\" ,d"), Some((3, 0, true)));
        assert_eq!(found("a\rb\rc"), Some((1, 0, false)));
        assert_eq!(found("a,b\n\n\"x\"\r,y"), Some((3, 0, false)));
        assert_eq!(found("a;\"b\"c"), None, "there it is a cell of its own");
    }
}
