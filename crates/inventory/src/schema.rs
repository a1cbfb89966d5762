//! The bodies as the OpenAPI document shows them. A test sends what these say, and what they don't.
#![expect(dead_code, reason = "these types describe what `body` reads; none is ever made")]

use kit::money::{Amount, Currency};
use kit::openapi::refuse_null;
use kit::text::{Quantity, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use stock::Sku;
use uuid::Uuid;

use crate::body::{self, AdjustmentKind};
use crate::model::{Barcode, Count, Description, ExternalId, Label, Metadata, Name, ReasonCode, Reference};

/// A new product.
#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["track_stock", "backorder_limit", "active"]))]
struct CreateProduct {
    sku: Sku,
    name: Name,
    description: Option<Description>,
    barcode: Option<Barcode>,
    /// A category's name or id.
    category: Option<Reference>,
    unit_price: Amount,
    unit_cost: Option<Amount>,
    currency: Option<Currency>,
    attributes: Option<Metadata>,
    /// Whether orders take it from stock; true if left out.
    track_stock: Option<bool>,
    /// How many may be sold beyond what there is; 0 if left out.
    backorder_limit: Option<Count>,
    /// With so many left, or fewer, it stands on the reorder list.
    reorder_point: Option<Count>,
    reorder_quantity: Option<Quantity>,
    /// Whether it is sold; true if left out.
    active: Option<bool>,
    external_id: Option<ExternalId>,
    metadata: Option<Metadata>,
}

/// Only what is named changes; `null` clears.
#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["sku", "name", "unit_price", "currency", "track_stock", "backorder_limit", "active"]))]
struct ChangeProduct {
    sku: Option<Sku>,
    name: Option<Name>,
    description: Option<Description>,
    barcode: Option<Barcode>,
    /// A category's name or id.
    category: Option<Reference>,
    unit_price: Option<Amount>,
    unit_cost: Option<Amount>,
    /// Together with the prices, and only of a product that nothing happened to yet.
    currency: Option<Currency>,
    attributes: Option<Metadata>,
    track_stock: Option<bool>,
    backorder_limit: Option<Count>,
    reorder_point: Option<Count>,
    reorder_quantity: Option<Quantity>,
    active: Option<bool>,
    external_id: Option<ExternalId>,
    metadata: Option<Metadata>,
}

/// A new category.
#[derive(JsonSchema)]
struct CreateCategory {
    name: Label,
}

/// A new reason code.
#[derive(JsonSchema)]
struct CreateReasonCode {
    code: ReasonCode,
    description: Text<200>,
}

/// A new location.
#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["priority"]))]
struct CreateLocation {
    code: Label,
    name: Name,
    /// Orders are filled from MAIN, then from the location with the lowest; 100 if left out.
    priority: Option<Count>,
}

/// Only what is named changes.
#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["code", "name", "priority"]))]
struct ChangeLocation {
    code: Option<Label>,
    name: Option<Name>,
    priority: Option<Count>,
}

/// A change of what lies at a location; the product is named by `product_id` or `sku`.
#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["product_id", "sku", "expected_on_hand", "unit_cost"]))]
struct AdjustStock {
    product_id: Option<Uuid>,
    sku: Option<Sku>,
    /// A location's code or id; MAIN if left out.
    location: Option<Reference>,
    kind: AdjustmentKind,
    /// `receive`: 1 or more. `count`: 0 or more. `adjust` and `quarantine`: more, or with a minus less.
    #[schemars(range(min = -1_000_000_000, max = 1_000_000_000))]
    quantity: i64,
    /// A reason code.
    reason: Option<Reference>,
    /// Nothing is changed unless so many are on hand.
    expected_on_hand: Option<Count>,
    /// What one cost, of what came in.
    unit_cost: Option<Amount>,
}

/// Goods that change their place; the product is named by `product_id` or `sku`.
#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["product_id", "sku"]))]
struct TransferStock {
    product_id: Option<Uuid>,
    sku: Option<Sku>,
    /// A location's code or id.
    from: Reference,
    /// Another location's code or id.
    to: Reference,
    quantity: Quantity,
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

described_here!(
    CreateProduct,
    ChangeProduct,
    CreateCategory,
    CreateReasonCode,
    CreateLocation,
    ChangeLocation,
    AdjustStock,
    TransferStock
);
