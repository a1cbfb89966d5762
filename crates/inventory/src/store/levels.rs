//! Statements that list levels.

use db::{Error, Row, Tx};
use kit::page::{Conditions, Key, PageRequest, Position};
use uuid::Uuid;

use crate::model::{Figures, Product};
use crate::store::count;
use crate::store::figures::LOW;
use crate::view::{LevelView, PlaceView};

/// What the list of levels is filtered by.
#[derive(Clone, Debug, Default)]
pub(crate) struct LevelFilter {
    pub(crate) product_id: Option<Uuid>,
    pub(crate) location_id: Option<Uuid>,
    /// Only of products that are low, or only of the others.
    pub(crate) low: Option<bool>,
}

impl LevelFilter {
    fn conditions(&self) -> Conditions<'_> {
        let mut conditions = Conditions::new();
        if let Some(product_id) = self.product_id {
            conditions.and("product_id = {}", product_id);
        }
        if let Some(location_id) = self.location_id {
            conditions.and("location_id = {}", location_id);
        }
        // Looked for first, since few products have a reorder point.
        if let Some(low) = self.low {
            conditions.only(&if low {
                format!("product_id IN (SELECT products.id FROM products WHERE {LOW})")
            } else {
                // Of each level that is read, since nearly all are.
                format!("NOT EXISTS (SELECT 1 FROM products WHERE products.id = stock_levels.product_id AND {LOW})")
            });
        }
        conditions
    }
}

/// A page of levels, sorted by product and location.
pub(crate) async fn list_levels(
    tx: &Tx,
    filter: &LevelFilter,
    page: &PageRequest,
) -> Result<(Vec<LevelView>, Option<i64>), Error> {
    let mut conditions = filter.conditions();
    let total = count(tx, "stock_levels", &conditions, page).await?;
    if let Some(after) = &page.after {
        let comparison = if page.descending { "<" } else { ">" };
        let key = conditions.bind(&after.key);
        conditions.and(&format!("(product_id, location_id) {comparison} ({key}, {{}})"), after.id);
    }
    let (direction, limit) = (page.direction(), conditions.bind(page.fetch()));
    // Names are looked up for the page alone, whose order the key of levels has.
    let sql = format!(
        "SELECT product_id, sku, products.name, location_id, code, on_hand, allocated, unavailable, page.backorder_limit, page.updated_at, track_stock
         FROM (SELECT * FROM stock_levels{} ORDER BY product_id {direction}, location_id {direction} LIMIT {limit}) AS page
         JOIN products ON products.id = product_id JOIN locations ON locations.id = location_id
         ORDER BY product_id {direction}, location_id {direction}",
        conditions.sql()
    );
    Ok((tx.rows(&sql, conditions.args(), level).await?, total))
}

fn level(row: &Row<'_>) -> Result<LevelView, Error> {
    let figures =
        Figures { on_hand: row.get(5)?, allocated: row.get(6)?, unavailable: row.get(7)?, version: 0 };
    let backorder_limit: i64 = row.get(8)?;
    Ok(LevelView {
        product_id: row.get(0)?,
        sku: row.get(1)?,
        name: row.get(2)?,
        location_id: row.get(3)?,
        location: row.get(4)?,
        on_hand: figures.on_hand,
        allocated: figures.allocated,
        unavailable: figures.unavailable,
        available: figures.available(backorder_limit, row.get(10)?),
        updated_at: row.get(9)?,
    })
}

/// Where a level stands in the list.
pub(crate) fn level_position(level: &LevelView) -> Position {
    Position { key: Key::Id(level.product_id), id: level.location_id }
}

/// A product's levels, in the order in which orders are filled.
pub(crate) async fn list_places(tx: &Tx, product: &Product) -> Result<Vec<PlaceView>, Error> {
    let sql = "SELECT location_id, code, on_hand, allocated, unavailable, backorder_limit
               FROM stock_levels JOIN locations ON locations.id = location_id WHERE product_id = $1
               ORDER BY CASE WHEN location_id = $2 THEN 0 ELSE 1 END, priority, code";
    tx.rows(sql, &[product.id.into(), stock::MAIN.into()], |row| {
        let figures =
            Figures { on_hand: row.get(2)?, allocated: row.get(3)?, unavailable: row.get(4)?, version: 0 };
        let available = figures.available(row.get(5)?, product.track_stock);
        Ok(PlaceView::new(row.get(0)?, row.get(1)?, figures, available))
    })
    .await
}
