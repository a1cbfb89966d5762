//! Statements on the figures of many products: which are low, and what all is worth.

use db::{Error, Row, Tx};
use kit::clock::Timestamp;
use kit::money::Currency;
use kit::page::{Conditions, PageRequest};
use uuid::Uuid;

use crate::store::paged;
use crate::view::ReorderView;

/// What is there of a product and nobody's. What may be backordered doesn't count: it is not there, and has to be bought.
const FREE: &str = "(SELECT COALESCE(CAST(SUM(own.on_hand - own.unavailable - own.allocated) AS BIGINT), 0) FROM stock_levels AS own
                     WHERE own.product_id = products.id)";

/// Whether there is so little of a product on sale that it should be bought.
pub(crate) const LOW: &str = "active = TRUE AND reorder_point IS NOT NULL AND track_stock = TRUE
     AND (SELECT COALESCE(SUM(own.on_hand - own.unavailable - own.allocated), 0) FROM stock_levels AS own
          WHERE own.product_id = products.id) <= reorder_point";

/// A product of the reorder list, with when it was made.
pub(crate) type ReorderItem = (ReorderView, Timestamp);

/// A page of the products on sale that are low.
pub(crate) async fn list_low(tx: &Tx, page: &PageRequest) -> Result<(Vec<ReorderItem>, Option<i64>), Error> {
    let mut conditions = Conditions::new();
    conditions.and("active = {}", true);
    conditions.only(LOW);
    let columns = format!("id, sku, name, {FREE}, reorder_point, reorder_quantity, created_at");
    let paged = paged(tx, &columns, "products", &mut conditions, page).await?;
    Ok((tx.rows(&paged.sql, conditions.args(), reorder_item).await?, paged.total))
}

fn reorder_item(row: &Row<'_>) -> Result<ReorderItem, Error> {
    let (free, reorder_point, reorder_quantity): (i64, i64, Option<i64>) =
        (row.get(3)?, row.get(4)?, row.get(5)?);
    let view = ReorderView {
        product_id: row.get(0)?,
        sku: row.get(1)?,
        name: row.get(2)?,
        free,
        reorder_point,
        reorder_quantity,
        suggested_quantity: suggested_quantity(reorder_point - free + 1, reorder_quantity),
    };
    Ok((view, row.get(6)?))
}

/// What lifts a product above its reorder point: as many as are missing, in whole lots of the product's reorder quantity.
fn suggested_quantity(missing: i64, lot: Option<i64>) -> i64 {
    let lot = lot.unwrap_or(1).max(1);
    (missing.max(1) + lot - 1) / lot * lot
}

/// What the metrics must know of a product.
pub(crate) struct Worth {
    pub(crate) product_id: Uuid,
    pub(crate) currency: Currency,
    pub(crate) cost_minor: Option<i64>,
    pub(crate) on_hand: i64,
    pub(crate) is_low: bool,
}

/// The next products behind one, by their ids.
pub(crate) async fn next_worths(tx: &Tx, after: Uuid, limit: i64) -> Result<Vec<Worth>, Error> {
    let sql = format!(
        "SELECT id, currency, cost_minor,
                (SELECT COALESCE(CAST(SUM(own.on_hand) AS BIGINT), 0) FROM stock_levels AS own WHERE own.product_id = products.id),
                CASE WHEN {LOW} THEN TRUE ELSE FALSE END
         FROM products WHERE id > $1 ORDER BY id LIMIT $2"
    );
    tx.rows(&sql, &[after.into(), limit.into()], |row| {
        Ok(Worth {
            product_id: row.get(0)?,
            currency: row.get(1)?,
            cost_minor: row.get(2)?,
            on_hand: row.get(3)?,
            is_low: row.get(4)?,
        })
    })
    .await
}
