//! What an event tells besides what it is about. No personal data, only ids: a person who is deleted leaves nothing here.

use kit::money::Money;
use kit::text::StoredJson;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// What an event tells.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "EventData")]
pub enum Data {
    /// `order.*`
    Order(OrderChange),
    /// `stock.*`, all but `stock.low`
    Stock(StockMove),
    /// As it was recorded: the types below.
    Recorded(#[schemars(with = "Recorded")] StoredJson),
}

/// What was recorded with an event.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "describes what stands in `Data::Recorded`")]
enum Recorded {
    /// `stock.low`
    LowStock(LowStock),
    /// `product.*`
    Product(ProductChange),
    /// `user.*`
    User(UserChange),
    /// `webhook.*`
    Webhook(WebhookChange),
}

/// A change of an order, as its history has it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OrderEventData")]
pub struct OrderChange {
    /// The order's number.
    pub number: i64,
    /// Whose order it is.
    pub user_id: Uuid,
    /// The status before; null when the order was placed.
    pub from: Option<String>,
    /// The status after.
    pub to: String,
    /// Why.
    pub reason: Option<String>,
    /// What else was said, as in the order's history.
    pub details: StoredJson,
}

/// A row of the ledger.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StockEventData")]
pub struct StockMove {
    /// The movement's id.
    pub movement_id: Uuid,
    /// The product's SKU, as it is now.
    pub sku: String,
    /// Where.
    pub location_id: Uuid,
    /// More, or less, on hand.
    pub on_hand_delta: i64,
    /// More, or less, held by orders.
    pub allocated_delta: i64,
    /// More, or less, that can't be sold.
    pub unavailable_delta: i64,
    /// What lay there then.
    pub on_hand_after: i64,
    /// What orders held then.
    pub allocated_after: i64,
    /// What caused it.
    pub cause: Cause,
    /// A reason code.
    pub reason: Option<String>,
    /// What one cost, of what came in.
    pub unit_cost: Option<Money>,
}

/// What caused a movement.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EventCause")]
pub struct Cause {
    /// `order`, `adjustment` or `transfer`.
    pub kind: String,
    /// The order's, the transfer's or the adjustment's id.
    pub id: Uuid,
    /// Of an order, its version after the step.
    pub step: i64,
}

/// What is free of a product fell to its reorder point.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LowStockEventData")]
pub struct LowStock {
    /// What is there and nobody's, at all locations.
    pub free: i64,
    /// The product's reorder point.
    pub reorder_point: i64,
}

/// What became of a product.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProductEventData")]
pub struct ProductChange {
    /// The product's SKU after it.
    pub sku: String,
    /// The fields that were changed; empty where it was added, archived or removed.
    pub fields: Vec<&'static str>,
    /// What one costs after it.
    pub unit_price: Money,
    /// Whether it is for sale after it.
    pub active: bool,
    /// The product's version after it.
    pub version: i64,
}

/// What became of an account.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "UserEventData")]
pub struct UserChange {
    /// The fields that were changed; empty where it was made or removed.
    pub fields: Vec<&'static str>,
    /// What the account may do after it.
    pub role: &'static str,
    /// Whether logging in is refused after it.
    pub disabled: bool,
}

/// What became of a webhook.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookEventData")]
pub struct WebhookChange {
    /// Why it gets nothing more.
    pub reason: String,
}
