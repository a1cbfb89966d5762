//! Every statement on levels and the ledger, and what orders must know of products.

use std::collections::BTreeSet;

use db::{Error, Row, Tx, Value};
use kit::clock::Timestamp;
use kit::money::Money;
use kit::statement::{insert_rows, placeholders};
use uuid::Uuid;

use crate::model::{Cause, Delta, Level, Movement};
use crate::split::fill_order;

/// How many ids one statement asks for, at most.
const IDS_AT_ONCE: usize = 256;

/// What an order must know of a product.
#[derive(Clone, Debug)]
pub struct Item {
    /// The product.
    pub product_id: Uuid,
    /// As the catalogue writes it.
    pub sku: String,
    /// What makes the SKU unique.
    pub sku_key: String,
    /// What it is called.
    pub name: String,
    /// What one costs.
    pub price: Money,
    /// Whether an order takes it from stock.
    pub track_stock: bool,
}

/// The active products with these SKUs, given as what makes them unique.
pub async fn find_items(tx: &Tx, sku_keys: &[String]) -> Result<Vec<Item>, Error> {
    let mut items = Vec::with_capacity(sku_keys.len());
    for keys in sku_keys.chunks(IDS_AT_ONCE) {
        let args = filled_up(keys.iter().map(Value::from).collect());
        let sql = [
            "SELECT id, sku, sku_key, name, price_minor, currency, track_stock FROM products WHERE active = TRUE AND sku_key IN (",
            &placeholders(args.len()),
            ")",
        ];
        items.extend(tx.rows(&sql.concat(), &args, item).await?);
    }
    Ok(items)
}

fn item(row: &Row<'_>) -> Result<Item, Error> {
    let minor: i64 = row.get(4)?;
    Ok(Item {
        product_id: row.get(0)?,
        sku: row.get(1)?,
        sku_key: row.get(2)?,
        name: row.get(3)?,
        price: Money::from_minor(minor, row.get(5)?)
            .ok_or_else(|| Error::Internal(format!("stored price {minor}")))?,
        track_stock: row.get(6)?,
    })
}

