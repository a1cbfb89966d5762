//! Statements on the token that makes the first admin.

use db::{Error, Tx};
use kit::clock::Timestamp;
use uuid::Uuid;

/// Whether there is an admin, disabled or not.
pub(crate) async fn any_admin(tx: &Tx) -> Result<bool, Error> {
    let sql = "SELECT id FROM accounts WHERE role = 'admin' LIMIT 1";
    Ok(tx.optional(sql, &[], |row| row.get::<Uuid>(0)).await?.is_some())
}

/// Makes this the one token.
pub(crate) async fn replace_setup_token(
    tx: &Tx,
    digest: &[u8; 32],
    expires_at: Timestamp,
) -> Result<(), Error> {
    let sql = "INSERT INTO setup_token (id, digest, expires_at) VALUES (1, $1, $2)
               ON CONFLICT (id) DO UPDATE SET digest = $1, expires_at = $2";
    tx.execute(sql, &[digest.as_slice().into(), expires_at.0.into()]).await.map(drop)
}

/// Whether it is the one token, and its time not over.
pub(crate) async fn find_setup_token(tx: &Tx, digest: &[u8; 32], now: Timestamp) -> Result<bool, Error> {
    let sql = "SELECT id FROM setup_token WHERE digest = $1 AND expires_at > $2";
    let found = tx.optional(sql, &[digest.as_slice().into(), now.0.into()], |row| row.get::<i64>(0)).await?;
    Ok(found.is_some())
}

/// There is no token any more.
pub(crate) async fn delete_setup_token(tx: &Tx) -> Result<(), Error> {
    tx.execute("DELETE FROM setup_token", &[]).await.map(drop)
}
