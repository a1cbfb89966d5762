//! What mails there are.

use db::{Column, Value};

/// What a mail tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Products fell to their reorder point.
    LowStock,
}

impl Kind {
    /// All of them, each with its word in storage and in the log.
    const ALL: &[(Self, &'static str)] = &[(Self::LowStock, "low_stock")];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }
}

impl Column for Kind {
    fn from_value(value: Value<'_>) -> Option<Self> {
        let Value::Text(word) = value else { return None };
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)
    }
}
