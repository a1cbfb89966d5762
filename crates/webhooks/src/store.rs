//! Every statement on webhooks and their deliveries.

mod deliveries;
mod log;

use db::{Error, Row, Tx, Value};
use events::{Position, join_filters, split_filters};
use kit::clock::Timestamp;
use kit::page::{Conditions, Key, PageRequest};
use uuid::Uuid;

pub(crate) use self::deliveries::{
    Claimed, Kept, NewDelivery, Waiting, claim, count_waiting, end_all, end_attempt, insert_deliveries,
    list_due, promote, put_off, send_again, send_sooner,
};
pub use self::log::{DeliveryFilter, delivery_position, find_delivery, forget_objects, list_deliveries};
pub(crate) use self::log::{oldest_pending, sweep_ended};
use crate::model::Webhook;

const WEBHOOK: &str =
    "id, url, description, types, enabled, disabled_reason, generation, rotated_at, failing_since,
                       cursor_xid, cursor_seq, version, created_at, updated_at";

fn webhook(row: &Row<'_>) -> Result<Webhook, Error> {
    let filters: String = row.get(3)?;
    Ok(Webhook {
        id: row.get(0)?,
        url: row.get(1)?,
        description: row.get(2)?,
        filters: split_filters(&filters),
        enabled: row.get(4)?,
        disabled_reason: row.get(5)?,
        generation: row.get(6)?,
        rotated_at: row.get(7)?,
        failing_since: row.get(8)?,
        cursor: Position { xid: row.get(9)?, seq: row.get(10)? },
        version: row.get(11)?,
        created_at: row.get(12)?,
        updated_at: row.get(13)?,
    })
}

/// The webhook of this id.
pub async fn find_webhook(tx: &Tx, id: Uuid) -> Result<Option<Webhook>, Error> {
    tx.optional(&format!("SELECT {WEBHOOK} FROM webhooks WHERE id = $1"), &[id.into()], webhook).await
}

/// A webhook, locked until the transaction ends: whatever is done about its deliveries goes one by one.
pub async fn lock_webhook(tx: &Tx, id: Uuid) -> Result<Option<Webhook>, Error> {
    let sql = format!("UPDATE webhooks SET version = version WHERE id = $1 RETURNING {WEBHOOK}");
    tx.optional(&sql, &[id.into()], webhook).await
}

/// How many there are, behind the guard that makes all go one by one that add one.
pub(crate) async fn count_guarded(tx: &Tx) -> Result<i64, Error> {
    tx.guard("webhooks").await?;
    tx.one("SELECT COUNT(*) FROM webhooks", &[], |row| row.get(0)).await
}

/// Stores a new webhook.
pub(crate) async fn insert_webhook(tx: &Tx, new: &Webhook) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO webhooks ({WEBHOOK}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $14, $13)"
    );
    let filters = join_filters(&new.filters);
    let mut args = webhook_args(new, &filters).to_vec();
    args.push(new.created_at.0.into());
    tx.execute(&sql, &args).await.map(drop)
}

/// Stores a changed webhook.
pub async fn update_webhook(tx: &Tx, changed: &Webhook) -> Result<(), Error> {
    let sql = "UPDATE webhooks SET url = $2, description = $3, types = $4, enabled = $5, disabled_reason = $6, generation = $7,
                   rotated_at = $8, failing_since = $9, cursor_xid = $10, cursor_seq = $11, version = $12, updated_at = $13
               WHERE id = $1";
    let filters = join_filters(&changed.filters);
    tx.execute(sql, &webhook_args(changed, &filters)).await.map(drop)
}

fn webhook_args<'a>(webhook: &'a Webhook, filters: &'a str) -> [Value<'a>; 13] {
    [
        webhook.id.into(),
        webhook.url.as_str().into(),
        webhook.description.as_deref().into(),
        filters.into(),
        webhook.enabled.into(),
        webhook.disabled_reason.as_deref().into(),
        webhook.generation.into(),
        webhook.rotated_at.map(|moment| moment.0).into(),
        webhook.failing_since.map(|moment| moment.0).into(),
        webhook.cursor.xid.into(),
        webhook.cursor.seq.into(),
        webhook.version.into(),
        webhook.updated_at.0.into(),
    ]
}

