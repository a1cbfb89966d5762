//! Products: staff keep them, everybody sees those on sale.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use futures_util::FutureExt;
use kit::answer::{Answer, Created, NoContent, Resource};
use kit::author::Author;
use kit::body::Body;
use kit::endpoint::Endpoints;
use kit::endpoint::Verb::{Delete, Get, Patch, Post, Put};
use kit::etag::{IfMatch, IfNoneMatch};
use kit::idempotency::IdempotencyKey;
use kit::identity::{Caller, Role};
use kit::openapi::{Problems, op};
use kit::page::{List, Listing, Page, Sorts};
use kit::permission::{ANYONE, Party, STAFF, Scope};
use kit::problem::Problem;
use kit::query::{FromParams, NoQuery, Params, PathId, PathText, Query};
use schemars::JsonSchema;
use stock::Sku;
use uuid::Uuid;

use crate::Inventory;
use crate::body::{ChangeProduct, CreateProduct};
use crate::change_product::{Changing, change_product};
use crate::create_product::create_product;
use crate::delete_product::delete_product;
use crate::explain::availability;
use crate::model::Product;
use crate::search::find_products;
use crate::store::products::{ProductFilter, ProductKey, find_product, product_position};
use crate::view::{AvailabilityView, ProductView};

// What an API key must be made for.
const READ: Scope = "products:read";
const WRITE: Scope = "products:write";

/// Everybody may know of what is on sale.
const CATALOGUE: Party = Party::Role(Role::Customer);

// What only the handler knows may go wrong; the rest comes from its types.
const CHANGE: Problems = &[(409, "Another product has the SKU or barcode, or the currency is in use.")];

pub(crate) fn endpoints() -> Endpoints<Inventory> {
    Endpoints::new()
        .on(
            Get,
            "/products",
            ANYONE.scope(READ),
            product_list,
            op("product_list", "List products: for customers those on sale", &[]),
        )
        .on(
            Post,
            "/products",
            STAFF.scope(WRITE),
            product_create,
            op("product_create", "Make a product", &[]),
        )
        .on(Get, "/products/{id}", ANYONE.scope(READ), product_view, op("product_view", "See a product", &[]))
        .on(
            Put,
            "/products/{id}",
            STAFF.seen_by(CATALOGUE).scope(WRITE),
            product_change,
            op("product_change", "Change a product", CHANGE),
        )
        .on(
            Patch,
            "/products/{id}",
            STAFF.seen_by(CATALOGUE).scope(WRITE),
            product_change,
            op("product_patch", "Change a product", CHANGE),
        )
        .on(
            Delete,
            "/products/{id}",
            STAFF.seen_by(CATALOGUE).scope(WRITE),
            product_delete,
            op("product_delete", "Delete a product, or take one that has a history off sale", &[]),
        )
        .on(
            Get,
            "/products/{id}/availability",
            STAFF.seen_by(CATALOGUE).scope(READ),
            product_availability,
            op("product_availability", "See where a product's units are, who holds them and why", &[]),
        )
        .on(
            Get,
            "/products/by-sku/{sku}",
            ANYONE.scope(READ),
            product_by_sku,
            op("product_by_sku", "See the product of a SKU", &[]),
        )
        .on(
            Get,
            "/products/by-barcode/{barcode}",
            ANYONE.scope(READ),
            product_by_barcode,
            op("product_by_barcode", "See the product of a barcode", &[]),
        )
}

/// What the list of products can be filtered by.
#[derive(JsonSchema)]
pub(crate) struct ProductQuery {
    /// Words of the name, SKU, barcode or external id.
    #[schemars(with = "Option<String>")]
    q: Vec<String>,
    /// Only of this category, by its name or its id.
    category: Option<String>,
    /// Only what is on sale, or only what isn't.
    active: Option<bool>,
    /// Only with this SKU.
    sku: Option<String>,
    /// Only what is on sale and has sunk to its reorder point, or only the rest.
    low_stock: Option<bool>,
}

impl FromParams for ProductQuery {
    fn from_params(params: &mut Params) -> Self {
        Self {
            q: params.words("q"),
            category: params.text("category"),
            active: params.flag("active"),
            sku: params.text("sku"),
            low_stock: params.flag("low_stock"),
        }
    }
}

impl ProductQuery {
    /// As the store takes it; others than staff see only what is on sale.
    pub(crate) fn filter(self, is_staff: bool) -> ProductFilter {
        ProductFilter {
            category: self.category.map(|category| category.to_lowercase()),
            active: [self.active, (!is_staff).then_some(true)],
            sku_key: self.sku.map(|sku| Sku::key_of(&sku)),
            low_stock: self.low_stock,
            words: self.q,
        }
    }
}

impl Listing for ProductQuery {
    const SORTS: Sorts =
        &[("created_at", "created_at"), ("name", "name"), ("sku", "sku_key"), ("unit_price", "price_minor")];
}

