//! Adding a product to the catalogue, once for an idempotency key.

use db::Tx;
use events::{EventType, ProductChange};
use futures_util::FutureExt;
use kit::answer::{Answer, Created};
use kit::author::Author;
use kit::clock::{Timestamp, new_id};
use kit::idempotency::{self, Claim};
use kit::problem::Problem;
use uuid::Uuid;

use crate::Inventory;
use crate::body::{CreateProduct, Details};
use crate::model::{Category, Figures, Metadata, Product, Reference};
use crate::search::words_of;
use crate::store::categories::find_category;
use crate::store::products::insert_product;
use crate::store::words::replace_words;
use crate::view::ProductView;

pub(crate) async fn create_product(
    inventory: &Inventory,
    new: CreateProduct,
    claim: Claim,
    author: Author,
) -> Result<Created<ProductView>, Problem> {
    let product = new_product(&new, new_id(), author.now);
    let category = new.details.category.flatten();
    let input = (product, category, claim, author);
    inventory
        .shared
        .db
        .write(input, |tx, (product, category, claim, author)| {
            idempotency::once(tx, claim, || store_product(tx, product, category.as_ref(), author)).boxed()
        })
        .await
}

async fn store_product(
    tx: &Tx,
    product: &Product,
    category: Option<&Reference>,
    author: &Author,
) -> Result<Created<ProductView>, Problem> {
    let category = resolve_category(tx, category).await?;
    let product = Product { category, ..product.clone() };
    refuse_taken(insert_product(tx, &product).await)?;
    replace_words(tx, product.id, &Default::default(), &words_of(&product)).await?;
    stock::store::open_levels(tx, &[product.terms()], product.created_at).await?;
    record_change(tx, EventType::ProductCreated, &product, Vec::new(), author).await?;
    let location = format!("/products/{}", product.id);
    let versions = (product.version, product.stock.version);
    Ok(Answer::new(&ProductView::new(product, true))?.versions(versions.0, versions.1).location(location))
}

pub(crate) async fn record_change(
    tx: &Tx,
    event_type: EventType,
    product: &Product,
    fields: Vec<&'static str>,
    author: &Author,
) -> Result<(), db::Error> {
    events::record(tx, event_type, product.id, &change_of(product, fields), author).await
}

/// What an event tells of a product.
pub(crate) fn change_of(product: &Product, fields: Vec<&'static str>) -> ProductChange {
    ProductChange {
        sku: product.sku.clone(),
        fields,
        unit_price: product.price,
        active: product.active,
        version: product.version,
    }
}

/// A new product, without its category.
pub(crate) fn new_product(new: &CreateProduct, id: Uuid, now: Timestamp) -> Product {
    let mut product = Product {
        id,
        sku: new.sku.as_str().to_owned(),
        name: new.name.as_str().to_owned(),
        description: None,
        barcode: None,
        category: None,
        price: new.price,
        cost: new.cost,
        attributes: "{}".to_owned(),
        track_stock: true,
        backorder_limit: 0,
        reorder_point: None,
        reorder_quantity: None,
        active: true,
        external_id: None,
        metadata: "{}".to_owned(),
        version: 1,
        created_at: now,
        updated_at: now,
        stock: Figures::default(),
    };
    apply_details(&mut product, &new.details);
    product
}

/// Changes what a product carries besides its SKU, its name, its prices and its category.
pub(crate) fn apply_details(product: &mut Product, details: &Details) {
    if let Some(description) = &details.description {
        product.description = description.as_ref().map(|text| text.as_str().to_owned());
    }
    if let Some(barcode) = &details.barcode {
        product.barcode = barcode.as_ref().map(|barcode| barcode.0.clone());
    }
    if let Some(attributes) = &details.attributes {
        product.attributes = attributes.as_ref().map_or("{}", Metadata::as_str).to_owned();
    }
    if let Some(metadata) = &details.metadata {
        product.metadata = metadata.as_ref().map_or("{}", Metadata::as_str).to_owned();
    }
    if let Some(external_id) = &details.external_id {
        product.external_id = external_id.as_ref().map(|text| text.as_str().to_owned());
    }
    if let Some(point) = details.reorder_point {
        product.reorder_point = point.map(|point| point.0);
    }
    if let Some(quantity) = details.reorder_quantity {
        product.reorder_quantity = quantity.map(|quantity| quantity.get());
    }
    product.track_stock = details.track_stock.unwrap_or(product.track_stock);
    product.backorder_limit = details.backorder_limit.map_or(product.backorder_limit, |limit| limit.0);
    product.active = details.active.unwrap_or(product.active);
}

/// The category that a body names, which must be there.
pub(crate) async fn resolve_category(
    tx: &Tx,
    named: Option<&Reference>,
) -> Result<Option<Category>, Problem> {
    let Some(named) = named else { return Ok(None) };
    let unknown = || Problem::invalid_field("category", "unknown_category", "is no category's name or id");
    find_category(tx, named.as_str()).await?.map(Some).ok_or_else(unknown)
}

/// 409 for a SKU or a barcode that another product has.
pub(crate) fn refuse_taken(stored: Result<(), db::Error>) -> Result<(), Problem> {
    stored.map_err(|error| match error {
        error if error.violates("products_sku_key") => {
            Problem::conflict("sku_taken", "Another product has this SKU.")
        }
        error if error.violates("products_barcode") => {
            Problem::conflict("barcode_taken", "Another product has this barcode.")
        }
        error => error.into(),
    })
}
