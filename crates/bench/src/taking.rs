//! What a placement does with stock, by the statements that it executes (`crates/stock/src/store.rs`).

use anyhow::{Context as _, Result, ensure};
use kit::clock::new_id;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::placement::{INSERT_EVENT, Placement, insert_event};

/// The location that is there from the start.
pub(crate) const MAIN: Uuid = Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001);

pub(crate) const FIND_ITEM: &str = "SELECT id, sku, sku_key, name, price_minor, currency, track_stock FROM products WHERE active = TRUE AND sku_key = $1";

pub(crate) const FIND_LEVELS: &str =
    "SELECT product_id, location_id, on_hand, allocated, unavailable, backorder_limit, stock_levels.version, stock_levels.updated_at, reorder_point, priority, code
     FROM stock_levels JOIN locations ON locations.id = location_id WHERE product_id = $1";

/// Numbered as they appear, as SQLite numbers them.
const STORE_LEVEL: &str =
    "UPDATE stock_levels SET on_hand = $1, allocated = $2, unavailable = $3, version = $4, updated_at = $5
                           WHERE product_id = $6 AND location_id = $7 AND version = $8";

/// As a service writes it that has read nothing before.
pub(crate) const TAKE: &str = "UPDATE stock_levels SET allocated = allocated + $3, version = version + 1, updated_at = $4
                               WHERE product_id = $1 AND location_id = $2 AND on_hand - unavailable - allocated + backorder_limit >= $3
                               RETURNING on_hand, allocated";

pub(crate) const INSERT_MOVEMENT: &str =
    "INSERT INTO stock_movements (id, product_id, location_id, kind, on_hand_delta, allocated_delta, unavailable_delta, on_hand_after,
                                  allocated_after, cause, cause_id, cause_step, reason, unit_cost_minor, actor_id, request_id, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";

/// Takes what an order's lines of stock name, on SQLite, inside a transaction of the caller's.
pub(crate) fn take(
    connection: &Connection,
    placement: &Placement,
    order: Uuid,
    user: Uuid,
    now: i64,
) -> Result<()> {
    for line in &placement.lines {
        let Some(item) = &line.item else { continue };
        let product: Vec<u8> =
            connection.prepare_cached(FIND_ITEM)?.query_row([item.sku.to_lowercase()], |row| row.get(0))?;
        let (on_hand, allocated, unavailable, version): (i64, i64, i64, i64) = connection
            .prepare_cached(FIND_LEVELS)?
            .query_row([&product], |row| Ok((row.get(2)?, row.get(3)?, row.get(4)?, row.get(6)?)))?;
        ensure!(on_hand - unavailable - allocated >= line.quantity, "the benchmark has sold out");
        let after = allocated + line.quantity;
        let stored = connection.prepare_cached(STORE_LEVEL)?.execute(params![
            on_hand,
            after,
            unavailable,
            version + 1,
            now,
            product,
            MAIN.as_bytes().as_slice(),
            version
        ])?;
        ensure!(stored == 1, "a level changed inside a transaction");
        let (none, movement): (Option<&str>, Uuid) = (None, new_id());
        connection.prepare_cached(INSERT_MOVEMENT)?.execute(params![
            movement.as_bytes().as_slice(),
            product,
            MAIN.as_bytes().as_slice(),
            "allocate",
            0,
            line.quantity,
            0,
            on_hand,
            after,
            "order",
            order.as_bytes().as_slice(),
            1,
            none,
            none,
            user.as_bytes().as_slice(),
            new_id().to_string(),
            now
        ])?;
        insert_event(connection, "stock.allocated", item.product, movement, now)?;
    }
    Ok(())
}

/// The same on PostgreSQL, one statement after the other.
pub(crate) struct Statements {
    item: tokio_postgres::Statement,
    take: tokio_postgres::Statement,
    movement: tokio_postgres::Statement,
    event: tokio_postgres::Statement,
}

impl Statements {
    pub(crate) async fn prepare(client: &tokio_postgres::Client) -> Result<Self> {
        Ok(Self {
            item: client.prepare(FIND_ITEM).await?,
            take: client.prepare(TAKE).await?,
            movement: client.prepare(INSERT_MOVEMENT).await?,
            event: client.prepare(INSERT_EVENT).await?,
        })
    }

    /// In the order of the products, so that nobody waits in a circle.
    pub(crate) async fn take(
        &self,
        client: &tokio_postgres::Client,
        placement: &Placement,
        (order, user): (Uuid, Uuid),
        now: i64,
    ) -> Result<()> {
        let mut lines: Vec<_> =
            placement.lines.iter().filter_map(|line| Some((line.item.as_ref()?, line.quantity))).collect();
        lines.sort_unstable_by_key(|(item, _)| item.product);
        for (item, quantity) in lines {
            let product: Uuid =
                client.query_one(&self.item, &[&item.sku.to_lowercase()]).await?.try_get(0)?;
            let taken = client.query_opt(&self.take, &[&product, &MAIN, &quantity, &now]).await?;
            let taken = taken.context("the benchmark has sold out")?;
            let (on_hand, allocated): (i64, i64) = (taken.try_get(0)?, taken.try_get(1)?);
            let (none, no_cost, movement): (Option<&str>, Option<i64>, Uuid) = (None, None, new_id());
            client
                .execute(
                    &self.movement,
                    &[
                        &movement,
                        &product,
                        &MAIN,
                        &"allocate",
                        &0_i64,
                        &quantity,
                        &0_i64,
                        &on_hand,
                        &allocated,
                        &"order",
                        &order,
                        &1_i64,
                        &none,
                        &no_cost,
                        &Some(user),
                        &Some(new_id().to_string()),
                        &now,
                    ],
                )
                .await?;
            client.execute(&self.event, &[&"stock.allocated", &product, &movement, &now]).await?;
        }
        Ok(())
    }
}
