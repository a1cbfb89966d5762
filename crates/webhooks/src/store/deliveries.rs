//! Statements that lead deliveries on. Whoever runs one that changes something holds the webhook's row.

use std::collections::HashMap;

use db::{Error, Row, Tx, Value};
use events::Position;
use kit::clock::Timestamp;
use kit::statement::insert_rows;
use uuid::Uuid;

use crate::model::DeliveryStatus;

/// A new delivery.
pub(crate) struct NewDelivery {
    pub(crate) id: Uuid,
    pub(crate) event: Position,
    pub(crate) event_type: &'static str,
    pub(crate) object_id: Uuid,
    pub(crate) body: String,
    /// None if an earlier one of its object comes first.
    pub(crate) due_at: Option<Timestamp>,
}

/// Adds deliveries to a webhook.
pub(crate) async fn insert_deliveries(
    tx: &Tx,
    webhook: Uuid,
    now: Timestamp,
    new: &[NewDelivery],
) -> Result<(), Error> {
    const INSERT: &str = "INSERT INTO webhook_deliveries
        (id, webhook_id, event_xid, event_seq, event_type, object_id, body, due_at, created_at, status, in_order, attempts)";
    const ROW: [&str; 12] = ["$", "$", "$", "$", "$", "$", "$", "$", "$", "'pending'", "TRUE", "0"];
    let rows: Vec<[Value<'_>; 9]> = new
        .iter()
        .map(|delivery| {
            [
                delivery.id.into(),
                webhook.into(),
                delivery.event.xid.into(),
                delivery.event.seq.into(),
                delivery.event_type.into(),
                delivery.object_id.into(),
                delivery.body.as_str().into(),
                delivery.due_at.map(|moment| moment.0).into(),
                now.0.into(),
            ]
        })
        .collect();
    insert_rows(tx, INSERT, &ROW, &rows).await
}

/// How many of a webhook's deliveries are still to be taken, by object.
pub(crate) type Waiting = HashMap<Uuid, i64>;

/// Counts a webhook's deliveries that are still to be taken in their order.
pub(crate) async fn count_waiting(tx: &Tx, webhook: Uuid) -> Result<Waiting, Error> {
    let sql = "SELECT object_id, COUNT(*) FROM webhook_deliveries
               WHERE webhook_id = $1 AND status = 'pending' AND in_order GROUP BY object_id";
    let counted = tx.rows(sql, &[webhook.into()], |row| Ok((row.get(0)?, row.get(1)?))).await?;
    Ok(counted.into_iter().collect())
}

/// The webhooks that have something due, those whose turn it is longest first.
pub(crate) async fn list_due(tx: &Tx, now: Timestamp) -> Result<Vec<Uuid>, Error> {
    let sql = "SELECT id FROM (SELECT id, (SELECT MIN(due_at) FROM webhook_deliveries WHERE webhook_id = webhooks.id AND due_at IS NOT NULL) AS due_at
                               FROM webhooks WHERE enabled) AS heads
               WHERE due_at <= $1 ORDER BY due_at";
    tx.rows(sql, &[now.0.into()], |row| row.get(0)).await
}

/// A delivery that is this process's to send for a while.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) object_id: Uuid,
    pub(crate) in_order: bool,
    /// How often it is being sent, this time included.
    pub(crate) attempts: i64,
    /// Until when it is nobody else's; together with the attempts it tells this attempt from all others.
    pub(crate) until: Timestamp,
    pub(crate) body: String,
}

