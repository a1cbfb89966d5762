//! Every statement on mails.

use db::{Error, Row, Tx, Value};
use events::Position;
use kit::clock::{Timestamp, new_id};
use kit::statement::{filled_up, placeholders};
use uuid::Uuid;

use crate::kind::Kind;

/// A mail that is this process's to send for a while.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) kind: Kind,
    /// Where it goes.
    pub(crate) recipient: Option<String>,
    /// What it is about.
    pub(crate) subjects: Vec<Uuid>,
    pub(crate) created_at: Timestamp,
    /// How often it is being sent, this time included.
    pub(crate) attempts: i64,
    /// Until when it is nobody else's; together with the attempts it tells this attempt from all others.
    pub(crate) until: Timestamp,
}

/// Asks for a mail to an address, about these things.
pub(crate) async fn insert_mail(
    tx: &Tx,
    kind: Kind,
    recipient: &str,
    subjects: &[Uuid],
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "INSERT INTO mails (id, kind, recipient, subjects, created_at, due_at, attempts) VALUES ($1, $2, $3, $4, $5, $5, 0)";
    let subjects: Vec<String> = subjects.iter().map(Uuid::to_string).collect();
    let subjects = subjects.join(" ");
    let args = [new_id().into(), kind.as_str().into(), recipient.into(), (&subjects).into(), now.0.into()];
    tx.execute(sql, &args).await.map(drop)
}

/// Whether there is a mail to send.
pub(crate) async fn is_any_due(tx: &Tx, now: Timestamp) -> Result<bool, Error> {
    let sql = "SELECT id FROM mails WHERE due_at <= $1 ORDER BY due_at LIMIT 1";
    Ok(tx.optional(sql, &[now.0.into()], |row| row.get::<Uuid>(0)).await?.is_some())
}

/// Takes the mail that is due longest, until a moment. None if none is, or if another process was faster.
pub(crate) async fn claim(tx: &Tx, now: Timestamp, until: Timestamp) -> Result<Option<Claimed>, Error> {
    let sql = "UPDATE mails SET due_at = $2, attempts = attempts + 1
               WHERE id = (SELECT id FROM mails WHERE due_at <= $1 ORDER BY due_at, id LIMIT 1) AND due_at <= $1
               RETURNING id, kind, recipient, subjects, created_at, attempts, due_at";
    tx.optional(sql, &[now.0.into(), until.0.into()], claimed).await
}

fn claimed(row: &Row<'_>) -> Result<Claimed, Error> {
    let subjects: String = row.get(3)?;
    let subjects: Result<_, _> = subjects.split_whitespace().map(Uuid::try_parse).collect();
    Ok(Claimed {
        id: row.get(0)?,
        kind: row.get(1)?,
        recipient: row.get(2)?,
        subjects: subjects.map_err(|_| Error::Internal("a mail about what has no id".to_owned()))?,
        created_at: row.get(4)?,
        attempts: row.get(5)?,
        until: row.get(6)?,
    })
}

/// Ends a mail, unless somebody else has it now.
pub(crate) async fn end(tx: &Tx, claimed: &Claimed) -> Result<bool, Error> {
    let sql = "DELETE FROM mails WHERE id = $1 AND attempts = $2 AND due_at = $3";
    Ok(tx.execute(sql, &fence(claimed)).await? == 1)
}

/// Has a mail sent again at a moment, unless somebody else has it now.
pub(crate) async fn put_off(tx: &Tx, claimed: &Claimed, due_at: Timestamp) -> Result<bool, Error> {
    let sql = "UPDATE mails SET due_at = $4 WHERE id = $1 AND attempts = $2 AND due_at = $3";
    let [id, attempts, until] = fence(claimed);
    Ok(tx.execute(sql, &[id, attempts, until, due_at.0.into()]).await? == 1)
}

fn fence(claimed: &Claimed) -> [Value<'static>; 3] {
    [claimed.id.into(), claimed.attempts.into(), claimed.until.0.into()]
}

/// How many mails are still to be sent.
pub(crate) async fn count_waiting(tx: &Tx) -> Result<i64, Error> {
    tx.one("SELECT COUNT(*) FROM mails", &[], |row| row.get(0)).await
}

/// Removes at most `limit` mails that were asked for before a moment.
pub(crate) async fn sweep(tx: &Tx, before: Timestamp, limit: i64) -> Result<u64, Error> {
    let sql =
        "DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE created_at < $1 ORDER BY id LIMIT $2)";
    tx.execute(sql, &[before.0.into(), limit.into()]).await
}

/// Up to where events of low stock have become mails; none before the first time.
pub(crate) async fn find_cursor(tx: &Tx) -> Result<Option<Position>, Error> {
    let position = |row: &Row<'_>| match (row.get(0)?, row.get(1)?) {
        (Some(xid), Some(seq)) => Ok(Some(Position { xid, seq })),
        _ => Ok(None),
    };
    tx.one("SELECT xid, seq FROM low_stock_cursor", &[], position).await
}

/// Begins to follow the events; says whether nobody else had.
pub(crate) async fn begin_cursor(tx: &Tx, at: Position) -> Result<bool, Error> {
    let sql = "UPDATE low_stock_cursor SET xid = $1, seq = $2 WHERE seq IS NULL";
    Ok(tx.execute(sql, &[at.xid.into(), at.seq.into()]).await? == 1)
}

/// Moves the cursor on, if it still stands where it was read; says whether it did.
pub(crate) async fn move_cursor(tx: &Tx, from: Position, to: Position) -> Result<bool, Error> {
    let sql = "UPDATE low_stock_cursor SET xid = $3, seq = $4 WHERE xid = $1 AND seq = $2";
    Ok(tx.execute(sql, &[from.xid.into(), from.seq.into(), to.xid.into(), to.seq.into()]).await? == 1)
}

/// Puts the cursor where the numbers of the events alone lead; nothing that wasn't told is passed over.
pub async fn settle_in(tx: &Tx) -> Result<(), Error> {
    let sql = "UPDATE low_stock_cursor SET xid = 0, seq = COALESCE(
                   (SELECT MIN(seq) - 1 FROM events WHERE (xid, seq) > (low_stock_cursor.xid, low_stock_cursor.seq)), seq)
               WHERE seq IS NOT NULL";
    tx.execute(sql, &[]).await.map(drop)
}

/// A product that fell to its reorder point, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LowProduct {
    pub(crate) sku: String,
    pub(crate) name: String,
    /// What is there and nobody's, at all locations.
    pub(crate) free: i64,
    pub(crate) reorder_point: Option<i64>,
    pub(crate) reorder_quantity: Option<i64>,
}

/// Products by their ids, as far as they are there, by SKU.
pub(crate) async fn list_products(tx: &Tx, ids: &[Uuid]) -> Result<Vec<LowProduct>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids = filled_up(ids.iter().map(|id| (*id).into()).collect());
    let sql = [
        "SELECT sku, name, COALESCE((SELECT CAST(SUM(on_hand - unavailable - allocated) AS BIGINT) FROM stock_levels WHERE product_id = products.id), 0),
                reorder_point, reorder_quantity
         FROM products WHERE id IN (",
        &placeholders(ids.len()),
        ") ORDER BY sku",
    ];
    let product = |row: &Row<'_>| {
        Ok(LowProduct {
            sku: row.get(0)?,
            name: row.get(1)?,
            free: row.get(2)?,
            reorder_point: row.get(3)?,
            reorder_quantity: row.get(4)?,
        })
    };
    tx.rows(&sql.concat(), &ids, product).await
}
