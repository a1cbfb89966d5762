//! Every statement on mails.

use db::{Error, Row, Tx, Value};
use events::Position;
use kit::clock::{Timestamp, new_id};
use kit::statement::{filled_up, placeholders};
use serde::Serialize;
use uuid::Uuid;

use crate::kind::Kind;
use crate::token::{Proof, Purpose};

/// A mail that is this process's to send for a while.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) kind: Kind,
    /// Whom it is about.
    pub(crate) account: Option<Uuid>,
    /// Where it goes, if not to the account's address.
    pub(crate) recipient: Option<String>,
    /// What it is about.
    pub(crate) subjects: Vec<Uuid>,
    pub(crate) created_at: Timestamp,
    /// How often it is being sent, this time included.
    pub(crate) attempts: i64,
    /// Until when it is nobody else's; together with the attempts it tells this attempt from all others.
    pub(crate) until: Timestamp,
}

/// A mail that is asked for.
pub(crate) struct NewMail<'a> {
    pub(crate) kind: Kind,
    pub(crate) account: Option<Uuid>,
    /// Where it goes, if not to the account's address; of what resets a password, the key of the email.
    pub(crate) recipient: Option<&'a str>,
    pub(crate) subjects: &'a [Uuid],
}

/// Asks for a mail.
pub(crate) async fn insert_mail(tx: &Tx, new: &NewMail<'_>, now: Timestamp) -> Result<(), Error> {
    let sql = "INSERT INTO mails (id, kind, account_id, recipient, subjects, created_at, due_at, attempts)
               VALUES ($1, $2, $3, $4, $5, $6, $6, 0)";
    let subjects: Vec<String> = new.subjects.iter().map(Uuid::to_string).collect();
    let subjects = subjects.join(" ");
    let args = [
        new_id().into(),
        new.kind.as_str().into(),
        new.account.into(),
        new.recipient.into(),
        (&subjects).into(),
        now.0.into(),
    ];
    tx.execute(sql, &args).await.map(drop)
}

/// Whether one of this kind waits for the same account or recipient.
pub(crate) async fn is_waiting(tx: &Tx, new: &NewMail<'_>) -> Result<bool, Error> {
    let (column, value): (&str, Value<'_>) = match new.recipient {
        Some(recipient) => ("recipient", recipient.into()),
        None => ("account_id", new.account.into()),
    };
    let sql = format!("SELECT id FROM mails WHERE kind = $1 AND {column} = $2 LIMIT 1");
    let found = tx.optional(&sql, &[new.kind.as_str().into(), value], |row| row.get::<Uuid>(0)).await?;
    Ok(found.is_some())
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
               RETURNING id, kind, account_id, recipient, subjects, created_at, attempts, due_at";
    tx.optional(sql, &[now.0.into(), until.0.into()], claimed).await
}

