//! Where a reader stands.

use std::fmt;
use std::str::FromStr;

use kit::fields::Invalid;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// The place of an event in the order in which all are read. Towards the outside it is a text that says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The transaction's id; 0 on SQLite.
    pub xid: i64,
    /// The event's number.
    pub seq: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}-{:x}", self.xid, self.seq)
    }
}

impl FromStr for Position {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = |text: &str| {
            // What `from_str_radix` takes besides: a sign, and digits that are written otherwise.
            let is_plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            i64::from_str_radix(text, 16).ok().filter(|_| is_plain && (text == "0" || !text.starts_with('0')))
        };
        let (xid, seq) = text.split_once('-').unzip();
        match (xid.and_then(number), seq.and_then(number)) {
            (Some(xid), Some(seq)) => Ok(Self { xid, seq }),
            _ => Err(Invalid { code: "invalid_cursor", message: "must be an event's id".into() }),
        }
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Position {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventId".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 3, "maxLength": 33, "examples": ["0-2a"]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        for (xid, seq) in [(0, 0), (0, 42), (i64::MAX, i64::MAX), (745, 1)] {
            let position = Position { xid, seq };
            assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        }
        let bad =
            ["", "-", "1", "1-", "-1", "0-+1", "0--1", "0-01", "0-A", "0-1-1", " 0-1", "0-ffffffffffffffff"];
        assert!(bad.iter().all(|text| text.parse::<Position>().is_err()));
    }
}
