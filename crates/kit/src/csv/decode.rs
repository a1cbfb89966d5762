//! Which text a file is: spreadsheets write UTF-8 and UTF-16, with a mark or without, and older ones Windows-1252.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::problem::Problem;

/// How a file's bytes are to be read where no byte order mark says it.
pub type Charset = &'static Encoding;

/// The charset of this name, if it is one of those that are taken.
pub fn charset(label: &str) -> Option<Charset> {
    let known = Encoding::for_label(label.as_bytes())?;
    [UTF_8, UTF_16LE, UTF_16BE, WINDOWS_1252].into_iter().find(|taken| *taken == known)
}

/// A file's text: what its mark says, else what was declared, else UTF-8. Nothing is guessed, since a wrong guess would be stored.
pub(super) fn decode(bytes: &[u8], declared: Option<Charset>) -> Result<Cow<'_, str>, Problem> {
    let (encoding, text) = match Encoding::for_bom(bytes) {
        Some((marked, length)) => (marked, &bytes[length..]),
        None => (declared.unwrap_or(UTF_8), bytes),
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(text);
    let text = text.ok_or_else(|| not_text(encoding))?;
    if text.contains('\0') {
        return Err(malformed("The file has NUL characters: is it UTF-16 without a mark (BOM)?"));
    }
    Ok(text)
}

fn not_text(encoding: Charset) -> Problem {
    let advice = "save it as UTF-8, or declare its charset: `text/csv; charset=windows-1252`";
    malformed(format!("The file isn't {} throughout: {advice}.", encoding.name()))
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
        assert_eq!(read(b"\xc4\x80", "windows-1252").unwrap(), "Ä€");
        assert_eq!(read(b"\xc4", "ISO-8859-1").unwrap(), "Ä");
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
