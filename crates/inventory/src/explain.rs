//! Where a product's units are, who holds them, and why some can't be sold.

use db::{Error, Tx};

use crate::model::Product;
use crate::store::levels::list_places;
use crate::store::movements::{
    list_allocated, list_unavailable, sum_allocated_behind, sum_unavailable_behind,
};
use crate::store::products::{ProductKey, find_product};
use crate::view::{AvailabilityView, ExplanationView};
use uuid::Uuid;

/// How many orders are named; what the others hold is told in a sum.
const MOST_ORDERS: i64 = 1_000;

/// How many movements are named; so of the others.
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
    let (id, mut whole) = (product.id, ExplanationView::default());
    if product.stock.allocated != 0 {
        let found = list_allocated(tx, id, MOST_ORDERS + 1).await?;
        (whole.allocated, whole.allocated_has_more) = cut(found, MOST_ORDERS);
    }
    if whole.allocated_has_more {
        whole.allocated_rest = sum_allocated_behind(tx, id, MOST_ORDERS).await?;
    }
    if product.stock.unavailable != 0 {
        let found = list_unavailable(tx, id, MOST_MOVEMENTS + 1).await?;
        (whole.unavailable, whole.unavailable_has_more) = cut(found, MOST_MOVEMENTS);
    }
    if whole.unavailable_has_more {
        whole.unavailable_rest = sum_unavailable_behind(tx, id, MOST_MOVEMENTS).await?;
    }
    Ok(whole)
}

/// A list to its end, and whether it would go on.
fn cut<T>(mut list: Vec<T>, most: i64) -> (Vec<T>, bool) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let has_more = list.len() > most;
    list.truncate(most);
    (list, has_more)
}
