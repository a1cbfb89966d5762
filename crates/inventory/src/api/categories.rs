//! Categories, which everybody sees, and reason codes, which are for staff.

use std::sync::Arc;

use axum::extract::State;
use db::Tx;
use futures_util::FutureExt;
use kit::answer::{Answer, Created};
use kit::body::Body;
use kit::clock::new_id;
use kit::endpoint::Endpoints;
use kit::endpoint::Verb::{Get, Post};
use kit::idempotency::{self, IdempotencyKey};
use kit::identity::Caller;
use kit::openapi::op;
use kit::page::{List, Listing, Page, Sorts};
use kit::permission::{ANYONE, STAFF, Scope};
use kit::problem::Problem;
use kit::query::{FromParams, Params};
use schemars::JsonSchema;

use crate::Inventory;
use crate::body::{CreateCategory, CreateReasonCode};
use crate::store::categories::{category_position, insert_category, list_categories};
use crate::store::or_conflict;
use crate::store::reason_codes::{insert_reason_code, list_reason_codes, reason_code_position};
use crate::view::{CategoryView, ReasonCodeView};

// What an API key must be made for.
const READ: Scope = "products:read";
const WRITE: Scope = "products:write";

pub(crate) fn endpoints() -> Endpoints<Inventory> {
    Endpoints::new()
        .on(
            Get,
            "/categories",
            ANYONE.scope(READ),
            category_list,
            op("category_list", "List categories", &[]),
        )
        .on(
            Post,
            "/categories",
            STAFF.scope(WRITE),
            category_create,
            op("category_create", "Make a category", &[]),
        )
        .on(
            Get,
            "/reason-codes",
            STAFF.scope(READ),
            reason_code_list,
            op("reason_code_list", "List the words for why stock is changed", &[]),
        )
        .on(
            Post,
            "/reason-codes",
            STAFF.scope(WRITE),
            reason_code_create,
            op("reason_code_create", "Make a reason code", &[]),
        )
}

/// Categories have no filters.
#[derive(JsonSchema)]
struct CategoryQuery {}

impl FromParams for CategoryQuery {
    fn from_params(_: &mut Params) -> Self {
        Self {}
    }
}

impl Listing for CategoryQuery {
    const SORTS: Sorts = &[("created_at", "created_at"), ("name", "name_key")];
}

/// Reason codes have no filters.
#[derive(JsonSchema)]
struct ReasonCodeQuery {}

impl FromParams for ReasonCodeQuery {
    fn from_params(_: &mut Params) -> Self {
        Self {}
    }
}

impl Listing for ReasonCodeQuery {
    const SORTS: Sorts = &[("code", "code")];
    const DESCENDS: bool = false;
}

async fn category_list(
    State(inventory): State<Arc<Inventory>>,
    list: List<CategoryQuery>,
) -> Result<Page<CategoryView>, Problem> {
    let page = list.page.clone();
    let found = inventory.shared.db.read(list.page, |tx, page| list_categories(tx, page).boxed());
    let (found, total) = found.await?;
    let position = |category: &CategoryView| category_position(category, page.sort);
    Ok(page.page(&inventory.shared, found, total, position, |category| category))
}

async fn category_create(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    key: IdempotencyKey,
    body: Body<CreateCategory>,
) -> Result<Created<CategoryView>, Problem> {
    let claim = key.claim(&inventory.shared, &caller, body.bytes());
    let new = body.parse_after(claim.refuse_reuse(&inventory.shared.db)).await?;
    let created_at = inventory.shared.clock.now();
    let category = CategoryView { id: new_id(), name: new.name.0, created_at };
    let created = inventory.shared.db.write((category, claim), |tx, (category, claim)| {
        idempotency::once(tx, claim, || store_category(tx, category)).boxed()
    });
    created.await
}

async fn store_category(tx: &Tx, category: &CategoryView) -> Result<Created<CategoryView>, Problem> {
    let stored = insert_category(tx, category).await;
    or_conflict(stored, "categories_name_key", "category_taken", "There is a category of this name.")?;
    // One has no address of its own.
    Ok(Answer::new(category)?.location("/categories".to_owned()))
}

async fn reason_code_list(
    State(inventory): State<Arc<Inventory>>,
    list: List<ReasonCodeQuery>,
) -> Result<Page<ReasonCodeView>, Problem> {
    let page = list.page.clone();
    let found = inventory.shared.db.read(list.page, |tx, page| list_reason_codes(tx, page).boxed());
    let (found, total) = found.await?;
    Ok(page.page(&inventory.shared, found, total, reason_code_position, |reason| reason))
}

async fn reason_code_create(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    key: IdempotencyKey,
    body: Body<CreateReasonCode>,
) -> Result<Created<ReasonCodeView>, Problem> {
    let claim = key.claim(&inventory.shared, &caller, body.bytes());
    let new = body.parse_after(claim.refuse_reuse(&inventory.shared.db)).await?;
    let created_at = inventory.shared.clock.now();
    let description = new.description.as_str().to_owned();
    let reason = ReasonCodeView { code: new.code.0, description, created_at };
    let created = inventory.shared.db.write((reason, claim), |tx, (reason, claim)| {
        idempotency::once(tx, claim, || store_reason_code(tx, reason)).boxed()
    });
    created.await
}

async fn store_reason_code(tx: &Tx, reason: &ReasonCodeView) -> Result<Created<ReasonCodeView>, Problem> {
    let stored = insert_reason_code(tx, reason).await;
    or_conflict(stored, "reason_codes_code", "reason_code_taken", "There is this reason code already.")?;
    // One has no address of its own.
    Ok(Answer::new(reason)?.location("/reason-codes".to_owned()))
}
