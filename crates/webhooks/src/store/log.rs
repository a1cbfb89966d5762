//! Statements that look at deliveries, and let the oldest go.

use db::{Error, Row, Tx};
use events::Position;
use kit::clock::Timestamp;
use kit::page::{Conditions, Key, PageRequest};
use uuid::Uuid;

use super::{count, paged};
use crate::model::{Delivery, DeliveryStatus};

const DELIVERY: &str = "id, event_xid, event_seq, event_type, object_id, status, due_at, attempts, last_status, last_error, last_micros,
                        created_at, ended_at";

fn delivery(row: &Row<'_>) -> Result<Delivery, Error> {
    Ok(Delivery {
        id: row.get(0)?,
        event: Position { xid: row.get(1)?, seq: row.get(2)? },
        event_type: row.get(3)?,
        object_id: row.get(4)?,
        status: row.get(5)?,
        due_at: row.get(6)?,
        attempts: row.get(7)?,
        last_status: row.get(8)?,
        last_error: row.get(9)?,
        last_micros: row.get(10)?,
        created_at: row.get(11)?,
        ended_at: row.get(12)?,
    })
}

/// Which deliveries to list.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryFilter {
    /// Of this webhook.
    pub webhook_id: Uuid,
    /// Of which this became, if it matters.
    pub status: Option<DeliveryStatus>,
}

/// A page of a webhook's deliveries, and how many there are in all if that was asked for.
pub async fn list_deliveries(
    tx: &Tx,
    filter: DeliveryFilter,
    page: &PageRequest,
) -> Result<(Vec<Delivery>, Option<i64>), Error> {
    let mut conditions = Conditions::new();
    conditions.and("webhook_id = {}", filter.webhook_id);
    // Written out, since SQLite uses an index of some rows only where the statement says which.
    conditions.only(match filter.status {
        None => "TRUE",
        Some(DeliveryStatus::Pending) => "status = 'pending'",
        Some(DeliveryStatus::Delivered) => "status = 'delivered'",
        Some(DeliveryStatus::Failed) => "status = 'failed'",
    });
    let total = count(tx, "webhook_deliveries", &conditions, page).await?;
    let sql = paged(DELIVERY, "webhook_deliveries", &mut conditions, page);
    Ok((tx.rows(&sql, conditions.args(), delivery).await?, total))
}

/// Where a delivery stands in a list.
pub fn delivery_position(delivery: &Delivery) -> kit::page::Position {
    kit::page::Position { key: Key::Int(delivery.created_at.0), id: delivery.id }
}

/// A delivery of a webhook.
pub async fn find_delivery(tx: &Tx, webhook: Uuid, id: Uuid) -> Result<Option<Delivery>, Error> {
    let sql = format!("SELECT {DELIVERY} FROM webhook_deliveries WHERE id = $1 AND webhook_id = $2");
    tx.optional(&sql, &[id.into(), webhook.into()], delivery).await
}

/// How many deliveries are still to be taken, and since when the oldest is.
pub(crate) async fn oldest_pending(tx: &Tx) -> Result<(i64, Option<Timestamp>), Error> {
    let sql = "SELECT COUNT(*), MIN(created_at) FROM webhook_deliveries WHERE status = 'pending'";
    tx.one(sql, &[], |row| Ok((row.get(0)?, row.get(1)?))).await
}

/// Removes what ended before a moment, at most so many.
pub(crate) async fn sweep_ended(tx: &Tx, moment: Timestamp, limit: i64) -> Result<u64, Error> {
    let sql = "DELETE FROM webhook_deliveries WHERE id IN
               (SELECT id FROM webhook_deliveries WHERE ended_at IS NOT NULL AND ended_at < $1 ORDER BY ended_at LIMIT $2)";
    tx.execute(sql, &[moment.0.into(), limit.into()]).await
}

/// Removes the log of what was told of these things. What is still on its way stays until then.
pub async fn forget_objects(tx: &Tx, objects: &[Uuid]) -> Result<(), Error> {
    if objects.is_empty() {
        return Ok(());
    }
    let places: Vec<String> = (1..=objects.len()).map(|number| format!("${number}")).collect();
    let sql = format!(
        "DELETE FROM webhook_deliveries WHERE ended_at IS NOT NULL AND object_id IN ({})",
        places.join(", ")
    );
    let args: Vec<db::Value<'_>> = objects.iter().map(|id| (*id).into()).collect();
    tx.execute(&sql, &args).await.map(drop)
}
