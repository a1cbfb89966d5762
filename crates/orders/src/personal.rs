//! What is told to people of their orders when they ask for all that is kept of them.

use accounts::personal::{Cursor, Items, Section, item};
use db::Tx;
use futures_util::FutureExt;
use serde::Serialize;
use uuid::Uuid;

use crate::store;
use crate::view::{HistoryView, OrderView};

/// How many are in memory at once; an order may have 500 lines.
const ORDERS_AT_ONCE: i64 = 10;
const ROWS_AT_ONCE: i64 = 200;

/// A person's orders.
pub const ORDERS: Section = Section { name: "orders", page: orders };

/// What became of them.
pub const ORDER_HISTORY: Section = Section { name: "order_history", page: history };

#[derive(Serialize)]
struct HistoryItem {
    order_id: Uuid,
    #[serde(flatten)]
    row: HistoryView,
}

fn orders(tx: &Tx, person: Uuid, after: Cursor) -> Items<'_> {
    async move {
        let orders = store::orders_of(tx, person, after.0, ORDERS_AT_ONCE).await?;
        orders.into_iter().map(|order| item((order.id, Uuid::nil()), &OrderView::new(order, false))).collect()
    }
    .boxed()
}

fn history(tx: &Tx, person: Uuid, after: Cursor) -> Items<'_> {
    async move {
        let rows = store::history_of(tx, person, after, ROWS_AT_ONCE).await?;
        let view = |row: store::HistoryRow| {
            let (order_id, id) = (row.order_id, row.id);
            item((order_id, id), &HistoryItem { order_id, row: HistoryView::from(row) })
        };
        rows.into_iter().map(view).collect()
    }
    .boxed()
}