/// Takes the deliveries of a webhook that are due, those that are due longest, until a moment.
pub(crate) async fn claim(
    tx: &Tx,
    webhook: Uuid,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<Claimed>, Error> {
    let sql = "UPDATE webhook_deliveries SET due_at = $3, attempts = attempts + 1
               WHERE id IN (SELECT id FROM webhook_deliveries WHERE webhook_id = $1 AND due_at IS NOT NULL AND due_at <= $2
                            ORDER BY due_at, event_xid, event_seq LIMIT $4)
               RETURNING id, object_id, in_order, attempts, due_at, body";
    let args = [webhook.into(), now.0.into(), until.0.into(), limit.into()];
    tx.rows(sql, &args, claimed).await
}

fn claimed(row: &Row<'_>) -> Result<Claimed, Error> {
    Ok(Claimed {
        id: row.get(0)?,
        object_id: row.get(1)?,
        in_order: row.get(2)?,
        attempts: row.get(3)?,
        until: row.get(4)?,
        body: row.get(5)?,
    })
}

/// How an attempt went, as it is kept.
pub(crate) struct Kept {
    pub(crate) status: Option<i64>,
    pub(crate) error: Option<String>,
    pub(crate) micros: i64,
}

/// Ends a delivery, unless somebody else has it now or it has ended.
pub(crate) async fn end_attempt(
    tx: &Tx,
    claimed: &Claimed,
    end: DeliveryStatus,
    kept: &Kept,
    now: Timestamp,
) -> Result<bool, Error> {
    let sql = "UPDATE webhook_deliveries SET status = $7, due_at = NULL, ended_at = $8, last_status = $4, last_error = $5, last_micros = $6
               WHERE id = $1 AND attempts = $2 AND due_at = $3";
    let args = kept_args(claimed, kept).into_iter().chain([end.as_str().into(), now.0.into()]);
    Ok(tx.execute(sql, &args.collect::<Vec<_>>()).await? == 1)
}

/// Has a delivery sent again at a moment, unless somebody else has it now or it has ended.
pub(crate) async fn put_off(
    tx: &Tx,
    claimed: &Claimed,
    kept: &Kept,
    due_at: Timestamp,
) -> Result<bool, Error> {
    let sql = "UPDATE webhook_deliveries SET due_at = $7, last_status = $4, last_error = $5, last_micros = $6
               WHERE id = $1 AND attempts = $2 AND due_at = $3";
    let args = kept_args(claimed, kept).into_iter().chain([due_at.0.into()]);
    Ok(tx.execute(sql, &args.collect::<Vec<_>>()).await? == 1)
}

fn kept_args<'a>(claimed: &Claimed, kept: &'a Kept) -> [Value<'a>; 6] {
    [
        claimed.id.into(),
        claimed.attempts.into(),
        claimed.until.0.into(),
        kept.status.into(),
        kept.error.as_deref().into(),
        kept.micros.into(),
    ]
}

/// Makes the next of an object due, once the one before it has ended.
pub(crate) async fn promote(tx: &Tx, webhook: Uuid, object: Uuid, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE webhook_deliveries SET due_at = $3 WHERE due_at IS NULL AND id =
               (SELECT id FROM webhook_deliveries WHERE webhook_id = $1 AND object_id = $2 AND status = 'pending' AND in_order
                ORDER BY event_xid, event_seq LIMIT 1)";
    tx.execute(sql, &[webhook.into(), object.into(), now.0.into()]).await.map(drop)
}

/// Ends all that a webhook still has to take.
pub(crate) async fn end_all(tx: &Tx, webhook: Uuid, error: &str, now: Timestamp) -> Result<u64, Error> {
    let sql = "UPDATE webhook_deliveries SET status = 'failed', due_at = NULL, ended_at = $3, last_error = COALESCE(last_error, $2)
               WHERE webhook_id = $1 AND status = 'pending'";
    tx.execute(sql, &[webhook.into(), error.into(), now.0.into()]).await
}

/// Has a delivery that ended sent again, out of its order.
pub(crate) async fn send_again(tx: &Tx, delivery: Uuid, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE webhook_deliveries SET status = 'pending', in_order = FALSE, due_at = $2, attempts = 0, ended_at = NULL
               WHERE id = $1 AND status <> 'pending'";
    tx.execute(sql, &[delivery.into(), now.0.into()]).await.map(drop)
}

/// Has what is sent next of an object sent now, unless that may be under way: then it is due before `soon` anyway.
pub(crate) async fn send_sooner(
    tx: &Tx,
    webhook: Uuid,
    object: Uuid,
    now: Timestamp,
    soon: Timestamp,
) -> Result<(), Error> {
    let sql = "UPDATE webhook_deliveries SET due_at = $3
               WHERE webhook_id = $1 AND object_id = $2 AND status = 'pending' AND due_at IS NOT NULL AND due_at > $4";
    tx.execute(sql, &[webhook.into(), object.into(), now.0.into(), soon.0.into()]).await.map(drop)
}
