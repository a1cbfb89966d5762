//! Statements on the addresses from which somebody has logged in.

use db::{Error, Tx};
use kit::clock::Timestamp;
use uuid::Uuid;

use crate::known_addresses::AddressMark;

/// So many addresses of an account are remembered, those that were used last.
const MOST: i64 = 16;

/// Remembers that the account was logged in to from there; the one that was used longest ago is forgotten for it.
pub async fn remember_address(
    tx: &Tx,
    account: Uuid,
    mark: &AddressMark,
    now: Timestamp,
) -> Result<(), Error> {
    let insert = "INSERT INTO login_addresses (account_id, mark, last_used_at) VALUES ($1, $2, $3)
                  ON CONFLICT (account_id, mark) DO UPDATE SET last_used_at = $3";
    let forget = "DELETE FROM login_addresses WHERE account_id = $1 AND mark NOT IN
                  (SELECT mark FROM login_addresses WHERE account_id = $1 ORDER BY last_used_at DESC, mark LIMIT $2)";
    tx.later(&[
        (insert, &[account.into(), mark.bytes().into(), now.0.into()]),
        (forget, &[account.into(), MOST.into()]),
    ])
    .await
}

/// Whether the account was lately logged in to from there.
pub async fn knows_address(tx: &Tx, account: Uuid, mark: &AddressMark) -> Result<bool, Error> {
    let sql = "SELECT last_used_at FROM login_addresses WHERE account_id = $1 AND mark = $2";
    let found = tx.optional(sql, &[account.into(), mark.bytes().into()], |row| row.get::<i64>(0)).await?;
    Ok(found.is_some())
}

/// Forgets them all: whoever logged in so far did so without what is asked for from now on.
pub(crate) async fn forget_addresses(tx: &Tx, account: Uuid) -> Result<(), Error> {
    tx.later(&[("DELETE FROM login_addresses WHERE account_id = $1", &[account.into()])]).await
}

/// How many addresses of an account are remembered.
pub async fn count_addresses(tx: &Tx, account: Uuid) -> Result<i64, Error> {
    let sql = "SELECT COUNT(*) FROM login_addresses WHERE account_id = $1";
    tx.one(sql, &[account.into()], |row| row.get(0)).await
}