/// All levels of these products: by product, and in the order in which orders are filled.
pub(crate) async fn list_levels(tx: &Tx, products: &BTreeSet<Uuid>) -> Result<Vec<Level>, Error> {
    let ids: Vec<Value<'_>> = products.iter().map(|id| (*id).into()).collect();
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(IDS_AT_ONCE) {
        let ids = filled_up(ids.to_vec());
        let sql = [
            "SELECT product_id, location_id, on_hand, allocated, unavailable, backorder_limit, stock_levels.version, stock_levels.updated_at,
                    reorder_point, priority, code
             FROM stock_levels JOIN locations ON locations.id = location_id WHERE product_id IN (",
            &placeholders(ids.len()),
            ")",
        ];
        found.extend(tx.rows(&sql.concat(), &ids, placed_level).await?);
    }
    found.sort_by_cached_key(|(level, priority, code)| fill_order(level, *priority, code));
    Ok(found.into_iter().map(|(level, ..)| level).collect())
}

/// The last of a list repeated until there is a power of two: a list of each length would be a statement of its own, of which an engine keeps only so many
/// prepared.
fn filled_up(mut list: Vec<Value<'_>>) -> Vec<Value<'_>> {
    let missing = list.len().next_power_of_two() - list.len();
    list.extend(list.last().copied().into_iter().cycle().take(missing));
    list
}

/// A level with its location's priority and code.
fn placed_level(row: &Row<'_>) -> Result<(Level, i64, String), Error> {
    Ok((level(row)?, row.get(9)?, row.get(10)?))
}

fn level(row: &Row<'_>) -> Result<Level, Error> {
    Ok(Level {
        product_id: row.get(0)?,
        location_id: row.get(1)?,
        on_hand: row.get(2)?,
        allocated: row.get(3)?,
        unavailable: row.get(4)?,
        backorder_limit: row.get(5)?,
        version: row.get(6)?,
        updated_at: row.get(7)?,
        reorder_point: row.get(8)?,
    })
}

/// Stores changed levels, each over the version that was read; with none, the level is new.
pub(crate) async fn store_levels(
    tx: &Tx,
    levels: impl Iterator<Item = (&Level, Option<i64>)>,
) -> Result<(), Error> {
    const INSERT: &str = "INSERT INTO stock_levels (product_id, location_id, on_hand, allocated, unavailable, version, updated_at, backorder_limit)
                          VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    const UPDATE: &str = "UPDATE stock_levels SET on_hand = $3, allocated = $4, unavailable = $5, version = $6, updated_at = $7
                          WHERE product_id = $1 AND location_id = $2 AND version = $8";
    let statements: Vec<(&str, [Value<'_>; 8])> = levels
        .map(|(level, stored)| {
            let (sql, last) = stored.map_or((INSERT, level.backorder_limit), |version| (UPDATE, version));
            (sql, level_args(level, last))
        })
        .collect();
    let statements: Vec<(&str, &[Value<'_>])> =
        statements.iter().map(|(sql, args)| (*sql, args.as_slice())).collect();
    let counts = tx.all(&statements).await?;
    if counts.iter().all(|count| *count == 1) {
        return Ok(());
    }
    Err(Error::Internal("a level of stock was changed by somebody who had not taken its product".to_owned()))
}

fn level_args(level: &Level, last: i64) -> [Value<'static>; 8] {
    [
        level.product_id.into(),
        level.location_id.into(),
        level.on_hand.into(),
        level.allocated.into(),
        level.unavailable.into(),
        level.version.into(),
        level.updated_at.0.into(),
        last.into(),
    ]
}

const MOVEMENT: &str = "id, product_id, location_id, kind, on_hand_delta, allocated_delta, unavailable_delta, on_hand_after, allocated_after,
                        cause, cause_id, cause_step, reason, unit_cost_minor, actor_id, request_id, created_at";

/// Adds rows to the ledger.
pub(crate) async fn insert_movements(tx: &Tx, movements: &[Movement]) -> Result<(), Error> {
    let insert = ["INSERT INTO stock_movements (", MOVEMENT, ")"].concat();
    let rows: Vec<_> = movements.iter().map(movement_args).collect();
    insert_rows(tx, &insert, &["$"; 17], &rows).await
}

fn movement_args(movement: &Movement) -> [Value<'_>; 17] {
    let Movement { delta, cause, .. } = movement;
    [
        movement.id.into(),
        movement.product_id.into(),
        movement.location_id.into(),
        movement.kind.as_str().into(),
        delta.on_hand.into(),
        delta.allocated.into(),
        delta.unavailable.into(),
        movement.on_hand_after.into(),
        movement.allocated_after.into(),
        cause.kind.as_str().into(),
        cause.id.into(),
        cause.step.into(),
        movement.reason.as_ref().into(),
        movement.unit_cost_minor.into(),
        movement.actor_id.into(),
        movement.request_id.as_ref().into(),
        movement.created_at.0.into(),
    ]
}

/// A ledger's row, of the columns that [`movement_columns`] names.
pub fn movement(row: &Row<'_>) -> Result<Movement, Error> {
    Ok(Movement {
        id: row.get(0)?,
        product_id: row.get(1)?,
        location_id: row.get(2)?,
        kind: row.get(3)?,
        delta: Delta { on_hand: row.get(4)?, allocated: row.get(5)?, unavailable: row.get(6)? },
        on_hand_after: row.get(7)?,
        allocated_after: row.get(8)?,
        cause: Cause { kind: row.get(9)?, id: row.get(10)?, step: row.get(11)? },
        reason: row.get(12)?,
        unit_cost_minor: row.get(13)?,
        actor_id: row.get(14)?,
        request_id: row.get(15)?,
        created_at: row.get(16)?,
    })
}

/// The columns that [`movement`] reads, for whoever lists the ledger.
pub fn movement_columns() -> &'static str {
    MOVEMENT
}

/// What an order holds of a product at a location, and what it has taken from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Of what.
    pub product_id: Uuid,
    /// Where.
    pub location_id: Uuid,
    /// What is held.
    pub allocated: i64,
    /// What was shipped and did not come back.
    pub shipped: i64,
}

impl Held {
    pub(crate) fn is_at(&self, product: Uuid, location: Uuid) -> bool {
        self.product_id == product && self.location_id == location
    }
}

/// What an order holds, as the ledger says.
pub async fn held_by(tx: &Tx, order_id: Uuid) -> Result<Vec<Held>, Error> {
    let sql = "SELECT product_id, location_id, CAST(SUM(allocated_delta) AS BIGINT), CAST(SUM(-on_hand_delta) AS BIGINT)
               FROM stock_movements WHERE cause_id = $1 GROUP BY product_id, location_id";
    tx.rows(sql, &[order_id.into()], |row| {
        Ok(Held {
            product_id: row.get(0)?,
            location_id: row.get(1)?,
            allocated: row.get(2)?,
            shipped: row.get(3)?,
        })
    })
    .await
}

/// Makes all who change a product's stock go one by one.
pub async fn take_product(tx: &Tx, product_id: Uuid) -> Result<(), Error> {
    take_products(tx, &[product_id]).await
}

/// The same for several, in the order of their ids.
pub(crate) async fn take_products(tx: &Tx, in_order: &[Uuid]) -> Result<(), Error> {
    tx.exclude_others("products", in_order).await
}

/// Gives a new product its level at MAIN, so that it can be backordered before any of it came in.
pub async fn open_level(
    tx: &Tx,
    product_id: Uuid,
    backorder_limit: i64,
    reorder_point: Option<i64>,
    now: Timestamp,
) -> Result<(), Error> {
    let level = Level { backorder_limit, updated_at: now, ..Level::empty(product_id, crate::MAIN) };
    store_levels(tx, std::iter::once((&level, None))).await?;
    match reorder_point {
        Some(_) => set_reorder_point(tx, product_id, reorder_point).await,
        None => Ok(()),
    }
}

/// Changes at which level a product should be bought.
pub(crate) async fn set_reorder_point(tx: &Tx, product_id: Uuid, point: Option<i64>) -> Result<(), Error> {
    let sql = "UPDATE stock_levels SET reorder_point = $3 WHERE product_id = $1 AND location_id = $2";
    tx.later(&[(sql, &[product_id.into(), crate::MAIN.into(), point.into()])]).await
}

/// Removes the levels of a product that nothing ever moved; a level that was moved stays, and so the product can't be removed.
pub async fn close_levels(tx: &Tx, product_id: Uuid) -> Result<(), Error> {
    take_product(tx, product_id).await?;
    let sql = "DELETE FROM stock_levels WHERE product_id = $1 AND version = 0";
    tx.execute(sql, &[product_id.into()]).await.map(drop)
}

/// Changes how much of a product may be allocated beyond what there is.
pub async fn set_backorder_limit(tx: &Tx, product_id: Uuid, limit: i64) -> Result<(), Error> {
    take_product(tx, product_id).await?;
    let sql = "UPDATE stock_levels SET backorder_limit = $3 WHERE product_id = $1 AND location_id = $2";
    tx.execute(sql, &[product_id.into(), crate::MAIN.into(), limit.into()]).await.map(drop)
}

/// A level, and what the ledger says of it.
pub(crate) struct Summed {
    pub(crate) product_id: Uuid,
    pub(crate) location_id: Uuid,
    /// On hand, allocated, unavailable, and how many movements; none where there is no level.
    pub(crate) level: Option<[i64; 4]>,
    pub(crate) ledger: [i64; 4],
}

/// The next products behind one, by their ids.
pub(crate) async fn next_products(tx: &Tx, after: Uuid, limit: i64) -> Result<Vec<Uuid>, Error> {
    let sql = "SELECT id FROM products WHERE id > $1 ORDER BY id LIMIT $2";
    tx.rows(sql, &[after.into(), limit.into()], |row| row.get(0)).await
}

/// The levels of the products behind one id and up to another, beside the sums of their movements.
pub(crate) async fn sum_ledger(tx: &Tx, after: Uuid, last: Uuid) -> Result<Vec<Summed>, Error> {
    let sql = "SELECT places.product_id, places.location_id, stock_levels.on_hand, stock_levels.allocated, stock_levels.unavailable,
                      stock_levels.version, COALESCE(sums.on_hand, 0), COALESCE(sums.allocated, 0), COALESCE(sums.unavailable, 0),
                      COALESCE(sums.count, 0)
               FROM (SELECT product_id, location_id FROM stock_levels WHERE product_id > $1 AND product_id <= $2
                     UNION SELECT product_id, location_id FROM stock_movements WHERE product_id > $1 AND product_id <= $2) AS places
               LEFT JOIN stock_levels ON stock_levels.product_id = places.product_id AND stock_levels.location_id = places.location_id
               LEFT JOIN (SELECT product_id, location_id, CAST(SUM(on_hand_delta) AS BIGINT) AS on_hand,
                                 CAST(SUM(allocated_delta) AS BIGINT) AS allocated, CAST(SUM(unavailable_delta) AS BIGINT) AS unavailable,
                                 COUNT(*) AS count
                          FROM stock_movements WHERE product_id > $1 AND product_id <= $2 GROUP BY product_id, location_id) AS sums
                 ON sums.product_id = places.product_id AND sums.location_id = places.location_id
               ORDER BY places.product_id, places.location_id";
    tx.rows(sql, &[after.into(), last.into()], |row| {
        let on_hand: Option<i64> = row.get(2)?;
        let level = match on_hand {
            Some(on_hand) => Some([on_hand, row.get(3)?, row.get(4)?, row.get(5)?]),
            None => None,
        };
        let ledger = [row.get(6)?, row.get(7)?, row.get(8)?, row.get(9)?];
        Ok(Summed { product_id: row.get(0)?, location_id: row.get(1)?, level, ledger })
    })
    .await
}

/// A product's SKU, for people.
pub async fn find_sku(tx: &Tx, product_id: Uuid) -> Result<Option<String>, Error> {
    tx.optional("SELECT sku FROM products WHERE id = $1", &[product_id.into()], |row| row.get(0)).await
}

/// A location's code, for people.
pub(crate) async fn find_code(tx: &Tx, location_id: Uuid) -> Result<Option<String>, Error> {
    tx.optional("SELECT code FROM locations WHERE id = $1", &[location_id.into()], |row| row.get(0)).await
}

/// What an order has of a product, as the ledger says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderSum {
    /// Whose.
    pub order_id: Uuid,
    /// Of what.
    pub product_id: Uuid,
    /// What it holds.
    pub allocated: i64,
    /// What was shipped, whatever came back.
    pub shipped: i64,
}

/// What the orders behind one id and up to another have, as the ledger says.
pub async fn sum_by_order(tx: &Tx, after: Uuid, last: Uuid) -> Result<Vec<OrderSum>, Error> {
    let sql = "SELECT cause_id, product_id, CAST(SUM(allocated_delta) AS BIGINT),
                      CAST(SUM(CASE WHEN kind = 'ship' THEN -on_hand_delta ELSE 0 END) AS BIGINT)
               FROM stock_movements WHERE cause = 'order' AND cause_id > $1 AND cause_id <= $2 GROUP BY cause_id, product_id";
    tx.rows(sql, &[after.into(), last.into()], |row| {
        Ok(OrderSum {
            order_id: row.get(0)?,
            product_id: row.get(1)?,
            allocated: row.get(2)?,
            shipped: row.get(3)?,
        })
    })
    .await
}
