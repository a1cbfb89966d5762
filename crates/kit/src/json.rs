//! A JSON body as a tree that keeps each number's digits, refuses duplicate keys, and is bounded in depth.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// How deep a body may nest.
pub const MAX_DEPTH: usize = 32;

/// A JSON value. Numbers stay text, so that no float ever touches an amount.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number's own digits, valid by JSON's grammar.
    Number(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Self>),
    /// An object, in the order it was sent; no key stands twice.
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// Why a text is no JSON that we take: what follows "the body" or "the cell" in a sentence for the client.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl<'a> Json<'a> {
    /// Reads a whole text.
    pub fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        let raw: &RawValue = serde_json::from_slice(text).map_err(|error| not_json(&error))?;
        Self::from_raw(raw, MAX_DEPTH)
    }

    fn from_raw(raw: &'a RawValue, depth: usize) -> Result<Self, Malformed> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => {
                let Unescaped(text) = serde_json::from_str(text).map_err(|error| not_json(&error))?;
                Self::String(text)
            }
            Some(b'[') => Self::Array(Self::items(text, depth)?),
            Some(b'{') => Self::Object(Self::members(text, depth)?),
            _ => Self::Number(text),
        })
    }

    fn items(text: &'a str, depth: usize) -> Result<Vec<Self>, Malformed> {
        let depth = deeper(depth)?;
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        items.into_iter().map(|raw| Self::from_raw(raw, depth)).collect()
    }

    fn members(text: &'a str, depth: usize) -> Result<Vec<(Cow<'a, str>, Self)>, Malformed> {
        let depth = deeper(depth)?;
        let Members(members) = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Malformed(format!("has the key {:?} twice in one object", shorten(twice[0]))));
        }
        members.into_iter().map(|(name, raw)| Ok((name, Self::from_raw(raw, depth)?))).collect()
    }

    /// Whether a NUL character stands in any string or key, which not every engine can store.
    pub fn has_nul(&self) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => false,
            Self::String(text) => text.contains('\0'),
            Self::Array(items) => items.iter().any(Self::has_nul),
            Self::Object(members) => {
                members.iter().any(|(name, value)| name.contains('\0') || value.has_nul())
            }
        }
    }

    /// What this is, for a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl fmt::Display for Json<'_> {
    /// Compact JSON, each number with the digits it came with.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Bool(value) => write!(formatter, "{value}"),
            Self::Number(digits) => formatter.write_str(digits),
            Self::String(text) => write_string(formatter, text),
            Self::Array(items) => {
                write_separated(formatter, '[', items, ']', |formatter, item| write!(formatter, "{item}"))
            }
            Self::Object(members) => {
                write_separated(formatter, '{', members, '}', |formatter, (name, value)| {
                    write_string(formatter, name)?;
                    write!(formatter, ":{value}")
                })
            }
        }
    }
}

fn write_separated<T>(
    formatter: &mut fmt::Formatter<'_>,
    open: char,
    items: &[T],
    close: char,
    write_item: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    write!(formatter, "{open}")?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            formatter.write_str(",")?;
        }
        write_item(formatter, item)?;
    }
    write!(formatter, "{close}")
}

fn write_string(formatter: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    formatter.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

/// A string, or a key; borrowed from the body where nothing in it is escaped.
#[derive(Deserialize)]
struct Unescaped<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object's members, each value still raw text.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Unescaped(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

fn deeper(depth: usize) -> Result<usize, Malformed> {
    depth.checked_sub(1).ok_or_else(|| Malformed(format!("nests deeper than {MAX_DEPTH} levels")))
}

/// Says where, in our own words: no library's text reaches a client.
fn not_json(error: &serde_json::Error) -> Malformed {
    Malformed(format!("is not valid JSON: see line {}, column {}", error.line(), error.column()))
}

fn shorten(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_digits_of_a_number() {
        let Ok(Json::Object(members)) = Json::parse(br#"{"a": 9007199254740993.10, "b": 1e309}"#) else {
            panic!()
        };
        assert_eq!(members[0].1, Json::Number("9007199254740993.10"));
        assert_eq!(members[1].1, Json::Number("1e309"));
    }

    #[test]
    fn i08_refuses_a_key_that_stands_twice_also_escaped_and_nested() {
        for body in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"a":1,"a":2}]}"#] {
            assert!(Json::parse(body.as_bytes()).unwrap_err().0.contains("twice in one object"), "{body}");
        }
        assert!(Json::parse(br#"{"a":1,"A":2}"#).is_ok());
    }

    #[test]
    fn g11_is_bounded_in_depth_without_recursing_into_the_excess() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Json::parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(Json::parse(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(Json::parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(Json::parse(nested(100_000).as_bytes()).is_err());
    }

    #[test]
    fn i09_refuses_what_is_no_unicode() {
        for body in [&b"\"\xff\""[..], br#""\ud800""#, b"", b"{}{}", b"\"\n\""] {
            assert!(Json::parse(body).is_err());
        }
    }

    #[test]
    fn unescapes_strings_and_keys() {
        let Ok(Json::Object(members)) = Json::parse(r#"{"k\u0065y":"a\"\u00e4","b":"plain ä"}"#.as_bytes())
        else {
            panic!()
        };
        assert_eq!(members[0], ("key".into(), Json::String("a\"ä".into())));
        assert_eq!(members[1], ("b".into(), Json::String("plain ä".into())));
    }

    #[test]
    fn writes_what_it_read() {
        let text = r#"{"b":[1.50,true,null],"a":"x\"\n"}"#;
        assert_eq!(Json::parse(text.as_bytes()).unwrap().to_string(), text);
    }
}
