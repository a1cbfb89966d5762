//! Locations, for staff.

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, post_with, put_with};
use axum::extract::State;
use futures_util::FutureExt;
use kit::answer::{Answer, Created, NoContent, Resource};
use kit::body::Body;
use kit::etag::{IfMatch, IfNoneMatch};
use kit::idempotency::IdempotencyKey;
use kit::identity::{Anyone, Caller, Staff};
use kit::openapi::{Problems, op};
use kit::page::{List, Listing, Page, Sorts};
use kit::problem::Problem;
use kit::query::{FromParams, NoQuery, Params, PathId};
use schemars::JsonSchema;
use uuid::Uuid;

use crate::Inventory;
use crate::api::check_staff_sees;
use crate::body::{ChangeLocation, CreateLocation};
use crate::change_location::{ChangingLocation, change_location, create_location, remove_location};
use crate::model::Location;
use crate::store::locations::{find_location, list_locations, location_position};
use crate::view::LocationView;

// What only the handler knows may go wrong; the rest comes from its types.
const CHANGE: Problems = &[(409, "Another location has this code, or it is MAIN's.")];
const DELETE: Problems = &[(409, "It has, or had, stock, or it is MAIN.")];

pub(crate) fn endpoints() -> ApiRouter<Inventory> {
    ApiRouter::new()
        .api_route("/locations", get_with(location_list, op("location_list", "List locations", &[])))
        .api_route("/locations", post_with(location_create, op("location_create", "Make a location", &[])))
        .api_route("/locations/{id}", get_with(location_view, op("location_view", "See a location", &[])))
        .api_route(
            "/locations/{id}",
            put_with(location_change, op("location_change", "Change a location", CHANGE)),
        )
        .api_route(
            "/locations/{id}",
            delete_with(location_delete, op("location_delete", "Delete a location", DELETE)),
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
    _: Caller<Staff>,
    State(inventory): State<Inventory>,
    list: List<LocationQuery>,
) -> Result<Page<LocationView>, Problem> {
    let page = list.page.clone();
    let found = inventory.shared.db.read(list.page, |tx, page| list_locations(tx, page).boxed());
    let (found, total) = found.await?;
    let position = |location: &Location| location_position(location, page.sort);
    Ok(page.page(&inventory.shared, found, total, position, LocationView::from))
}

async fn location_create(
    caller: Caller<Staff>,
    State(inventory): State<Inventory>,
    key: IdempotencyKey,
    body: Body<CreateLocation>,
) -> Result<Created<LocationView>, Problem> {
    let claim = key.claim(&inventory.shared, caller.account(), body.bytes());
    let new = body.parse_after(claim.refuse_reuse(&inventory.shared.db)).await?;
    create_location(&inventory, new, claim).await
}

async fn location_view(
    caller: Caller<Anyone>,
    State(inventory): State<Inventory>,
    PathId(id): PathId,
    condition: IfNoneMatch,
    _: NoQuery,
) -> Result<Resource<LocationView>, Problem> {
    check_staff_sees(&caller)?;
    let location = find(&inventory, id).await?;
    let version = location.version;
    Ok(Answer::new(&LocationView::from(location))?.version(version).unless(&condition))
}

async fn location_change(
    caller: Caller<Anyone>,
    State(inventory): State<Inventory>,
    PathId(id): PathId,
    condition: IfMatch,
    body: Body<ChangeLocation>,
) -> Result<Resource<LocationView>, Problem> {
    check_staff_sees(&caller)?;
    let change = body.parse_after(async { find(&inventory, id).await.map(drop) }).await?;
    let now = inventory.shared.clock.now();
    change_location(&inventory, ChangingLocation { location_id: id, change, condition, now }).await
}

async fn location_delete(
    caller: Caller<Anyone>,
    State(inventory): State<Inventory>,
    PathId(id): PathId,
    condition: IfMatch,
    _: NoQuery,
) -> Result<NoContent, Problem> {
    check_staff_sees(&caller)?;
    remove_location(&inventory, id, condition).await?;
    Ok(NoContent)
}

async fn find(inventory: &Inventory, id: Uuid) -> Result<Location, Problem> {
    let found = inventory.shared.db.lookup(id, |tx, id| find_location(tx, *id).boxed()).await?;
    found.ok_or_else(Problem::not_found)
}
