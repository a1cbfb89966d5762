//! Small values that can only be valid: bounded text, whole quantities, free JSON objects.

use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::fields::{Faults, FromJson, Invalid, read_text};
use crate::json::Json;

/// Text of 1 to `MAX` characters, not blank, without control characters other than tab and line breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The text as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_allowed = |character: char| !character.is_control() || matches!(character, '\t' | '\n' | '\r');
        // Bytes are at least as many as characters, and much sooner counted.
        let is_too_long = text.len() > MAX && text.chars().count() > MAX;
        if is_too_long || text.trim().is_empty() {
            let message = format!("must have 1 to {MAX} characters, not all blank");
            return Err(Invalid { code: "invalid_length", message: message.into() });
        }
        let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !is_plain && !text.chars().all(is_allowed) {
            return Err(Invalid::value("must not contain control characters"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<const MAX: usize> FromJson for Text<MAX> {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl<const MAX: usize> JsonSchema for Text<MAX> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Text{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": MAX})
    }
}

/// Whether what names a thing may hold this character: a blank, or one that shows. Two names that look alike could be two without that.
pub fn is_visible(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    // Controls of writing direction, blanks without width and the byte order mark are of the category Format.
    let is_control =
        matches!(character.general_category(), GeneralCategory::Control | GeneralCategory::Format);
    !character.is_whitespace() && !is_control && !is_ignorable(character)
}

/// The rest of what Unicode lets be shown as nothing (the property `Default_Ignorable_Code_Point`): fillers, selectors of variants, tags.
fn is_ignorable(character: char) -> bool {
    matches!(
        character,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2065}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A whole number of things: 1 to 1,000,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Quantity(i64);

impl Quantity {
    /// The largest quantity.
    pub const MAX: i64 = 1_000_000_000;

    /// The plain number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl FromJson for Quantity {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        let number = match json {
            Json::Number(digits) => digits.parse().ok().filter(|number| (1..=Self::MAX).contains(number)),
            _ => None,
        };
        faults.keep(number.map(Self).ok_or_else(|| Invalid {
            code: "invalid_quantity",
            message: "must be a whole number from 1 to 1000000000".into(),
        }))
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": Self::MAX})
    }
}

/// A JSON object of the client's own, at most `MAX` bytes when written compactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonObject<const MAX: usize>(String);

impl<const MAX: usize> JsonObject<MAX> {
    /// The object as compact JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> FromJson for JsonObject<MAX> {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        let text = match json {
            Json::Object(_) => json.to_string(),
            other => {
                return faults.add(Invalid {
                    code: "invalid_type",
                    message: format!("must be an object, not {}", other.kind()).into(),
                });
            }
        };
        if text.len() > MAX {
            return faults.add(Invalid {
                code: "invalid_length",
                message: format!("must be at most {MAX} bytes of JSON").into(),
            });
        }
        if json.has_nul() {
            return faults.add(Invalid::value("must not contain NUL characters"));
        }
        Some(Self(text))
    }
}

impl<const MAX: usize> JsonSchema for JsonObject<MAX> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Object{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": true})
    }
}

/// Stored JSON, written into an answer as it stands.
#[derive(Clone, Debug)]
pub struct StoredJson(pub String);

impl Serialize for StoredJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_json(&self.0, serializer)
    }
}

/// Writes what is JSON already as it stands.
pub(crate) fn write_json<S: Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<&RawValue>(json).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

impl JsonSchema for StoredJson {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StoredJson".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": true})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Option<i64> {
        Quantity::from_json(&Json::parse(text.as_bytes()).unwrap(), &mut Faults::default()).map(Quantity::get)
    }

    #[test]
    fn a_quantity_is_a_whole_positive_number() {
        assert_eq!(quantity("1"), Some(1));
        assert_eq!(quantity("1000000000"), Some(1_000_000_000));
        for refused in [
            "0",
            "-1",
            "-0",
            "0.5",
            "1.0",
            "1e2",
            "1e309",
            "1000000001",
            "9223372036854775808",
            "\"1\"",
            "null",
            "true",
            "[]",
        ] {
            assert_eq!(quantity(refused), None, "{refused}");
        }
    }

    #[test]
    fn what_does_not_show_is_not_visible() {
        assert!("LAP-1 äß漢字 ا é 😀 ₿".chars().all(is_visible));
        for hidden in "\0\t\n\u{7f}\u{85}\u{a0}\u{ad}\u{34f}\u{61c}\u{115f}\u{180e}\u{200b}\u{200d}\u{200e}\u{202e}\u{2028}\u{2060}\u{2066}\u{2069}\u{3000}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{e0001}".chars() {
            assert!(!is_visible(hidden), "{hidden:?}");
        }
    }

    #[test]
    fn text_is_kept_as_it_was_sent() {
        assert_eq!("  Ä\u{202e}b\n".parse::<Text<10>>().unwrap().as_str(), "  Ä\u{202e}b\n");
        assert!("ÄÖÜÄÖÜÄÖÜÄ".parse::<Text<10>>().is_ok());
        for refused in ["", " \t", "a\0b", "a\u{7}b", "a\u{7f}b", "a\u{85}b", "12345678901", "ÄÖÜÄÖÜÄÖÜÄÖ"]
        {
            assert!(refused.parse::<Text<10>>().is_err(), "{refused:?}");
        }
    }
}
