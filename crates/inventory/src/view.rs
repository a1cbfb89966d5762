//! What answers show.

use kit::clock::Timestamp;
use kit::money::{Currency, Money};
use kit::text::StoredJson;
use schemars::JsonSchema;
use serde::Serialize;
use stock::{CauseKind, Kind, Movement};
use uuid::Uuid;

use crate::model::{Figures, Location, Product};

/// A product; some of it is for staff alone.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Product")]
pub(crate) struct ProductView {
    id: Uuid,
    sku: String,
    name: String,
    description: Option<String>,
    barcode: Option<String>,
    /// The category's name.
    category: Option<String>,
    unit_price: Money,
    /// For staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_cost: Option<Option<Money>>,
    currency: Currency,
    attributes: StoredJson,
    /// Whether orders take it from stock.
    track_stock: bool,
    /// How many may be sold beyond what there is.
    backorder_limit: i64,
    reorder_point: Option<i64>,
    reorder_quantity: Option<i64>,
    /// Whether it is sold.
    active: bool,
    external_id: Option<String>,
    metadata: StoredJson,
    stock: StockView,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What there is of a product at all locations; only `available` is for everybody.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ProductStock")]
struct StockView {
    /// What lies there.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_hand: Option<i64>,
    /// How much of it orders hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    allocated: Option<i64>,
    /// How much of it can't be sold.
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable: Option<i64>,
    /// `on_hand - unavailable - allocated`, and what may be backordered; null for a product that isn't tracked. For staff it is less than nothing
    /// where stock was counted away under orders, for others never.
    available: Option<i64>,
    /// How much is on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    incoming: Option<i64>,
}

impl ProductView {
    /// The product as staff or a customer sees it.
    pub(crate) fn new(product: Product, is_staff: bool) -> Self {
        let stock = StockView::new(&product, is_staff);
        Self {
            id: product.id,
            currency: product.currency(),
            sku: product.sku,
            name: product.name,
            description: product.description,
            barcode: product.barcode,
            category: product.category.map(|category| category.name),
            unit_price: product.price,
            unit_cost: is_staff.then_some(product.cost),
            attributes: StoredJson(product.attributes),
            track_stock: product.track_stock,
            backorder_limit: product.backorder_limit,
            reorder_point: product.reorder_point,
            reorder_quantity: product.reorder_quantity,
            active: product.active,
            external_id: product.external_id,
            metadata: StoredJson(product.metadata),
            stock,
            version: product.version,
            created_at: product.created_at,
            updated_at: product.updated_at,
        }
    }
}

impl StockView {
    fn new(product: &Product, is_staff: bool) -> Self {
        let for_staff = |figure: i64| is_staff.then_some(figure);
        Self {
            on_hand: for_staff(product.stock.on_hand),
            allocated: for_staff(product.stock.allocated),
            unavailable: for_staff(product.stock.unavailable),
            available: product.available().map(|figure| if is_staff { figure } else { figure.max(0) }),
            incoming: for_staff(0),
        }
    }
}

/// A category of products.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Category")]
pub(crate) struct CategoryView {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
}

/// A word for why stock was changed.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "ReasonCode")]
pub(crate) struct ReasonCodeView {
    pub(crate) code: String,
    pub(crate) description: String,
    pub(crate) created_at: Timestamp,
}

/// Where goods lie.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Location")]
pub(crate) struct LocationView {
    id: Uuid,
    code: String,
    name: String,
    /// Orders are filled from MAIN, then from the location with the lowest.
    priority: i64,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Location> for LocationView {
    fn from(location: Location) -> Self {
        let Location { id, code, name, priority, version, created_at, updated_at } = location;
        Self { id, code, name, priority, version, created_at, updated_at }
    }
}

/// What there is of a product at a location.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StockLevel")]
pub(crate) struct LevelView {
    pub(crate) product_id: Uuid,
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) location_id: Uuid,
    /// The location's code.
    pub(crate) location: String,
    /// What lies there.
    pub(crate) on_hand: i64,
    /// How much of it orders hold.
    pub(crate) allocated: i64,
    /// How much of it can't be sold.
    pub(crate) unavailable: i64,
    /// `on_hand - unavailable - allocated`, and at MAIN what may be backordered; null for a product that isn't tracked.
    pub(crate) available: Option<i64>,
    pub(crate) updated_at: Timestamp,
}

/// A row of the ledger.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StockMovement")]
pub(crate) struct MovementView {
    id: Uuid,
    product_id: Uuid,
    location_id: Uuid,
    kind: Kind,
    on_hand_delta: i64,
    allocated_delta: i64,
    unavailable_delta: i64,
    on_hand_after: i64,
    allocated_after: i64,
    cause: CauseView,
    /// A reason code.
    reason: Option<String>,
    /// What one cost, of what came in.
    unit_cost: Option<Money>,
    /// Who did it; null if it happened by itself.
    actor_id: Option<Uuid>,
    /// The request that did it.
    request_id: Option<String>,
    created_at: Timestamp,
}

/// What caused a movement.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MovementCause")]
struct CauseView {
    kind: CauseKind,
    /// The order's, the transfer's or the adjustment's id.
    id: Uuid,
    /// Of an order, its version after the step.
    step: i64,
}

impl MovementView {
    /// A movement of a product that is priced in this currency.
    pub(crate) fn new(movement: Movement, currency: Currency) -> Self {
        Self {
            id: movement.id,
            product_id: movement.product_id,
            location_id: movement.location_id,
            kind: movement.kind,
            on_hand_delta: movement.delta.on_hand,
            allocated_delta: movement.delta.allocated,
            unavailable_delta: movement.delta.unavailable,
            on_hand_after: movement.on_hand_after,
            allocated_after: movement.allocated_after,
            cause: CauseView { kind: movement.cause.kind, id: movement.cause.id, step: movement.cause.step },
            reason: movement.reason,
            unit_cost: movement.unit_cost_minor.and_then(|minor| Money::from_minor(minor, currency)),
            actor_id: movement.actor_id,
            request_id: movement.request_id,
            created_at: movement.created_at,
        }
    }
}

/// Goods that changed their place: the movement out of one location, and that into the other.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StockTransfer")]
pub(crate) struct TransferView {
    pub(crate) movements: Vec<MovementView>,
}

/// What an import did, or would do.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Import")]
pub struct ImportView {
    /// How many rows the file has below its header.
    pub rows: usize,
    /// How many products or levels are new.
    pub created: usize,
    /// How many were changed.
    pub changed: usize,
    /// How many were so already.
    pub unchanged: usize,
    /// How many categories were made for them.
    pub new_categories: usize,
    /// Whether nothing was stored.
    pub dry_run: bool,
}

/// A product that should be bought.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReorderItem")]
pub(crate) struct ReorderView {
    pub(crate) product_id: Uuid,
    pub(crate) sku: String,
    pub(crate) name: String,
    /// What is there and nobody's, at all locations; what may be backordered doesn't count.
    pub(crate) free: i64,
    pub(crate) reorder_point: i64,
    pub(crate) reorder_quantity: Option<i64>,
    /// What lifts it above its reorder point, in whole lots of the product's reorder quantity, if it has one.
    pub(crate) suggested_quantity: i64,
}

/// Where a product's units are.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Availability")]
pub(crate) struct AvailabilityView {
    pub(crate) product_id: Uuid,
    pub(crate) sku: String,
    pub(crate) on_hand: i64,
    pub(crate) allocated: i64,
    pub(crate) unavailable: i64,
    /// Null for a product that isn't tracked.
    pub(crate) available: Option<i64>,
    pub(crate) incoming: i64,
    pub(crate) backorder_limit: i64,
    pub(crate) locations: Vec<PlaceView>,
    /// With `explain=true`: who holds what, and why it can't be sold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) explanation: Option<ExplanationView>,
}

/// What lies at one location.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AvailabilityAtLocation")]
pub(crate) struct PlaceView {
    location_id: Uuid,
    /// The location's code.
    location: String,
    on_hand: i64,
    allocated: i64,
    unavailable: i64,
    /// Null for a product that isn't tracked.
    available: Option<i64>,
}

impl PlaceView {
    pub(crate) fn new(location_id: Uuid, location: String, figures: Figures, available: Option<i64>) -> Self {
        let Figures { on_hand, allocated, unavailable, .. } = figures;
        Self { location_id, location, on_hand, allocated, unavailable, available }
    }
}

/// Who holds what of a product, and why some of it can't be sold. Each list has its largest part first, or its newest, and an end; with what is told of the rest it
/// adds up to the product's figure.
#[derive(Default, Serialize, JsonSchema)]
#[schemars(rename = "AvailabilityExplanation")]
pub(crate) struct ExplanationView {
    /// The orders that hold some, at most 1,000, the largest first.
    pub(crate) allocated: Vec<AllocatedView>,
    /// Whether more orders hold some.
    pub(crate) allocated_has_more: bool,
    /// What these hold together. `GET /orders?sku=` lists them, as long as the product's SKU stays the same.
    pub(crate) allocated_rest: RestView,
    /// What was put aside and given free again, at most the newest 200.
    pub(crate) unavailable: Vec<UnavailableView>,
    /// Whether more was put aside before.
    pub(crate) unavailable_has_more: bool,
    /// What that comes to. `GET /stock/movements?product_id=` lists it.
    pub(crate) unavailable_rest: RestView,
}

/// What a list has no place for.
#[derive(Default, Serialize, JsonSchema)]
#[schemars(rename = "AvailabilityRest")]
pub(crate) struct RestView {
    /// So many more rows.
    pub(crate) count: i64,
    /// So many units in them, in all.
    pub(crate) quantity: i64,
}

/// What an order holds at a location.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AllocatedToOrder")]
pub(crate) struct AllocatedView {
    pub(crate) order_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) quantity: i64,
}

/// What was put aside, or with a minus given free again.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UnavailableBecause")]
pub(crate) struct UnavailableView {
    pub(crate) movement_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) quantity: i64,
    /// A reason code.
    pub(crate) reason: Option<String>,
    pub(crate) actor_id: Option<Uuid>,
    pub(crate) created_at: Timestamp,
}