fn claimed(row: &Row<'_>) -> Result<Claimed, Error> {
    let subjects: String = row.get(4)?;
    let subjects: Result<_, _> = subjects.split_whitespace().map(Uuid::try_parse).collect();
    Ok(Claimed {
        id: row.get(0)?,
        kind: row.get(1)?,
        account: row.get(2)?,
        recipient: row.get(3)?,
        subjects: subjects.map_err(|_| Error::Internal("a mail about what has no id".to_owned()))?,
        created_at: row.get(5)?,
        attempts: row.get(6)?,
        until: row.get(7)?,
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
pub(crate) async fn sweep_mails(tx: &Tx, before: Timestamp, limit: i64) -> Result<u64, Error> {
    let sql =
        "DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE created_at < $1 ORDER BY id LIMIT $2)";
    tx.execute(sql, &[before.0.into(), limit.into()]).await
}

/// Who has an account.
pub(crate) struct Holder {
    pub(crate) proof: Proof,
    pub(crate) username: String,
    pub(crate) is_disabled: bool,
    pub(crate) is_verified: bool,
}

const HOLDER: &str = "SELECT id, email, username, disabled, email_verified FROM accounts WHERE";

fn holder(row: &Row<'_>) -> Result<Holder, Error> {
    Ok(Holder {
        proof: Proof { account_id: row.get(0)?, email: row.get(1)? },
        username: row.get(2)?,
        is_disabled: row.get(3)?,
        is_verified: row.get(4)?,
    })
}

/// Who has the account of this id.
pub(crate) async fn find_holder(tx: &Tx, account: Uuid) -> Result<Option<Holder>, Error> {
    tx.optional(&format!("{HOLDER} id = $1"), &[account.into()], holder).await
}

/// Who has the email with this key.
pub(crate) async fn find_holder_by_key(tx: &Tx, email_key: &str) -> Result<Option<Holder>, Error> {
    tx.optional(&format!("{HOLDER} email_key = $1"), &[email_key.into()], holder).await
}

/// Keeps a token's hash in place of the earlier one of the same account and purpose.
pub(crate) async fn replace_token(
    tx: &Tx,
    purpose: Purpose,
    proof: &Proof,
    hash: &[u8],
    expires_at: Timestamp,
) -> Result<(), Error> {
    let sql = "INSERT INTO mail_tokens (account_id, purpose, hash, email, expires_at) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (account_id, purpose) DO UPDATE SET hash = excluded.hash, email = excluded.email, expires_at = excluded.expires_at";
    let args = [
        proof.account_id.into(),
        purpose.as_str().into(),
        hash.into(),
        (&proof.email).into(),
        expires_at.0.into(),
    ];
    tx.execute(sql, &args).await.map(drop)
}

fn proof(row: &Row<'_>) -> Result<Proof, Error> {
    Ok(Proof { account_id: row.get(0)?, email: row.get(1)? })
}

/// What the token with this hash proves, if its time isn't over.
pub(crate) async fn find_token(
    tx: &Tx,
    purpose: Purpose,
    hash: &[u8],
    now: Timestamp,
) -> Result<Option<Proof>, Error> {
    let sql =
        "SELECT account_id, email FROM mail_tokens WHERE hash = $1 AND purpose = $2 AND expires_at > $3";
    tx.optional(sql, &[hash.into(), purpose.as_str().into(), now.0.into()], proof).await
}

/// The same, and it is gone.
pub(crate) async fn take_token(
    tx: &Tx,
    purpose: Purpose,
    hash: &[u8],
    now: Timestamp,
) -> Result<Option<Proof>, Error> {
    let sql = "DELETE FROM mail_tokens WHERE hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING account_id, email";
    tx.optional(sql, &[hash.into(), purpose.as_str().into(), now.0.into()], proof).await
}

/// Makes the token void that an account may have for this.
pub async fn void_token(tx: &Tx, purpose: Purpose, account: Uuid) -> Result<(), Error> {
    let sql = "DELETE FROM mail_tokens WHERE account_id = $1 AND purpose = $2";
    tx.execute(sql, &[account.into(), purpose.as_str().into()]).await.map(drop)
}

/// A mail that waits, as whoever it is for is shown it.
#[derive(Debug, Serialize)]
pub struct Waiting {
    /// The id.
    pub id: Uuid,
    /// What it tells.
    pub kind: &'static str,
    /// Where it goes, if not to the account's address.
    pub recipient: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it is tried next.
    pub due_at: Timestamp,
    /// How often it was tried.
    pub attempts: i64,
}

/// The mails behind one that wait for an account, or for the email with this key, by their ids.
pub async fn mails_of(
    tx: &Tx,
    account: Uuid,
    email_key: &str,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Waiting>, Error> {
    let sql = "SELECT id, kind, recipient, created_at, due_at, attempts FROM mails
               WHERE (account_id = $1 OR recipient = $2) AND id > $3 ORDER BY id LIMIT $4";
    tx.rows(sql, &[account.into(), email_key.into(), after.into(), limit.into()], |row| {
        let kind: Kind = row.get(1)?;
        Ok(Waiting {
            id: row.get(0)?,
            kind: kind.as_str(),
            recipient: row.get(2)?,
            created_at: row.get(3)?,
            due_at: row.get(4)?,
            attempts: row.get(5)?,
        })
    })
    .await
}

/// Removes what is kept of an account that is deleted, and of the email with this key.
pub async fn forget_account(tx: &Tx, account: Uuid, email_key: &str) -> Result<(), Error> {
    // In the order of whoever sends one: the mail, then its token.
    let sql = "DELETE FROM mails WHERE account_id = $1 OR recipient = $2";
    tx.execute(sql, &[account.into(), email_key.into()]).await?;
    tx.execute("DELETE FROM mail_tokens WHERE account_id = $1", &[account.into()]).await.map(drop)
}

/// Removes at most `limit` tokens whose time is over.
pub(crate) async fn sweep_tokens(tx: &Tx, now: Timestamp, limit: i64) -> Result<u64, Error> {
    let sql = "DELETE FROM mail_tokens WHERE hash IN (SELECT hash FROM mail_tokens WHERE expires_at <= $1 LIMIT $2)";
    tx.execute(sql, &[now.0.into(), limit.into()]).await
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

/// Products by their ids, as far as they are there and on sale, by SKU.
pub(crate) async fn list_products(tx: &Tx, ids: &[Uuid]) -> Result<Vec<LowProduct>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids = filled_up(ids.iter().map(|id| (*id).into()).collect());
    let sql = [
        "SELECT sku, name, COALESCE((SELECT CAST(SUM(on_hand - unavailable - allocated) AS BIGINT) FROM stock_levels WHERE product_id = products.id), 0),
                reorder_point, reorder_quantity
         FROM products WHERE active = TRUE AND id IN (",
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
