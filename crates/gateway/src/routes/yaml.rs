//! YAML as it is written: every value with its place, keys in their order and as often as they stand.
//!
//! Reading straight into types would stop at the first fault; a tree can be gone through to its end.

use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Location, Spanned};

use super::fault::Located;

/// A value and where it stands.
pub(super) type Node = Spanned<Value>;

/// What can stand in a file.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A whole number that isn't negative.
    Whole(u64),
    /// Any other number, as text.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Node)>),
}

impl Value {
    /// What it is, for a sentence such as "… must be text, not a list".
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(_) => "true or false",
            Self::Whole(_) | Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Far more than a routes file has, and far from where reading it takes too much stack.
const MAX_DEPTH: usize = 16;

/// Reads a file, or says where it is no YAML; there the first fault is the only one that means anything.
pub(super) fn read(text: &str) -> Result<Node, Located> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // Many routes may well share one anchor.
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, enforce_alias_anchor_ratio: false },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| syntax_fault(&error))
}

fn syntax_fault(error: &Error) -> Located {
    (error.location().unwrap_or(Location::UNKNOWN), explain(error.without_snippet()))
}

/// A sentence for the file's author, who knows nothing of what it is read with.
fn explain(error: &Error) -> String {
    let known = match error {
        Error::AliasError { error, .. } => return explain(error.without_snippet()),
        Error::MultipleDocuments { .. } => {
            "a second document begins here: a routes file is one, without `---` after its start"
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            "lists and mappings lie too deep in one another here: a routes file needs four levels"
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "up to here the file holds more, with what its aliases stand for, than a routes file may"
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias stands here within what it stands for",
        Error::UnknownAnchor { .. } => "an alias stands here for something that no anchor before it names",
        Error::NullIntoString { .. } | Error::TaggedScalarCannotDeserializeIntoString { .. } => {
            "a key must be text"
        }
        other => {
            // The place is told apart, and the rest of a longer report repeats the file.
            let text = other.to_string();
            let line = text.lines().next().unwrap_or_default();
            return format!("this is no YAML: {}", line.split(" at line ").next().unwrap_or_default());
        }
    };
    known.to_owned()
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Whole(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or_else(|_| Value::Number(value.to_string()), Value::Whole))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_without_the_librarys_name_for_it() {
        let breach = BudgetBreach::Nodes { nodes: 250_001 };
        let told = explain(&Error::Budget { breach, location: Location::UNKNOWN });
        assert!(told.starts_with("up to here the file holds more"), "{told}");
    }
}