/// Whether the figures are to be explained.
#[derive(JsonSchema)]
struct ExplainQuery {
    /// `true` names the orders that hold some, and why some can't be sold.
    explain: Option<bool>,
}

impl FromParams for ExplainQuery {
    fn from_params(params: &mut Params) -> Self {
        Self { explain: params.flag("explain") }
    }
}

async fn product_list(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    list: List<ProductQuery>,
) -> Result<Page<ProductView>, Problem> {
    let (query, page, is_staff) = (list.filter, list.page.clone(), caller.is_staff());
    let filter = query.filter(is_staff);
    let input = (filter, list.page);
    let found = inventory.shared.db.read(input, |tx, (filter, page)| find_products(tx, filter, page).boxed());
    let (found, total) = found.await?;
    let position = |product: &Product| product_position(product, page.sort);
    Ok(page.page(&inventory.shared, found, total, position, |product| ProductView::new(product, is_staff)))
}

async fn product_create(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    author: Author,
    key: IdempotencyKey,
    body: Body<CreateProduct>,
) -> Result<Created<ProductView>, Problem> {
    let claim = key.claim(&inventory.shared, &caller, body.bytes());
    let new = body.parse_after(claim.refuse_reuse(&inventory.shared.db)).await?;
    create_product(&inventory, new, claim, author).await
}

async fn product_view(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    PathId(id): PathId,
    condition: IfNoneMatch,
    _: NoQuery,
) -> Result<Resource<ProductView>, Problem> {
    view(&inventory, &caller, ProductKey::Id(id), &condition).await
}

async fn product_by_sku(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    PathText(sku): PathText,
    condition: IfNoneMatch,
    _: NoQuery,
) -> Result<Resource<ProductView>, Problem> {
    view(&inventory, &caller, ProductKey::Sku(Sku::key_of(&sku)), &condition).await
}

async fn product_by_barcode(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    PathText(barcode): PathText,
    condition: IfNoneMatch,
    _: NoQuery,
) -> Result<Resource<ProductView>, Problem> {
    view(&inventory, &caller, ProductKey::Barcode(barcode), &condition).await
}

async fn view(
    inventory: &Inventory,
    caller: &Caller,
    key: ProductKey,
    condition: &IfNoneMatch,
) -> Result<Resource<ProductView>, Problem> {
    let product = find_visible(inventory, caller, key).await?;
    let (version, stock_version) = (product.version, product.stock.version);
    let view = ProductView::new(product, caller.is_staff());
    Ok(Answer::new(&view)?.versions(version, stock_version).unless(condition))
}

async fn product_change(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    PathId(id): PathId,
    condition: IfMatch,
    author: Author,
    body: Body<ChangeProduct>,
) -> Result<Resource<ProductView>, Problem> {
    check_staff_acts(&inventory, &caller, id).await?;
    let change = body.parse_after(check_exists(&inventory, id)).await?;
    change_product(&inventory, Changing { product_id: id, change, condition, author }).await
}

async fn product_delete(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    PathId(id): PathId,
    condition: IfMatch,
    author: Author,
    _: NoQuery,
) -> Result<NoContent, Problem> {
    check_staff_acts(&inventory, &caller, id).await?;
    delete_product(&inventory, id, condition, author).await?;
    Ok(NoContent)
}

async fn product_availability(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    PathId(id): PathId,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<AvailabilityView>, Problem> {
    check_staff_acts(&inventory, &caller, id).await?;
    let input = (id, query.explain.unwrap_or(false));
    let found =
        inventory.shared.db.read(input, |tx, (id, explains)| availability(tx, *id, *explains).boxed());
    found.await?.map(Json).ok_or_else(Problem::not_found)
}

/// A product that the caller may know of: one off sale is hidden from customers.
async fn find_visible(inventory: &Inventory, caller: &Caller, key: ProductKey) -> Result<Product, Problem> {
    let found = inventory.shared.db.lookup(key, |tx, key| find_product(tx, key).boxed()).await?;
    found.filter(|product| product.active || caller.is_staff()).ok_or_else(Problem::not_found)
}

/// Only staff act on products; a customer is told so of what they may see.
async fn check_staff_acts(inventory: &Inventory, caller: &Caller, id: Uuid) -> Result<(), Problem> {
    let may = caller.check(None);
    if may.is_err() {
        find_visible(inventory, caller, ProductKey::Id(id)).await?;
    }
    may
}

async fn check_exists(inventory: &Inventory, id: Uuid) -> Result<(), Problem> {
    let key = ProductKey::Id(id);
    let found = inventory.shared.db.lookup(key, |tx, key| find_product(tx, key).boxed()).await?;
    found.map(drop).ok_or_else(Problem::not_found)
}
