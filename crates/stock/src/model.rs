//! A level, a movement, and what they are made of.

use std::ops::Add;
use std::str::FromStr;

use db::{Column, Value};
use events::EventType;
use kit::clock::Timestamp;
use kit::fields::{Faults, FromJson, Invalid, read_text};
use kit::json::Json;
use kit::text::is_visible;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use uuid::Uuid;

/// The location that is there from the start, from which orders are filled first.
pub const MAIN: Uuid = Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001);

/// The most there can be of anything anywhere: what a JSON number holds exactly.
pub(crate) const MAX_LEVEL: i64 = (1 << 53) - 1;

/// A stock-keeping unit: 1 to 64 visible characters with single blanks between them, unique without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Sku(String);

impl Sku {
    /// As it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes it unique.
    pub fn key(&self) -> String {
        Self::key_of(&self.0)
    }

    /// What would make a text unique as a SKU, for whoever looks for one.
    pub fn key_of(text: &str) -> String {
        text.to_lowercase()
    }
}

impl FromStr for Sku {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_spaced_well = text.trim() == text && !text.contains("  ");
        if !(1..=64).contains(&text.chars().count()) || !text.chars().all(is_visible) || !is_spaced_well {
            let message = "must have 1 to 64 visible characters, with single blanks at most between them";
            return Err(Invalid { code: "invalid_sku", message: message.into() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromJson for Sku {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl JsonSchema for Sku {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sku".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": 64, "examples": ["LAP-1"]})
    }
}

/// What there is of a product at a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Of what.
    pub product_id: Uuid,
    /// Where.
    pub location_id: Uuid,
    /// What lies there.
    pub on_hand: i64,
    /// How much of it orders hold; more than lies there where some is backordered, or was counted away.
    pub allocated: i64,
    /// How much of what lies there can't be sold.
    pub unavailable: i64,
    /// How much more may be allocated than there is.
    pub backorder_limit: i64,
    /// At MAIN, the product's: how little may be free of it everywhere before it should be bought; none if nobody asked, or it isn't tracked or not sold.
    pub reorder_point: Option<i64>,
    /// Rises with each movement.
    pub version: i64,
    /// When the last one was; each is later than the one before.
    pub updated_at: Timestamp,
}

/// What the catalogue says of a product's stock. Its level at MAIN has a copy, so that what may be allocated, and whether it runs low, is decided by levels alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whose.
    pub product_id: Uuid,
    /// How much more may be allocated than there is.
    pub backorder_limit: i64,
    /// How little may be free before it should be bought; none if nobody asked, or it isn't tracked or not sold.
    pub reorder_point: Option<i64>,
}

impl Level {
    /// A level that nothing has moved yet.
    pub(crate) fn empty(product_id: Uuid, location_id: Uuid) -> Self {
        Self {
            product_id,
            location_id,
            on_hand: 0,
            allocated: 0,
            unavailable: 0,
            backorder_limit: 0,
            reorder_point: None,
            version: 0,
            updated_at: Timestamp(0),
        }
    }

    /// What is there and nobody's; less than nothing if orders hold more than there is.
    pub fn free(&self) -> i64 {
        self.on_hand - self.unavailable - self.allocated
    }

    /// How much can still be allocated here, backorders included.
    pub(crate) fn room(&self) -> i64 {
        (self.free() + self.backorder_limit).max(0)
    }
}

/// How a movement changes a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// More, or less, on hand.
    pub on_hand: i64,
    /// More, or less, held by orders.
    pub allocated: i64,
    /// More, or less, that can't be sold.
    pub unavailable: i64,
}

impl Add for Delta {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            on_hand: self.on_hand + more.on_hand,
            allocated: self.allocated + more.allocated,
            unavailable: self.unavailable + more.unavailable,
        }
    }
}

