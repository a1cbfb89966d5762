//! Statements that list the ledger.

use db::{Error, Row, Tx};
use kit::clock::Timestamp;
use kit::money::Currency;
use kit::page::{Conditions, Key, PageRequest, Position};
use kit::statement::{IDS_AT_ONCE, filled_up, placeholders};
use stock::store::{FEW, elsewhere, movement, movement_columns};
use stock::{Kind, MAIN, Movement};
use uuid::Uuid;

use crate::store::paged;
use crate::view::{AllocatedView, RestView, UnavailableView};

/// How many columns a movement has; behind them stands its product's currency.
const MOVEMENT_COLUMNS: usize = 17;

/// What the list of movements is filtered by.
#[derive(Clone, Debug, Default)]
pub(crate) struct MovementFilter {
    pub(crate) product_id: Option<Uuid>,
    pub(crate) location_id: Option<Uuid>,
    pub(crate) kind: Option<Kind>,
    pub(crate) since: Option<Timestamp>,
}

impl MovementFilter {
    fn conditions(&self, tx: &Tx) -> Conditions<'_> {
        let mut conditions = Conditions::new();
        if let Some(product_id) = self.product_id {
            conditions.and("product_id = {}", product_id);
        }
        if let Some(location_id) = self.location_id {
            conditions.and("location_id = {}", location_id);
        }
        if let Some(kind) = self.kind {
            conditions.and("kind = {}", kind.as_str());
        }
        if let Some(since) = self.since {
            conditions.and("created_at >= {}", since.0);
        }
        // A product's rows have an index of their own, which is the better one.
        if self.product_id.is_none() {
            if self.kind.is_some_and(|kind| !kind.is_frequent()) {
                conditions.only(FEW);
            }
            if self.location_id.is_some_and(|location| location != MAIN) {
                conditions.only(&elsewhere(tx));
            }
        }
        conditions
    }
}

/// A page of movements, each with the currency of its product.
pub(crate) async fn list_movements(
    tx: &Tx,
    filter: &MovementFilter,
    page: &PageRequest,
) -> Result<(Vec<(Movement, Currency)>, Option<i64>), Error> {
    let mut conditions = filter.conditions(tx);
    let currency = "(SELECT currency FROM products WHERE products.id = stock_movements.product_id)";
    let columns = format!("{}, {currency}", movement_columns());
    let paged = paged(tx, &columns, "stock_movements", &mut conditions, page).await?;
    let read = |row: &Row<'_>| Ok((movement(row)?, row.get(MOVEMENT_COLUMNS)?));
    Ok((tx.rows(&paged.sql, conditions.args(), read).await?, paged.total))
}

/// Where a movement stands in the list.
pub(crate) fn movement_position((movement, _): &(Movement, Currency)) -> Position {
    Position { key: Key::Int(movement.created_at.0), id: movement.id }
}

/// Whether anything ever happened to a product's stock.
pub(crate) async fn was_moved(tx: &Tx, product_id: Uuid) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM stock_movements WHERE product_id = $1 LIMIT 1";
    Ok(tx.optional(sql, &[product_id.into()], |row| row.get::<i64>(0)).await?.is_some())
}

/// Those of some products to whose stock anything ever happened.
pub(crate) async fn list_moved(tx: &Tx, product_ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    let mut moved = Vec::new();
    for ids in product_ids.chunks(IDS_AT_ONCE) {
        let ids = filled_up(ids.iter().map(|id| (*id).into()).collect());
        let sql = format!(
            "SELECT id FROM products WHERE id IN ({}) AND EXISTS (SELECT 1 FROM stock_movements WHERE product_id = products.id)",
            placeholders(ids.len())
        );
        moved.extend(tx.rows(&sql, &ids, |row| row.get::<Uuid>(0)).await?);
    }
    Ok(moved)
}

/// The orders that hold some of a product, a row for each location.
const ALLOCATED: &str = "SELECT cause_id, location_id, CAST(SUM(allocated_delta) AS BIGINT) AS held FROM stock_movements
                         WHERE product_id = $1 AND cause = 'order' GROUP BY cause_id, location_id HAVING SUM(allocated_delta) <> 0
                         ORDER BY held DESC, cause_id, location_id";

/// What of a product was put aside and given free again.
const UNAVAILABLE: &str = "SELECT id, location_id, unavailable_delta, reason, actor_id, created_at FROM stock_movements
                           WHERE product_id = $1 AND unavailable_delta <> 0 ORDER BY created_at DESC, id DESC";

/// The orders that hold some of a product, the largest first.
pub(crate) async fn list_allocated(
    tx: &Tx,
    product_id: Uuid,
    limit: i64,
) -> Result<Vec<AllocatedView>, Error> {
    let sql = [ALLOCATED, " LIMIT $2"].concat();
    tx.rows(&sql, &[product_id.into(), limit.into()], |row| {
        Ok(AllocatedView { order_id: row.get(0)?, location_id: row.get(1)?, quantity: row.get(2)? })
    })
    .await
}

/// What those hold that come behind so many.
pub(crate) async fn sum_allocated_behind(tx: &Tx, product_id: Uuid, count: i64) -> Result<RestView, Error> {
    sum_behind(tx, ALLOCATED, "held", product_id, count).await
}

/// What of a product was put aside and given free again, the newest first.
pub(crate) async fn list_unavailable(
    tx: &Tx,
    product_id: Uuid,
    limit: i64,
) -> Result<Vec<UnavailableView>, Error> {
    let sql = [UNAVAILABLE, " LIMIT $2"].concat();
    tx.rows(&sql, &[product_id.into(), limit.into()], |row| {
        Ok(UnavailableView {
            movement_id: row.get(0)?,
            location_id: row.get(1)?,
            quantity: row.get(2)?,
            reason: row.get(3)?,
            actor_id: row.get(4)?,
            created_at: row.get(5)?,
        })
    })
    .await
}

/// What those come to that are behind so many.
pub(crate) async fn sum_unavailable_behind(tx: &Tx, product_id: Uuid, count: i64) -> Result<RestView, Error> {
    sum_behind(tx, UNAVAILABLE, "unavailable_delta", product_id, count).await
}

async fn sum_behind(
    tx: &Tx,
    list: &str,
    quantity: &str,
    product_id: Uuid,
    count: i64,
) -> Result<RestView, Error> {
    // One engine takes no OFFSET without a LIMIT.
    let sql = format!(
        "SELECT COUNT(*), CAST(COALESCE(SUM({quantity}), 0) AS BIGINT) FROM ({list} LIMIT {} OFFSET $2) AS rest",
        i64::MAX
    );
    tx.one(&sql, &[product_id.into(), count.into()], |row| {
        Ok(RestView { count: row.get(0)?, quantity: row.get(1)? })
    })
    .await
}
