//! Statements on the orders of one person: what is told to them of all, and what is taken out when they are gone.

use db::{Error, Tx};
use uuid::Uuid;

use super::{HistoryRow, ORDER, history_row, order};
use crate::model::Order;

/// The statuses that nothing follows.
const CLOSED: &str = "status IN ('completed', 'cancelled', 'expired')";

/// So many answers about one person's orders are looked for at most.
const RECENT: i64 = 500;

/// Closed orders of a person that hold what is personal.
pub(crate) async fn orders_to_erase(tx: &Tx, person: Uuid, limit: i64) -> Result<Vec<Uuid>, Error> {
    let sql = format!(
        "SELECT id FROM orders WHERE user_id = $1 AND {CLOSED}
         AND (note IS NOT NULL OR ship_to IS NOT NULL OR metadata <> '{{}}'
              OR EXISTS (SELECT 1 FROM order_history WHERE order_id = orders.id AND reason IS NOT NULL))
         ORDER BY created_at, id LIMIT $2"
    );
    tx.rows(&sql, &[person.into(), limit.into()], |row| row.get(0)).await
}

/// Takes out of an order and its history what is personal.
pub(crate) async fn erase_order(tx: &Tx, id: Uuid, search: &str) -> Result<(), Error> {
    let order = "UPDATE orders SET note = NULL, ship_to = NULL, metadata = '{}', search = $2, version = version + 1 WHERE id = $1";
    let history = "UPDATE order_history SET reason = NULL WHERE order_id = $1 AND reason IS NOT NULL";
    tx.later(&[(order, &[id.into(), search.into()]), (history, &[id.into()])]).await
}

/// Whether a person has an order that isn't closed.
pub(crate) async fn has_open_order(tx: &Tx, person: Uuid) -> Result<bool, Error> {
    let sql = format!("SELECT id FROM orders WHERE user_id = $1 AND NOT ({CLOSED}) LIMIT 1");
    Ok(tx.optional(&sql, &[person.into()], |row| row.get::<Uuid>(0)).await?.is_some())
}

/// A person's newest orders.
pub(crate) async fn recent_orders_of(tx: &Tx, person: Uuid) -> Result<Vec<Uuid>, Error> {
    let sql = "SELECT id FROM orders WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2";
    tx.rows(sql, &[person.into(), RECENT.into()], |row| row.get(0)).await
}

/// A person's orders behind one, by their ids, without their lines.
pub(crate) async fn orders_of(tx: &Tx, person: Uuid, after: Uuid, limit: i64) -> Result<Vec<Order>, Error> {
    let sql = format!(
        "SELECT {ORDER} FROM orders WHERE user_id = $1 AND hidden = FALSE AND id > $2 ORDER BY id LIMIT $3"
    );
    let mut orders = tx.rows(&sql, &[person.into(), after.into(), limit.into()], order).await?;
    for order in &mut orders {
        order.lines = super::lines_of(tx, order.id).await?;
    }
    Ok(orders)
}

/// The history of a person's orders behind a row of it.
pub(crate) async fn history_of(
    tx: &Tx,
    person: Uuid,
    after: (Uuid, Uuid),
    limit: i64,
) -> Result<Vec<HistoryRow>, Error> {
    let columns =
        "order_history.id, order_id, action, from_status, to_status, actor_id, reason, details, request_id,
                   order_history.created_at";
    let sql = format!(
        "SELECT {columns} FROM order_history JOIN orders ON orders.id = order_id
         WHERE user_id = $1 AND hidden = FALSE AND (order_id, order_history.id) > ($2, $3)
         ORDER BY order_id, order_history.id LIMIT $4"
    );
    tx.rows(&sql, &[person.into(), after.0.into(), after.1.into(), limit.into()], history_row).await
}
