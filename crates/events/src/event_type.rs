//! The one list of all types of events.

use db::{Column, Value};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// What happened. A type, once released, keeps its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// An order was placed.
    OrderPlaced,
    /// What an order carries was changed.
    OrderChanged,
    /// An order was confirmed.
    OrderConfirmed,
    /// An order was halted.
    OrderHeld,
    /// A halted order goes on.
    OrderReleased,
    /// An order was called off.
    OrderCancelled,
    /// Goods were shipped.
    OrderShipped,
    /// Goods arrived.
    OrderDelivered,
    /// Goods came back.
    OrderReturned,
    /// Money came in.
    OrderPaid,
    /// Money was given back.
    OrderRefunded,
    /// An order was pending for too long.
    OrderExpired,
    /// An order that was over was hidden from its owner.
    OrderDeleted,
    /// Goods came in.
    StockReceived,
    /// A level was put right.
    StockAdjusted,
    /// A level was counted.
    StockCounted,
    /// Goods can't be sold, or can be again.
    StockQuarantined,
    /// Goods left for another location.
    StockTransferredOut,
    /// Goods came from another location.
    StockTransferredIn,
    /// An order holds goods.
    StockAllocated,
    /// An order doesn't hold them any more.
    StockReleased,
    /// Goods left for a customer.
    StockShipped,
    /// A customer sent goods back.
    StockReturned,
    /// What is free of a product fell to its reorder point.
    StockLow,
    /// A product was added.
    ProductCreated,
    /// A product was changed.
    ProductChanged,
    /// A product was taken off sale and kept.
    ProductArchived,
    /// A product that nothing ever happened to was removed.
    ProductDeleted,
    /// An account was made.
    UserCreated,
    /// An account was changed.
    UserChanged,
    /// An account was removed.
    UserDeleted,
    /// A webhook that failed for too long gets nothing more.
    WebhookDisabled,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// An order.
    Order,
    /// A product, its stock too.
    Product,
    /// An account.
    User,
    /// A webhook.
    Webhook,
}

impl EventType {
    /// All of them, each with its word and what it is about.
    pub const ALL: &[(Self, &'static str, ObjectKind)] = &[
        (Self::OrderPlaced, "order.placed", ObjectKind::Order),
        (Self::OrderChanged, "order.changed", ObjectKind::Order),
        (Self::OrderConfirmed, "order.confirmed", ObjectKind::Order),
        (Self::OrderHeld, "order.held", ObjectKind::Order),
        (Self::OrderReleased, "order.released", ObjectKind::Order),
        (Self::OrderCancelled, "order.cancelled", ObjectKind::Order),
        (Self::OrderShipped, "order.shipped", ObjectKind::Order),
        (Self::OrderDelivered, "order.delivered", ObjectKind::Order),
        (Self::OrderReturned, "order.returned", ObjectKind::Order),
        (Self::OrderPaid, "order.paid", ObjectKind::Order),
        (Self::OrderRefunded, "order.refunded", ObjectKind::Order),
        (Self::OrderExpired, "order.expired", ObjectKind::Order),
        (Self::OrderDeleted, "order.deleted", ObjectKind::Order),
        (Self::StockReceived, "stock.received", ObjectKind::Product),
        (Self::StockAdjusted, "stock.adjusted", ObjectKind::Product),
        (Self::StockCounted, "stock.counted", ObjectKind::Product),
        (Self::StockQuarantined, "stock.quarantined", ObjectKind::Product),
        (Self::StockTransferredOut, "stock.transferred_out", ObjectKind::Product),
        (Self::StockTransferredIn, "stock.transferred_in", ObjectKind::Product),
        (Self::StockAllocated, "stock.allocated", ObjectKind::Product),
        (Self::StockReleased, "stock.released", ObjectKind::Product),
        (Self::StockShipped, "stock.shipped", ObjectKind::Product),
        (Self::StockReturned, "stock.returned", ObjectKind::Product),
        (Self::StockLow, "stock.low", ObjectKind::Product),
        (Self::ProductCreated, "product.created", ObjectKind::Product),
        (Self::ProductChanged, "product.changed", ObjectKind::Product),
        (Self::ProductArchived, "product.archived", ObjectKind::Product),
        (Self::ProductDeleted, "product.deleted", ObjectKind::Product),
        (Self::UserCreated, "user.created", ObjectKind::User),
        (Self::UserChanged, "user.changed", ObjectKind::User),
        (Self::UserDeleted, "user.deleted", ObjectKind::User),
        (Self::WebhookDisabled, "webhook.disabled", ObjectKind::Webhook),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// What it is about.
    pub fn object_kind(self) -> ObjectKind {
        self.row().2
    }

    /// The type of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == word).map(|(found, ..)| *found)
    }

    /// The list stands in the order of the variants, which a test holds.
    fn row(self) -> &'static (Self, &'static str, ObjectKind) {
        &Self::ALL[self as usize]
    }
}

impl Column for EventType {
    fn from_value(value: Value<'_>) -> Option<Self> {
        if let Value::Text(word) = value { Self::parse(word) } else { None }
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl JsonSchema for EventType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = Self::ALL.iter().map(|(_, word, _)| *word).collect();
        json_schema!({"type": "string", "enum": words})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_stands_in_the_order_of_the_variants() {
        for (index, (event_type, word, kind)) in EventType::ALL.iter().enumerate() {
            assert_eq!(*event_type as usize, index);
            assert_eq!((event_type.as_str(), event_type.object_kind()), (*word, *kind));
            assert_eq!(EventType::parse(word), Some(*event_type));
        }
        assert_eq!(EventType::ALL.len(), EventType::WebhookDisabled as usize + 1);
        assert_eq!(EventType::parse("order.lost"), None);
    }
}
