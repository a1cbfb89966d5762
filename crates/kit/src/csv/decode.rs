//! Which text a file is: spreadsheets write UTF-8 and UTF-16, with a mark or without, and older ones Windows-1252.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use http::StatusCode;

use crate::problem::Problem;

/// How a file's bytes are to be read where no byte order mark says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// As this.
    Is(&'static Encoding),
    /// As UTF-16, in an order of bytes that only the mark tells.
    Utf16,
}

/// The charset of this name, if it is one of those that are taken.
pub fn charset(label: &str) -> Option<Charset> {
    if label.eq_ignore_ascii_case("utf-16") {
        return Some(Charset::Utf16);
    }
    let known = Encoding::for_label(label.as_bytes())?;
    [UTF_8, UTF_16LE, UTF_16BE, WINDOWS_1252].into_iter().find(|taken| *taken == known).map(Charset::Is)
}

/// A file's text: what its mark says, else what was declared, else UTF-8. Nothing is guessed, since a wrong guess would be stored.
pub(super) fn decode(bytes: &[u8], declared: Option<Charset>) -> Result<Cow<'_, str>, Problem> {
    let marked = Encoding::for_bom(bytes);
    let (encoding, text) = match (marked, declared) {
        (Some((marked, length)), _) => (marked, &bytes[length..]),
        (None, Some(Charset::Utf16)) => return Err(no_mark()),
        (None, Some(Charset::Is(declared))) => (declared, bytes),
        (None, None) => (UTF_8, bytes),
    };
    let decoded = encoding.decode_without_bom_handling_and_without_replacement(text);
    let decoded = decoded.ok_or_else(|| not_text(encoding, text, marked.is_some()))?;
    if let Some((before, _)) = decoded.split_once('\0') {
        let line = last_line(before.as_bytes());
        return Err(malformed(format!(
            "The file has NUL characters, the first in line {line}: is it UTF-16 without a mark (BOM)?"
        )));
    }
    Ok(decoded)
}

/// Which line these bytes end in.
fn last_line(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// 415: what it was declared as it can't be read as.
fn no_mark() -> Problem {
    let detail = "The file is declared as UTF-16 and doesn't begin with a mark (BOM): declare `utf-16le` or `utf-16be`, or what else it is.";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

/// Another charset may be declared only where no mark says one.
fn not_text(encoding: &'static Encoding, bytes: &[u8], is_marked: bool) -> Problem {
    let advice = if is_marked {
        "its mark (BOM) says that it is, so it may be cut off or damaged; save it anew, as UTF-8"
    } else if encoding == UTF_8 {
        "save it as UTF-8, or declare its charset, `text/csv; charset=windows-1252`"
    } else {
        "it is declared as that; save it as UTF-8"
    };
    let place = match std::str::from_utf8(bytes) {
        Err(error) if encoding == UTF_8 => {
            let (good, _) = bytes.split_at(error.valid_up_to());
            format!("from line {} on", last_line(good))
        }
        _ => "throughout".to_owned(),
    };
    malformed(format!("The file isn't {} {place}: {advice}.", encoding.name()))
}

/// 400: it isn't a CSV file.
pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::malformed("malformed_csv", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], declared: &str) -> Option<String> {
        decode(bytes, charset(declared)).ok().map(Cow::into_owned)
    }

    #[test]
    fn a_mark_wins_then_what_was_declared() {
        let utf_16 = |text: &str, little: bool| -> Vec<u8> {
            let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
            text.encode_utf16().flat_map(bytes).collect()
        };
        assert_eq!(read("Ä😀".as_bytes(), "").unwrap(), "Ä😀");
        assert_eq!(read("\u{feff}Ä".as_bytes(), "windows-1252").unwrap(), "Ä");
        assert_eq!(read(&utf_16("\u{feff}Ä😀", true), "").unwrap(), "Ä😀");
        assert_eq!(read(&utf_16("\u{feff}Ä😀", false), "utf-8").unwrap(), "Ä😀");
        assert_eq!(read(&utf_16("Ä", true), "utf-16le").unwrap(), "Ä");
        assert_eq!(read(&utf_16("\u{feff}Ä", false), "utf-16").unwrap(), "Ä");
        assert_eq!(read(b"\xc4\x80", "windows-1252").unwrap(), "Ä€");
        assert_eq!(read(b"\xc4", "ISO-8859-1").unwrap(), "Ä");
    }

    #[test]
    fn the_advice_is_of_use() {
        let told = |bytes: &[u8], declared: &str| {
            let problem = decode(bytes, charset(declared)).unwrap_err();
            format!("{} {}", problem.status().as_u16(), problem.detail())
        };
        assert!(
            told(b"a\n\xc4", "")
                .contains("400 The file isn't UTF-8 from line 2 on: save it as UTF-8, or declare")
        );
        assert!(told(b"\xff\xfea\0b", "").contains("UTF-16LE throughout: its mark (BOM) says"));
        assert!(told(b"\xef\xbb\xbf\xc4", "windows-1252").contains("UTF-8 from line 1 on: its mark (BOM)"));
        assert!(told(b"a\0b", "utf-16le").contains("UTF-16LE throughout: it is declared as that"));
        assert!(told(b"sku\n", "UTF-16").starts_with("415 The file is declared as UTF-16 and doesn't begin"));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert!(read(b"\xc4", "").is_none() && read(b"a\0b\0", "").is_none());
        assert!(read(b"\xff\xfea", "").is_none() && read(b"\xff\xfe\x00\xd8", "").is_none());
        for label in ["utf-7", "koi8-r", "shift_jis", "", "nonsense"] {
            assert!(charset(label).is_none(), "{label}");
        }
    }
}
