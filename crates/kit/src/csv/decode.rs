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
    let text = encoding.decode_without_bom_handling_and_without_replacement(text);
    let text = text.ok_or_else(|| not_text(encoding, marked.is_some()))?;
    if text.contains('\0') {
        return Err(malformed("The file has NUL characters: is it UTF-16 without a mark (BOM)?"));
    }
    Ok(text)
}

/// 415: what it was declared as it can't be read as.
fn no_mark() -> Problem {
    let detail = "The file is declared as UTF-16 and doesn't begin with a mark (BOM): declare `utf-16le` or `utf-16be`, or what else it is.";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

/// Another charset may be declared only where no mark says one.
fn not_text(encoding: &'static Encoding, is_marked: bool) -> Problem {
    let advice = if is_marked {
        "which its mark (BOM) says it is: it may be cut off or damaged; save it anew, as UTF-8"
    } else if encoding == UTF_8 {
        "save it as UTF-8, or declare its charset: `text/csv; charset=windows-1252`"
    } else {
        "which it is declared as: save it as UTF-8"
    };
    malformed(format!("The file isn't {} throughout, {advice}.", encoding.name()))
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
            told(b"\xc4", "").contains("400 The file isn't UTF-8 throughout, save it as UTF-8, or declare")
        );
        assert!(told(b"\xff\xfea\0b", "").contains("UTF-16LE throughout, which its mark (BOM) says"));
        assert!(told(b"\xef\xbb\xbf\xc4", "windows-1252").contains("UTF-8 throughout, which its mark (BOM)"));
        assert!(told(b"a\0b", "utf-16le").contains("UTF-16LE throughout, which it is declared as"));
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
