//! The bodies as the OpenAPI document shows them. A test sends what these say, and what they don't.
#![expect(dead_code, reason = "these types describe what `body` reads; none is ever made")]

use kit::money::{Amount, Currency};
use kit::openapi::refuse_null;
use kit::text::{Quantity, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use stock::Sku;
use uuid::Uuid;

use crate::body::{self, StepLine, Target};
use crate::model::{ExternalId, Metadata, Name, Note, ShipTo};

/// Either the original system's order, or lines.
#[derive(JsonSchema)]
#[serde(untagged)]
enum PlaceOrder {
    FreeText(FreeTextOrder),
    Listed(ListedOrder),
}

/// The original system's order: a free-text line that takes no stock.
#[derive(JsonSchema)]
struct FreeTextOrder {
    product_name: Name,
    quantity: Quantity,
    total_price: Amount,
    currency: Option<Currency>,
    note: Option<Note>,
    ship_to: Option<ShipTo>,
    external_id: Option<ExternalId>,
    metadata: Option<Metadata>,
    /// Staff only: for whom.
    user_id: Option<Uuid>,
}

/// An order of listed lines.
#[derive(JsonSchema)]
struct ListedOrder {
    #[schemars(length(min = 1, max = 500))]
    lines: Vec<NewLine>,
    /// ISO 4217. If left out, that of the products; without products, the setting `CURRENCY`.
    currency: Option<Currency>,
    note: Option<Note>,
    ship_to: Option<ShipTo>,
    external_id: Option<ExternalId>,
    metadata: Option<Metadata>,
    /// Staff only: for whom.
    user_id: Option<Uuid>,
}

/// A line of stock, or for staff a free one.
#[derive(JsonSchema)]
#[serde(untagged)]
enum NewLine {
    Stock(StockLine),
    Free(FreeLine),
}

/// So much of a product, priced by the catalogue.
#[derive(JsonSchema)]
struct StockLine {
    sku: Sku,
    quantity: Quantity,
}

/// Staff only: shipping, one-offs.
#[derive(JsonSchema)]
struct FreeLine {
    name: Name,
    quantity: Quantity,
    unit_price: Amount,
}

/// Only what is named changes; `null` clears.
#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["product_name", "quantity", "total_price", "lines", "status"]))]
struct ChangeOrder {
    /// While pending, of an order of one line without a product; by its owner unless staff named the price.
    product_name: Option<Name>,
    /// While pending, of an order of one line without a product; by its owner unless staff named the price.
    quantity: Option<Quantity>,
    /// While pending, of an order of one line without a product; by its owner unless staff named the price.
    total_price: Option<Amount>,
    /// While pending.
    #[schemars(length(min = 1, max = 500))]
    lines: Option<Vec<NewLine>>,
    note: Option<Note>,
    ship_to: Option<ShipTo>,
    external_id: Option<ExternalId>,
    metadata: Option<Metadata>,
    /// A state to go to, or a step to take on all that is open.
    status: Option<Target>,
}

#[derive(JsonSchema)]
struct PlainStep {
    reason: Option<Text<1000>>,
}

#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["lines", "restock"]))]
struct GoodsStep {
    /// All that is open, if left out.
    #[schemars(length(min = 1, max = 500))]
    lines: Option<Vec<StepLine>>,
    carrier: Option<Text<200>>,
    tracking: Option<Text<200>>,
    /// Whether what comes back can be sold again; true if left out.
    restock: Option<bool>,
    reason: Option<Text<1000>>,
}

#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["amount"]))]
struct PayStep {
    /// All that is open, if left out.
    amount: Option<Amount>,
    method: Option<Text<200>>,
    reference: Option<Text<200>>,
    reason: Option<Text<1000>>,
}

#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["amount"]))]
struct RefundStep {
    /// All that can be given back, if left out.
    amount: Option<Amount>,
    reason: Option<Text<1000>>,
}

/// Lets a body's type be described by the type of the same name here.
macro_rules! described_here {
    ($($name:ident),*) => {
        $(impl JsonSchema for body::$name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name::schema_name()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                $name::json_schema(generator)
            }
        })*
    };
}

described_here!(PlaceOrder, ChangeOrder, PlainStep, GoodsStep, PayStep, RefundStep);
