//! Locations, for staff.

use std::sync::Arc;

use axum::extract::State;
use futures_util::FutureExt;
use kit::answer::{Answer, Created, NoContent, Resource};
use kit::body::Body;
use kit::endpoint::Endpoints;
use kit::endpoint::Verb::{Delete, Get, Post, Put};
use kit::etag::{IfMatch, IfNoneMatch};
use kit::idempotency::IdempotencyKey;
use kit::identity::Caller;
use kit::openapi::{Problems, op};
use kit::page::{List, Listing, Page, Sorts};
use kit::permission::{STAFF, Scope};
use kit::problem::Problem;
use kit::query::{FromParams, NoQuery, Params, PathId};
use schemars::JsonSchema;
use uuid::Uuid;

use crate::Inventory;
use crate::body::{ChangeLocation, CreateLocation};
use crate::change_location::{ChangingLocation, change_location, create_location, remove_location};
use crate::model::Location;
use crate::store::locations::{find_location, list_locations, location_position};
use crate::view::LocationView;

// What an API key must be made for.
const READ: Scope = "stock:read";
const WRITE: Scope = "stock:write";

// What only the handler knows may go wrong; the rest comes from its types.
const CHANGE: Problems = &[(409, "Another location has this code, or it is MAIN's.")];
const DELETE: Problems = &[(409, "It has, or had, stock, or it is MAIN.")];

pub(crate) fn endpoints() -> Endpoints<Inventory> {
    Endpoints::new()
        .on(Get, "/locations", STAFF.scope(READ), location_list, op("location_list", "List locations", &[]))
        .on(
            Post,
            "/locations",
            STAFF.scope(WRITE),
            location_create,
            op("location_create", "Make a location", &[]),
        )
        .on(
            Get,
            "/locations/{id}",
            STAFF.hidden().scope(READ),
            location_view,
            op("location_view", "See a location", &[]),
        )
        .on(
            Put,
            "/locations/{id}",
            STAFF.hidden().scope(WRITE),
            location_change,
            op("location_change", "Change a location", CHANGE),
        )
        .on(
            Delete,
            "/locations/{id}",
            STAFF.hidden().scope(WRITE),
            location_delete,
            op("location_delete", "Delete a location", DELETE),
        )
}

/// Locations have no filters.
#[derive(JsonSchema)]
struct LocationQuery {}

impl FromParams for LocationQuery {
    fn from_params(_: &mut Params) -> Self {
        Self {}
    }
}

impl Listing for LocationQuery {
    const SORTS: Sorts = &[("created_at", "created_at"), ("code", "code_key")];
}

async fn location_list(
    State(inventory): State<Arc<Inventory>>,
    list: List<LocationQuery>,
) -> Result<Page<LocationView>, Problem> {
    let page = list.page.clone();
    let found = inventory.shared.db.read(list.page, |tx, page| list_locations(tx, page).boxed());
    let (found, total) = found.await?;
    let position = |location: &Location| location_position(location, page.sort);
    Ok(page.page(&inventory.shared, found, total, position, LocationView::from))
}

async fn location_create(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    key: IdempotencyKey,
    body: Body<CreateLocation>,
) -> Result<Created<LocationView>, Problem> {
    let claim = key.claim(&inventory.shared, &caller, body.bytes());
    let new = body.parse_after(claim.refuse_reuse(&inventory.shared.db)).await?;
    create_location(&inventory, new, claim).await
}

async fn location_view(
    State(inventory): State<Arc<Inventory>>,
    PathId(id): PathId,
    condition: IfNoneMatch,
    _: NoQuery,
) -> Result<Resource<LocationView>, Problem> {
    let location = find(&inventory, id).await?;
    let version = location.version;
    Ok(Answer::new(&LocationView::from(location))?.version(version).unless(&condition))
}

async fn location_change(
    State(inventory): State<Arc<Inventory>>,
    PathId(id): PathId,
    condition: IfMatch,
    body: Body<ChangeLocation>,
) -> Result<Resource<LocationView>, Problem> {
    let change = body.parse_after(async { find(&inventory, id).await.map(drop) }).await?;
    let now = inventory.shared.clock.now();
    change_location(&inventory, ChangingLocation { location_id: id, change, condition, now }).await
}

async fn location_delete(
    State(inventory): State<Arc<Inventory>>,
    PathId(id): PathId,
    condition: IfMatch,
    _: NoQuery,
) -> Result<NoContent, Problem> {
    remove_location(&inventory, id, condition).await?;
    Ok(NoContent)
}

async fn find(inventory: &Inventory, id: Uuid) -> Result<Location, Problem> {
    let found = inventory.shared.db.lookup(id, |tx, id| find_location(tx, *id).boxed()).await?;
    found.ok_or_else(Problem::not_found)
}
