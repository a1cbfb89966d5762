//! Every statement on levels and the ledger, and what orders must know of products.

use std::collections::BTreeSet;

use db::{Error, Row, Tx, Value};
use kit::clock::Timestamp;
use kit::money::Money;
use kit::statement::{IDS_AT_ONCE, filled_up, insert_rows, placeholders, upsert_rows};
use uuid::Uuid;

use crate::model::{Cause, Delta, Level, MAIN, Movement, Terms};
use crate::split::fill_order;

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

/// Stores changed levels, each over the version that was read; with none, the level is new. Those that one movement has changed, as most, share statements.
pub(crate) async fn store_levels(tx: &Tx, changed: &[(&Level, Option<i64>)]) -> Result<(), Error> {
    const UPDATE: &str = "UPDATE stock_levels SET on_hand = $3, allocated = $4, unavailable = $5, version = $6, updated_at = $7
                          WHERE product_id = $1 AND location_id = $2 AND version = $8";
    const INSERT: &str = "INSERT INTO stock_levels (product_id, location_id, on_hand, allocated, unavailable, version, updated_at, backorder_limit)";
    const OVER: &str = "ON CONFLICT (product_id, location_id) DO UPDATE SET on_hand = excluded.on_hand, allocated = excluded.allocated,
                        unavailable = excluded.unavailable, version = excluded.version, updated_at = excluded.updated_at
                        WHERE stock_levels.version = excluded.version - 1";
    let (mut once, mut often) = (Vec::new(), Vec::new());
    for (level, stored) in changed {
        match stored {
            Some(version) if level.version > version + 1 => often.push(level_args(level, *version)),
            _ => once.push(level_args(level, level.backorder_limit)),
        }
    }
    let often: Vec<(&str, &[Value<'_>])> = often.iter().map(|args| (UPDATE, args.as_slice())).collect();
    let stored: u64 = tx.all(&often).await?.into_iter().sum();
    let stored = stored + upsert_rows(tx, INSERT, &["$"; 8], OVER, &once).await?;
    if usize::try_from(stored) == Ok(changed.len()) {
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

/// What a query says that looks for rows of a kind of which there are few: in these words, the index that has no others is used.
pub const FEW: &str = "kind NOT IN ('allocate', 'ship')";

/// What a query says that looks for rows of another location than MAIN: in these words, the index that has no others is used.
pub fn elsewhere(tx: &Tx) -> String {
    ["location_id <> ", &tx.id_literal(MAIN)].concat()
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
    take_products(tx, &BTreeSet::from([product_id])).await
}

/// The same for several, in the order of their ids.
pub async fn take_products(tx: &Tx, products: &BTreeSet<Uuid>) -> Result<(), Error> {
    tx.exclude_others(PRODUCTS, &products.iter().copied().collect::<Vec<_>>()).await
}

/// The same for all, for who will come to more than can be named at once: to take others later would break the order.
pub async fn take_all_products(tx: &Tx) -> Result<(), Error> {
    tx.exclude_all(PRODUCTS).await
}

const PRODUCTS: &str = "products";

/// Gives new products their levels at MAIN, each with its terms, so that they can be backordered before any of them came in.
pub async fn open_levels(tx: &Tx, terms: &[Terms], now: Timestamp) -> Result<(), Error> {
    insert_rows(tx, LEVEL_AT_MAIN, AT_MAIN, &terms_args(terms, now)).await
}

/// Changes the terms of products that are taken, in the order of their ids.
pub(crate) async fn set_terms(tx: &Tx, in_order: &[Terms], now: Timestamp) -> Result<(), Error> {
    let over = "ON CONFLICT (product_id, location_id) DO UPDATE SET backorder_limit = excluded.backorder_limit, reorder_point = excluded.reorder_point";
    upsert_rows(tx, LEVEL_AT_MAIN, AT_MAIN, over, &terms_args(in_order, now)).await.map(drop)
}

const LEVEL_AT_MAIN: &str = "INSERT INTO stock_levels (product_id, location_id, on_hand, allocated, unavailable, version, updated_at, backorder_limit, reorder_point)";
const AT_MAIN: &[&str] = &["$", "$", "0", "0", "0", "0", "$", "$", "$"];

fn terms_args(terms: &[Terms], now: Timestamp) -> Vec<[Value<'static>; 5]> {
    let args = |terms: &Terms| {
        let Terms { product_id, backorder_limit, reorder_point } = *terms;
        [product_id.into(), MAIN.into(), now.0.into(), backorder_limit.into(), reorder_point.into()]
    };
    terms.iter().map(args).collect()
}

/// Removes the levels of a product that nothing ever moved; a level that was moved stays, and so the product can't be removed.
pub async fn close_levels(tx: &Tx, product_id: Uuid) -> Result<(), Error> {
    take_product(tx, product_id).await?;
    let sql = "DELETE FROM stock_levels WHERE product_id = $1 AND version = 0";
    tx.execute(sql, &[product_id.into()]).await.map(drop)
}

/// The next products behind one, by their ids.
pub(crate) async fn next_products(tx: &Tx, after: Uuid, limit: i64) -> Result<Vec<Uuid>, Error> {
    let sql = "SELECT id FROM products WHERE id > $1 ORDER BY id LIMIT $2";
    tx.rows(sql, &[after.into(), limit.into()], |row| row.get(0)).await
}

/// The levels of the products behind one id and up to another, each with its product's terms.
pub(crate) async fn levels_beside_products(
    tx: &Tx,
    after: Uuid,
    last: Uuid,
) -> Result<Vec<(Level, Terms)>, Error> {
    let sql = "SELECT product_id, location_id, on_hand, allocated, unavailable, stock_levels.backorder_limit, stock_levels.version,
                      stock_levels.updated_at, stock_levels.reorder_point, products.backorder_limit,
                      CASE WHEN track_stock = TRUE AND active = TRUE THEN products.reorder_point END
               FROM stock_levels JOIN products ON products.id = product_id WHERE product_id > $1 AND product_id <= $2";
    tx.rows(sql, &[after.into(), last.into()], |row| {
        let level = level(row)?;
        let product_id = level.product_id;
        Ok((level, Terms { product_id, backorder_limit: row.get(9)?, reorder_point: row.get(10)? }))
    })
    .await
}

/// Where a row stands in the ledger of all products.
pub(crate) type LedgerPlace = (Uuid, Timestamp, Uuid);

/// The next rows of the ledger, of products up to one, by product and in the order in which they were written.
pub(crate) async fn next_movements(
    tx: &Tx,
    after: LedgerPlace,
    last: Uuid,
    limit: i64,
) -> Result<Vec<Movement>, Error> {
    let sql = [
        "SELECT ",
        MOVEMENT,
        " FROM stock_movements WHERE (product_id, created_at, id) > ($1, $2, $3) AND product_id <= $4
          ORDER BY product_id, created_at, id LIMIT $5",
    ];
    let (product_id, moment, id) = after;
    let args = [product_id.into(), moment.0.into(), id.into(), last.into(), limit.into()];
    tx.rows(&sql.concat(), &args, movement).await
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
