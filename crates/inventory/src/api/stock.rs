//! Levels of stock, their changes and the ledger, for staff.

use std::sync::Arc;

use axum::extract::State;
use futures_util::FutureExt;
use kit::answer::Created;
use kit::author::Author;
use kit::body::Body;
use kit::clock::Timestamp;
use kit::endpoint::Endpoints;
use kit::endpoint::Verb::{Get, Post};
use kit::fields::Invalid;
use kit::idempotency::IdempotencyKey;
use kit::identity::Caller;
use kit::openapi::op;
use kit::page::{Key, List, Listing, Page, Position, Sorts};
use kit::permission::{STAFF, Scope};
use kit::problem::Problem;
use kit::query::{FromParams, Params};
use schemars::JsonSchema;
use stock::Kind;
use uuid::Uuid;

use crate::Inventory;
use crate::adjust_stock::adjust_stock;
use crate::body::{AdjustStock, TransferStock};
use crate::store::figures::{ReorderItem, list_low};
use crate::store::levels::{LevelFilter, level_position, list_levels};
use crate::store::movements::{MovementFilter, list_movements, movement_position};
use crate::transfer_stock::transfer_stock;
use crate::view::{LevelView, MovementView, ReorderView, TransferView};

// What an API key must be made for.
const READ: Scope = "stock:read";
const WRITE: Scope = "stock:write";

pub(crate) fn endpoints() -> Endpoints<Inventory> {
    Endpoints::new()
        .on(
            Get,
            "/stock",
            STAFF.scope(READ),
            level_list,
            op("level_list", "List what there is, and where", &[]),
        )
        .on(
            Get,
            "/stock/reorder",
            STAFF.scope(READ),
            reorder_list,
            op("reorder_list", "List what should be bought", &[]),
        )
        .on(
            Get,
            "/stock/movements",
            STAFF.scope(READ),
            movement_list,
            op("movement_list", "List the ledger of all changes", &[]),
        )
        .on(
            Post,
            "/stock/adjustments",
            STAFF.scope(WRITE),
            stock_adjust,
            op("stock_adjust", "Receive, put right, count or set aside", &[]),
        )
        .on(
            Post,
            "/stock/transfers",
            STAFF.scope(WRITE),
            stock_transfer,
            op("stock_transfer", "Move goods to another location", &[]),
        )
}

/// What the list of levels can be filtered by.
#[derive(JsonSchema)]
pub(crate) struct LevelQuery {
    /// Only of this product.
    product_id: Option<Uuid>,
    /// Only at this location.
    location_id: Option<Uuid>,
    /// Only of products on sale that have sunk to their reorder point, or only of the others.
    low: Option<bool>,
}

impl FromParams for LevelQuery {
    fn from_params(params: &mut Params) -> Self {
        Self {
            product_id: params.id("product_id"),
            location_id: params.id("location_id"),
            low: params.flag("low"),
        }
    }
}

impl LevelQuery {
    /// As the store takes it.
    pub(crate) fn filter(self) -> LevelFilter {
        LevelFilter { product_id: self.product_id, location_id: self.location_id, low: self.low }
    }
}

impl Listing for LevelQuery {
    // The ids of products rise with the time when they were made.
    const SORTS: Sorts = &[("product_id", "product_id")];
}

/// The reorder list has no filters.
#[derive(JsonSchema)]
struct ReorderQuery {}

impl FromParams for ReorderQuery {
    fn from_params(_: &mut Params) -> Self {
        Self {}
    }
}

impl Listing for ReorderQuery {
    const SORTS: Sorts = &[("created_at", "created_at")];
}

/// What the ledger can be filtered by.
#[derive(JsonSchema)]
pub(crate) struct MovementQuery {
    /// Only of this product.
    product_id: Option<Uuid>,
    /// Only at this location.
    location_id: Option<Uuid>,
    /// Only of this kind.
    kind: Option<Kind>,
    /// Only from this moment on (RFC 3339).
    since: Option<Timestamp>,
}

impl FromParams for MovementQuery {
    fn from_params(params: &mut Params) -> Self {
        let moment = |text: &str| {
            Timestamp::parse(text)
                .ok_or_else(|| Invalid::value("must be a time such as 2026-01-31T09:30:00Z"))
        };
        let kinds =
            "receive, adjust, count, quarantine, transfer_out, transfer_in, allocate, release, ship, return";
        Self {
            product_id: params.id("product_id"),
            location_id: params.id("location_id"),
            kind: params.word("kind", Kind::parse, kinds),
            since: params.optional_with("since", moment),
        }
    }
}

impl MovementQuery {
    /// As the store takes it.
    pub(crate) fn filter(self) -> MovementFilter {
        let Self { product_id, location_id, kind, since } = self;
        MovementFilter { product_id, location_id, kind, since }
    }
}

impl Listing for MovementQuery {
    const SORTS: Sorts = &[("created_at", "created_at")];
}

async fn level_list(
    State(inventory): State<Arc<Inventory>>,
    list: List<LevelQuery>,
) -> Result<Page<LevelView>, Problem> {
    let (query, page) = (list.filter, list.page.clone());
    let filter = query.filter();
    let input = (filter, list.page);
    let found = inventory.shared.db.read(input, |tx, (filter, page)| list_levels(tx, filter, page).boxed());
    let (found, total) = found.await?;
    Ok(page.page(&inventory.shared, found, total, level_position, |level| level))
}

async fn reorder_list(
    State(inventory): State<Arc<Inventory>>,
    list: List<ReorderQuery>,
) -> Result<Page<ReorderView>, Problem> {
    let page = list.page.clone();
    let (found, total) = inventory.shared.db.read(list.page, |tx, page| list_low(tx, page).boxed()).await?;
    let position =
        |(view, created_at): &ReorderItem| Position { key: Key::Int(created_at.0), id: view.product_id };
    Ok(page.page(&inventory.shared, found, total, position, |(view, _)| view))
}

async fn movement_list(
    State(inventory): State<Arc<Inventory>>,
    list: List<MovementQuery>,
) -> Result<Page<MovementView>, Problem> {
    let (query, page) = (list.filter, list.page.clone());
    let filter = query.filter();
    let input = (filter, list.page);
    let found =
        inventory.shared.db.read(input, |tx, (filter, page)| list_movements(tx, filter, page).boxed());
    let (found, total) = found.await?;
    let view = |(movement, currency)| MovementView::new(movement, currency);
    Ok(page.page(&inventory.shared, found, total, movement_position, view))
}

async fn stock_adjust(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    author: Author,
    key: IdempotencyKey,
    body: Body<AdjustStock>,
) -> Result<Created<MovementView>, Problem> {
    let claim = key.claim(&inventory.shared, &caller, body.bytes());
    let adjustment = body.parse_after(claim.refuse_reuse(&inventory.shared.db)).await?;
    adjust_stock(&inventory, adjustment, author, claim).await
}

async fn stock_transfer(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    author: Author,
    key: IdempotencyKey,
    body: Body<TransferStock>,
) -> Result<Created<TransferView>, Problem> {
    let claim = key.claim(&inventory.shared, &caller, body.bytes());
    let transfer = body.parse_after(claim.refuse_reuse(&inventory.shared.db)).await?;
    transfer_stock(&inventory, transfer, author, claim).await
}
