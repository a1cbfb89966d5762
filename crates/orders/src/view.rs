//! What answers show of an order.

use kit::clock::Timestamp;
use kit::money::{Currency, Money};
use kit::text::StoredJson;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use uuid::Uuid;

use crate::lifecycle::{
    FulfilmentStatus, PaymentStatus, Status, allowed_transitions, fulfilment_status, payment_status,
};
use crate::model::{Line, Order};
use crate::store::HistoryRow;

/// An order.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Order")]
pub(crate) struct OrderView {
    id: Uuid,
    /// Rises from 1001; gaps are possible.
    number: i64,
    /// Whose it is.
    user_id: Uuid,
    status: Status,
    fulfilment_status: FulfilmentStatus,
    payment_status: PaymentStatus,
    lines: Vec<LineView>,
    /// The first line's name.
    product_name: String,
    /// All lines' quantities.
    quantity: i64,
    total_price: Money,
    currency: Currency,
    /// What was paid so far.
    paid: Money,
    /// How much of that was given back.
    refunded: Money,
    note: Option<String>,
    /// A text or an object, as it was sent.
    ship_to: Option<ShipToView>,
    external_id: Option<String>,
    metadata: StoredJson,
    /// The steps that the caller may take now.
    allowed_transitions: Vec<&'static str>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A line of an order.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderLine")]
struct LineView {
    id: Uuid,
    sku: Option<String>,
    product_id: Option<Uuid>,
    name: String,
    quantity: i64,
    /// How many were shipped.
    shipped: i64,
    /// How many of these have arrived.
    delivered: i64,
    /// How many came back.
    returned: i64,
    /// Whether it takes stock, decided when the line was written: not of what is free text, or was no tracked product then.
    takes_stock: bool,
    /// Null where the total doesn't divide.
    unit_price: Option<Money>,
    total_price: Money,
}

#[derive(Serialize)]
#[serde(transparent)]
struct ShipToView(StoredJson);

impl JsonSchema for ShipToView {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ShipToView".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "object"], "additionalProperties": true})
    }
}

impl OrderView {
    /// The order as staff or its owner sees it.
    pub(crate) fn new(order: Order, is_staff: bool) -> Self {
        let currency = order.total.currency();
        Self {
            id: order.id,
            number: order.number,
            user_id: order.user_id,
            status: order.status,
            fulfilment_status: fulfilment_status(&order),
            payment_status: payment_status(&order),
            product_name: order.lines.first().map(|line| line.name.clone()).unwrap_or_default(),
            quantity: order.lines.iter().map(|line| line.quantity).sum(),
            total_price: order.total,
            paid: money(order.paid_minor, currency),
            refunded: money(order.refunded_minor, currency),
            currency,
            allowed_transitions: allowed_transitions(&order, is_staff),
            lines: order.lines.into_iter().map(|line| LineView::new(line, currency)).collect(),
            note: order.note,
            ship_to: order.ship_to.map(|json| ShipToView(StoredJson(json))),
            external_id: order.external_id,
            metadata: StoredJson(order.metadata),
            version: order.version,
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

impl LineView {
    fn new(line: Line, currency: Currency) -> Self {
        Self {
            id: line.id,
            sku: line.sku,
            product_id: line.product_id,
            name: line.name,
            quantity: line.quantity,
            shipped: line.shipped,
            delivered: line.delivered,
            returned: line.returned,
            takes_stock: line.takes_stock,
            unit_price: line.unit_minor.and_then(|minor| Money::from_minor(minor, currency)),
            total_price: money(line.total_minor, currency),
        }
    }
}

/// A stored amount.
fn money(minor: i64, currency: Currency) -> Money {
    Money::from_minor(minor, currency).unwrap_or_else(|| Money::zero(currency))
}

/// One change of an order.
#[derive(Serialize, JsonSchema)]
pub(crate) struct HistoryView {
    id: Uuid,
    /// `place`, `change`, `delete`, `expire`, or the name of a step.
    action: &'static str,
    /// The status before; null when the order was placed.
    from: Option<&'static str>,
    /// The status after.
    to: &'static str,
    /// Who did it; null if it happened by itself.
    actor_id: Option<Uuid>,
    /// Why.
    reason: Option<String>,
    /// What else was said: lines, carrier, tracking, amount, fields; of a change of lines, `before` and `after` with the total and the lines that only the one or the other has, 50 at most and how many `more` there are.
    details: StoredJson,
    /// The request that did it.
    request_id: Option<String>,
    created_at: Timestamp,
}

impl From<HistoryRow> for HistoryView {
    fn from(row: HistoryRow) -> Self {
        Self {
            id: row.id,
            action: row.action.as_str(),
            from: row.from.map(Status::as_str),
            to: row.to.as_str(),
            actor_id: row.actor_id,
            reason: row.reason,
            details: StoredJson(row.details),
            request_id: row.request_id,
            created_at: row.created_at,
        }
    }
}