/// Why a level changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Goods came in.
    Receive,
    /// Somebody put the figure right.
    Adjust,
    /// It was counted.
    Count,
    /// It can't be sold, or can be again.
    Quarantine,
    /// It left for another location.
    TransferOut,
    /// It came from another location.
    TransferIn,
    /// An order holds it.
    Allocate,
    /// An order doesn't hold it any more.
    Release,
    /// It left for a customer.
    Ship,
    /// A customer sent it back.
    Return,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Receive,
        Self::Adjust,
        Self::Count,
        Self::Quarantine,
        Self::TransferOut,
        Self::TransferIn,
        Self::Allocate,
        Self::Release,
        Self::Ship,
        Self::Return,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Adjust => "adjust",
            Self::Count => "count",
            Self::Quarantine => "quarantine",
            Self::TransferOut => "transfer_out",
            Self::TransferIn => "transfer_in",
            Self::Allocate => "allocate",
            Self::Release => "release",
            Self::Ship => "ship",
            Self::Return => "return",
        }
    }

    /// Whether every order that is placed or shipped writes such a row, so that most of the ledger is of it.
    pub fn is_frequent(self) -> bool {
        matches!(self, Self::Allocate | Self::Ship)
    }

    /// What it is called among the events.
    pub(crate) fn event_type(self) -> EventType {
        match self {
            Self::Receive => EventType::StockReceived,
            Self::Adjust => EventType::StockAdjusted,
            Self::Count => EventType::StockCounted,
            Self::Quarantine => EventType::StockQuarantined,
            Self::TransferOut => EventType::StockTransferredOut,
            Self::TransferIn => EventType::StockTransferredIn,
            Self::Allocate => EventType::StockAllocated,
            Self::Release => EventType::StockReleased,
            Self::Ship => EventType::StockShipped,
            Self::Return => EventType::StockReturned,
        }
    }

    /// The kind of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl Column for Kind {
    fn from_value(value: Value<'_>) -> Option<Self> {
        if let Value::Text(word) = value { Self::parse(word) } else { None }
    }
}

/// What kind of thing caused a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// An order.
    Order,
    /// An adjustment; its id is the movement's.
    Adjustment,
    /// A transfer, which both its movements share.
    Transfer,
}

impl CauseKind {
    const ALL: [Self; 3] = [Self::Order, Self::Adjustment, Self::Transfer];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Adjustment => "adjustment",
            Self::Transfer => "transfer",
        }
    }
}

impl Column for CauseKind {
    fn from_value(value: Value<'_>) -> Option<Self> {
        let Value::Text(word) = value else { return None };
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What caused a movement; no step of it can move the same level twice in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What kind of thing it was.
    pub kind: CauseKind,
    /// Which.
    pub id: Uuid,
    /// Which of its steps: an order's version.
    pub step: i64,
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Its own id.
    pub id: Uuid,
    /// Of what.
    pub product_id: Uuid,
    /// Where.
    pub location_id: Uuid,
    /// Why.
    pub kind: Kind,
    /// How the level changed.
    pub delta: Delta,
    /// What lay there then.
    pub on_hand_after: i64,
    /// What orders held then.
    pub allocated_after: i64,
    /// What caused it.
    pub cause: Cause,
    /// A reason code.
    pub reason: Option<String>,
    /// What one cost, of what came in.
    pub unit_cost_minor: Option<i64>,
    /// Who did it; nobody if it happened by itself.
    pub actor_id: Option<Uuid>,
    /// By which request.
    pub request_id: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// Less of a product than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Of what.
    pub product_id: Uuid,
    /// How much was asked for.
    pub requested: i64,
    /// How much there is to have.
    pub available: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_is_short_visible_and_spaced_well() {
        for good in ["LAP-1", "a", "Ä 7/9", "x".repeat(64).as_str()] {
            assert_eq!(good.parse::<Sku>().unwrap().as_str(), good);
        }
        assert_eq!("Lap-1".parse::<Sku>().unwrap().key(), "lap-1");
        for bad in [
            "",
            " ",
            " a",
            "a ",
            "a  b",
            "a\tb",
            "a\u{a0}b",
            "a\u{200b}b",
            "\u{feff}a",
            "a\0",
            "x".repeat(65).as_str(),
        ] {
            assert!(bad.parse::<Sku>().is_err(), "{bad:?}");
        }
    }
}
