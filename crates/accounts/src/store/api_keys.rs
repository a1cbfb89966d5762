//! Every statement on API keys.

use db::{Error, Row, Tx};
use kit::api_key::KeyHash;
use kit::clock::Timestamp;
use kit::identity::Role;
use kit::page::{Conditions, Key, PageRequest, Position};
use uuid::Uuid;

use super::stored_role;
use crate::api_keys::StoredKey;

const KEY: &str = "id, account_id, name, scopes, created_at, expires_at, last_used_at";

fn key(row: &Row<'_>) -> Result<StoredKey, Error> {
    let scopes: String = row.get(3)?;
    Ok(StoredKey {
        id: row.get(0)?,
        account_id: row.get(1)?,
        name: row.get(2)?,
        scopes: scopes.split(' ').map(str::to_owned).collect(),
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
        last_used_at: row.get(6)?,
    })
}

/// How many there are, behind the guard that makes all go one by one that add one.
pub(crate) async fn count_keys_guarded(tx: &Tx) -> Result<i64, Error> {
    tx.guard("api_keys").await?;
    tx.one("SELECT COUNT(*) FROM api_keys", &[], |row| row.get(0)).await
}

/// Stores a new key.
pub(crate) async fn insert_key(tx: &Tx, new: &StoredKey, hash: &KeyHash) -> Result<(), Error> {
    let sql = "INSERT INTO api_keys (id, account_id, name, hash, scopes, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let scopes = new.scopes.join(" ");
    let args = [
        new.id.into(),
        new.account_id.into(),
        (&new.name).into(),
        hash.as_bytes().into(),
        (&scopes).into(),
        new.created_at.0.into(),
        new.expires_at.0.into(),
    ];
    tx.execute(sql, &args).await.map(drop)
}

/// The key of this id.
pub async fn find_key(tx: &Tx, id: Uuid) -> Result<Option<StoredKey>, Error> {
    tx.optional(&format!("SELECT {KEY} FROM api_keys WHERE id = $1"), &[id.into()], key).await
}

/// The key of this hash, with its maker's role and whether they are disabled; none of a maker who is gone.
pub(crate) async fn find_key_and_maker(
    tx: &Tx,
    hash: &KeyHash,
) -> Result<Option<(StoredKey, Role, bool)>, Error> {
    let sql = "SELECT k.id, k.account_id, k.name, k.scopes, k.created_at, k.expires_at, k.last_used_at, a.role, a.disabled
               FROM api_keys k JOIN accounts a ON a.id = k.account_id WHERE k.hash = $1";
    tx.optional(sql, &[hash.as_bytes().into()], |row| {
        let role: String = row.get(7)?;
        Ok((key(row)?, stored_role(&role)?, row.get(8)?))
    })
    .await
}

/// A page of all keys.
pub async fn list_keys(tx: &Tx, page: &PageRequest) -> Result<(Vec<StoredKey>, Option<i64>), Error> {
    let mut conditions = Conditions::new();
    let count = "SELECT COUNT(*) FROM api_keys";
    let total = if page.count { Some(tx.one(count, &[], |row| row.get(0)).await?) } else { None };
    conditions.after(page);
    let (direction, limit) = (page.direction(), conditions.bind(page.fetch()));
    let sql = format!(
        "SELECT {KEY} FROM api_keys{} ORDER BY created_at {direction}, id {direction} LIMIT {limit}",
        conditions.sql()
    );
    Ok((tx.rows(&sql, conditions.args(), key).await?, total))
}

/// The keys that an account has made behind one, by their ids.
pub(crate) async fn keys_of(
    tx: &Tx,
    account_id: Uuid,
    after: Uuid,
    limit: i64,
) -> Result<Vec<StoredKey>, Error> {
    let sql = format!("SELECT {KEY} FROM api_keys WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    tx.rows(&sql, &[account_id.into(), after.into(), limit.into()], key).await
}

/// Where a key stands in the list.
pub fn key_position(key: &StoredKey) -> Position {
    Position { key: Key::Int(key.created_at.0), id: key.id }
}

/// Removes a key, and the answers that were stored for it; says who made it, if there was one.
pub(crate) async fn delete_key(tx: &Tx, id: Uuid) -> Result<Option<Uuid>, Error> {
    tx.execute("DELETE FROM idempotency_keys WHERE account_id = $1", &[id.into()]).await?;
    let sql = "DELETE FROM api_keys WHERE id = $1 RETURNING account_id";
    tx.optional(sql, &[id.into()], |row| row.get(0)).await
}

/// Removes all keys that an account has made, and the answers that were stored for them.
pub(crate) async fn delete_keys_of(tx: &Tx, account_id: Uuid) -> Result<(), Error> {
    let answers =
        "DELETE FROM idempotency_keys WHERE account_id IN (SELECT id FROM api_keys WHERE account_id = $1)";
    tx.execute(answers, &[account_id.into()]).await?;
    tx.execute("DELETE FROM api_keys WHERE account_id = $1", &[account_id.into()]).await.map(drop)
}

/// Keeps when a key was last used, unless it was used later.
pub(crate) async fn keep_key_use(tx: &Tx, id: Uuid, moment: Timestamp) -> Result<(), Error> {
    let sql =
        "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
    tx.execute(sql, &[id.into(), moment.0.into()]).await.map(drop)
}

/// Removes at most `limit` keys that expired before a moment.
pub(crate) async fn delete_expired_keys(tx: &Tx, moment: Timestamp, limit: i64) -> Result<u64, Error> {
    let sql = "DELETE FROM api_keys WHERE id IN (SELECT id FROM api_keys WHERE expires_at < $1 ORDER BY id LIMIT $2)";
    tx.execute(sql, &[moment.0.into(), limit.into()]).await
}
