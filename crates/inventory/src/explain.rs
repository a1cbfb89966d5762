//! Where a product's units are, who holds them, and why some can't be sold.

use db::{Error, Tx};

use crate::model::Product;
use crate::store::levels::list_places;
use crate::store::movements::{list_allocated, list_unavailable};
use crate::store::products::{ProductKey, find_product};
use crate::view::{AvailabilityView, ExplanationView};
use uuid::Uuid;

/// How many orders are named.
const MOST_ORDERS: i64 = 1_000;

/// How many movements are named.
const MOST_MOVEMENTS: i64 = 200;

/// A product's units by location; with `explains`, by order and by reason too. All of one moment if the transaction is.
pub(crate) async fn availability(
    tx: &Tx,
    product_id: Uuid,
    explains: bool,
) -> Result<Option<AvailabilityView>, Error> {
    let Some(product) = find_product(tx, &ProductKey::Id(product_id)).await? else { return Ok(None) };
    let locations = list_places(tx, &product).await?;
    let explanation = if explains { Some(explanation(tx, &product).await?) } else { None };
    Ok(Some(AvailabilityView {
        product_id,
        on_hand: product.stock.on_hand,
        allocated: product.stock.allocated,
        unavailable: product.stock.unavailable,
        available: product.available(),
        incoming: 0,
        backorder_limit: product.backorder_limit,
        sku: product.sku,
        locations,
        explanation,
    }))
}

/// Looks through the product's movements only for what there is to explain.
async fn explanation(tx: &Tx, product: &Product) -> Result<ExplanationView, Error> {
    let (id, figures) = (product.id, &product.stock);
    let allocated = if figures.allocated == 0 { 0 } else { MOST_ORDERS + 1 };
    let unavailable = if figures.unavailable == 0 { 0 } else { MOST_MOVEMENTS + 1 };
    let allocated = if allocated > 0 { list_allocated(tx, id, allocated).await? } else { Vec::new() };
    let unavailable = if unavailable > 0 { list_unavailable(tx, id, unavailable).await? } else { Vec::new() };
    let (allocated, allocated_has_more) = cut(allocated, MOST_ORDERS);
    let (unavailable, unavailable_has_more) = cut(unavailable, MOST_MOVEMENTS);
    Ok(ExplanationView { allocated, allocated_has_more, unavailable, unavailable_has_more })
}

/// A list to its end, and whether it would go on.
fn cut<T>(mut list: Vec<T>, most: i64) -> (Vec<T>, bool) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let has_more = list.len() > most;
    list.truncate(most);
    (list, has_more)
}
