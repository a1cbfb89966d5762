//! Statements on second factors.

use db::{Error, Tx};
use kit::clock::Timestamp;
use uuid::Uuid;

/// The second factor of an account.
#[derive(Debug)]
pub(crate) struct Factor {
    pub(crate) sealed_secret: Vec<u8>,
    pub(crate) is_confirmed: bool,
    pub(crate) last_step: i64,
    /// How many wrong codes there were since the last right one, and when the last of them was.
    pub(crate) failures: i64,
    pub(crate) failed_at: Timestamp,
}

/// The second factor of an account, confirmed or begun.
pub(crate) async fn find_factor(tx: &Tx, account: Uuid) -> Result<Option<Factor>, Error> {
    let sql =
        "SELECT sealed_secret, confirmed_at, last_step, failures, failed_at FROM totp WHERE account_id = $1";
    tx.optional(sql, &[account.into()], |row| {
        Ok(Factor {
            sealed_secret: row.get(0)?,
            is_confirmed: row.get::<Option<i64>>(1)?.is_some(),
            last_step: row.get(2)?,
            failures: row.get(3)?,
            failed_at: Timestamp(row.get(4)?),
        })
    })
    .await
}

/// Since when it is on, and how many recovery codes are left.
pub async fn factor_state(tx: &Tx, account: Uuid) -> Result<(Option<Timestamp>, i64), Error> {
    let sql = "SELECT confirmed_at FROM totp WHERE account_id = $1";
    let confirmed: Option<Option<i64>> = tx.optional(sql, &[account.into()], |row| row.get(0)).await?;
    let sql = "SELECT COUNT(*) FROM recovery_codes WHERE account_id = $1";
    let left = tx.one(sql, &[account.into()], |row| row.get(0)).await?;
    Ok((confirmed.flatten().map(Timestamp), left))
}

/// Begins with a secret that is not confirmed yet.
pub(crate) async fn replace_factor(tx: &Tx, account: Uuid, sealed_secret: &[u8]) -> Result<(), Error> {
    let sql = "INSERT INTO totp (account_id, sealed_secret, confirmed_at, last_step, failures, failed_at)
               VALUES ($1, $2, NULL, 0, 0, 0)
               ON CONFLICT (account_id) DO UPDATE SET sealed_secret = $2, confirmed_at = NULL, last_step = 0, failures = 0, failed_at = 0";
    tx.execute(sql, &[account.into(), sealed_secret.into()]).await.map(drop)
}

/// Turns it on; the code that confirmed it is used.
pub(crate) async fn confirm_factor(tx: &Tx, account: Uuid, step: i64, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE totp SET confirmed_at = $3, last_step = $2, failures = 0 WHERE account_id = $1";
    tx.execute(sql, &[account.into(), step.into(), now.0.into()]).await.map(drop)
}

/// A right code: it and all before it are used, and what was wrong is forgotten.
pub(crate) async fn accept_step(tx: &Tx, account: Uuid, step: i64) -> Result<(), Error> {
    let sql = "UPDATE totp SET last_step = $2, failures = 0 WHERE account_id = $1";
    tx.execute(sql, &[account.into(), step.into()]).await.map(drop)
}

/// A wrong code.
pub(crate) async fn count_wrong_code(tx: &Tx, account: Uuid, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE totp SET failures = failures + 1, failed_at = $2 WHERE account_id = $1";
    tx.execute(sql, &[account.into(), now.0.into()]).await.map(drop)
}

/// Replaces all recovery codes of an account.
pub(crate) async fn replace_recovery_codes(
    tx: &Tx,
    account: Uuid,
    digests: &[[u8; 32]],
) -> Result<(), Error> {
    tx.execute("DELETE FROM recovery_codes WHERE account_id = $1", &[account.into()]).await?;
    for digest in digests {
        let sql = "INSERT INTO recovery_codes (account_id, digest) VALUES ($1, $2)";
        tx.execute(sql, &[account.into(), digest.as_slice().into()]).await?;
    }
    Ok(())
}

/// Spends a recovery code; says whether there was one.
pub(crate) async fn spend_recovery_code(tx: &Tx, account: Uuid, digest: &[u8; 32]) -> Result<bool, Error> {
    let sql = "DELETE FROM recovery_codes WHERE account_id = $1 AND digest = $2";
    Ok(tx.execute(sql, &[account.into(), digest.as_slice().into()]).await? == 1)
}

/// Removes the second factor of an account, begun or confirmed; says whether it was on.
pub(crate) async fn delete_factor(tx: &Tx, account: Uuid) -> Result<bool, Error> {
    tx.execute("DELETE FROM recovery_codes WHERE account_id = $1", &[account.into()]).await?;
    let sql = "DELETE FROM totp WHERE account_id = $1 RETURNING confirmed_at";
    let confirmed: Option<Option<i64>> = tx.optional(sql, &[account.into()], |row| row.get(0)).await?;
    Ok(confirmed.flatten().is_some())
}
