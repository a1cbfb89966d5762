//! Which types of events somebody wants.

use std::str::FromStr;

use kit::fields::{Faults, FromJson, Invalid, read_text};
use kit::json::Json;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::event_type::EventType;

/// An event type (`order.placed`), or all of a kind (`order.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter(String);

impl EventFilter {
    /// More of them would say nothing more.
    pub const MOST: usize = 50;

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn matches(&self, word: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => word.starts_with(start),
            None => word == self.0,
        }
    }
}

impl FromStr for EventFilter {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let filter = Self(text.to_owned());
        let is_whole = text.strip_suffix('*').is_none_or(|start| start.ends_with('.'));
        if is_whole && EventType::ALL.iter().any(|(_, word, _)| filter.matches(word)) {
            return Ok(filter);
        }
        let words: Vec<&str> = EventType::ALL.iter().map(|(_, word, _)| *word).collect();
        let message = format!(
            "must be a type of event, or all of a kind such as order.*; there are {}",
            words.join(", ")
        );
        Err(Invalid { code: "invalid_event_type", message: message.into() })
    }
}

impl FromJson for EventFilter {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl JsonSchema for EventFilter {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventFilter".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = r"^[a-z_]+\.([a-z_]+|\*)$";
        json_schema!({"type": "string", "pattern": pattern, "examples": ["order.placed", "stock.*"]})
    }
}

/// The types that some filters choose; none, which stands for all, if there is no filter.
pub fn chosen_types(filters: &[EventFilter]) -> Vec<EventType> {
    let is_chosen = |word: &str| filters.iter().any(|filter| filter.matches(word));
    EventType::ALL.iter().filter(|(_, word, _)| is_chosen(word)).map(|(event_type, ..)| *event_type).collect()
}

/// As they are stored.
pub fn join_filters(filters: &[EventFilter]) -> String {
    let words: Vec<&str> = filters.iter().map(EventFilter::as_str).collect();
    words.join(" ")
}

/// As they were stored; one that this version doesn't know chooses nothing.
pub fn split_filters(text: &str) -> Vec<EventFilter> {
    text.split_whitespace().map(|word| EventFilter(word.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_chooses_types() {
        let filters: Vec<EventFilter> = ["order.*", "stock.low"].map(|text| text.parse().unwrap()).to_vec();
        let chosen = chosen_types(&filters);
        assert!(chosen.contains(&EventType::OrderPlaced) && chosen.contains(&EventType::StockLow));
        assert!(!chosen.contains(&EventType::StockReceived) && !chosen.contains(&EventType::UserCreated));
        assert_eq!(split_filters(&join_filters(&filters)), filters);
        assert!(chosen_types(&[]).is_empty());
        for bad in
            ["", "*", "order", "order.", "order.lost", "ord*", "orders.*", "order.*.*", "Order.*", "order.* "]
        {
            assert!(bad.parse::<EventFilter>().is_err(), "{bad}");
        }
    }
}