/// Whether an enabled webhook and its cursor are still as they were read; locks it, as [`lock_webhook`] does.
pub(crate) async fn is_unchanged(tx: &Tx, read: &Webhook) -> Result<bool, Error> {
    let sql = "UPDATE webhooks SET version = version WHERE id = $1 AND enabled AND version = $2 AND cursor_xid = $3 AND cursor_seq = $4";
    let args = [read.id.into(), read.version.into(), read.cursor.xid.into(), read.cursor.seq.into()];
    Ok(tx.execute(sql, &args).await? == 1)
}

/// Moves a webhook's cursor on.
pub(crate) async fn move_cursor(tx: &Tx, webhook: Uuid, end: Position) -> Result<(), Error> {
    let sql = "UPDATE webhooks SET cursor_xid = $2, cursor_seq = $3 WHERE id = $1";
    tx.later(&[(sql, &[webhook.into(), end.xid.into(), end.seq.into()])]).await
}

/// Puts every cursor and delivery where the numbers of the events alone lead; nothing that wasn't told is passed over.
pub async fn settle_in(tx: &Tx) -> Result<(), Error> {
    let sql = "UPDATE webhooks SET cursor_xid = 0, cursor_seq = COALESCE(
                   (SELECT MIN(seq) - 1 FROM events WHERE (xid, seq) > (cursor_xid, cursor_seq)), cursor_seq)";
    tx.execute(sql, &[]).await?;
    tx.execute("UPDATE webhook_deliveries SET event_xid = 0 WHERE event_xid <> 0", &[]).await.map(drop)
}

/// Keeps since when a webhook takes nothing.
pub(crate) async fn set_failing_since(tx: &Tx, webhook: Uuid, since: Option<Timestamp>) -> Result<(), Error> {
    let sql = "UPDATE webhooks SET failing_since = $2 WHERE id = $1";
    tx.later(&[(sql, &[webhook.into(), since.map(|moment| moment.0).into()])]).await
}

/// Removes a webhook; its log goes by its age.
pub(crate) async fn delete_webhook(tx: &Tx, id: Uuid) -> Result<(), Error> {
    tx.execute("DELETE FROM webhooks WHERE id = $1", &[id.into()]).await.map(drop)
}

/// All that are told anything; there are few.
pub(crate) async fn list_enabled(tx: &Tx) -> Result<Vec<Webhook>, Error> {
    tx.rows(&format!("SELECT {WEBHOOK} FROM webhooks WHERE enabled ORDER BY id"), &[], webhook).await
}

/// A page of webhooks, and how many there are in all if that was asked for.
pub async fn list_webhooks(tx: &Tx, page: &PageRequest) -> Result<(Vec<Webhook>, Option<i64>), Error> {
    let mut conditions = Conditions::new();
    let total = count(tx, "webhooks", &conditions, page).await?;
    let sql = paged(WEBHOOK, "webhooks", &mut conditions, page);
    Ok((tx.rows(&sql, conditions.args(), webhook).await?, total))
}

/// Where a webhook stands in a list.
pub fn webhook_position(webhook: &Webhook) -> kit::page::Position {
    kit::page::Position { key: Key::Int(webhook.created_at.0), id: webhook.id }
}

/// How many rows there are in all, if the page asks for it.
async fn count(
    tx: &Tx,
    from: &str,
    conditions: &Conditions<'_>,
    page: &PageRequest,
) -> Result<Option<i64>, Error> {
    if !page.count {
        return Ok(None);
    }
    let sql = format!("SELECT COUNT(*) FROM {from}{}", conditions.sql());
    tx.one(&sql, conditions.args(), |row| row.get(0)).await.map(Some)
}

/// The statement of a page.
fn paged<'a>(columns: &str, from: &str, conditions: &mut Conditions<'a>, page: &'a PageRequest) -> String {
    conditions.after(page);
    let (sort, direction, limit) = (page.sort, page.direction(), conditions.bind(page.fetch()));
    let filter = conditions.sql();
    format!("SELECT {columns} FROM {from}{filter} ORDER BY {sort} {direction}, id {direction} LIMIT {limit}")
}
