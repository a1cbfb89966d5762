//! Statements on the feed that caches follow.

use db::{Error, Row, Tx};
use kit::clock::Timestamp;
use uuid::Uuid;

use crate::session_feed::{FeedRow, Look};

/// Writes to the feed that caches follow: one session of an account ended or changed, or all.
pub async fn insert_feed_row(
    tx: &Tx,
    account_id: Uuid,
    session_id: Option<Uuid>,
    now: Timestamp,
) -> Result<(), Error> {
    // The guard row gives ids in commit order, so that a follower never skips one.
    let id = tx.guard("session_feed").await?;
    let sql = "INSERT INTO session_feed (id, account_id, session_id, created_at) VALUES ($1, $2, $3, $4)";
    tx.execute(sql, &[id.into(), account_id.into(), session_id.into(), now.0.into()]).await?;
    tx.notify("session_feed").await
}

/// The feed's number and its newest rows from `id` on, in one statement, so that they are of one moment.
pub(crate) async fn look_at_feed(tx: &Tx, id: i64) -> Result<Look, Error> {
    let sql = "SELECT n, id, account_id, session_id, created_at FROM guards LEFT JOIN
                      (SELECT id, account_id, session_id, created_at FROM session_feed
                       WHERE id >= $1 ORDER BY id DESC LIMIT 1000) AS newest ON TRUE
               WHERE name = 'session_feed' ORDER BY id";
    let found = tx.rows(sql, &[id.into()], |row| Ok((row.get::<i64>(0)?, feed_row(row)?))).await?;
    let no_guard = || Error::Internal("the session feed has no guard row".to_owned());
    let number = found.first().ok_or_else(no_guard)?.0;
    Ok(Look { number, rows: found.into_iter().filter_map(|(_, row)| row).collect() })
}

fn feed_row(row: &Row<'_>) -> Result<Option<FeedRow>, Error> {
    let Some(id) = row.get(1)? else { return Ok(None) };
    let (account_id, session_id, created_at) = (row.get(2)?, row.get(3)?, Timestamp(row.get(4)?));
    Ok(Some(FeedRow { id, account_id, session_id, created_at }))
}

/// Removes what the feed said long ago.
pub(crate) async fn delete_feed_before(tx: &Tx, moment: Timestamp) -> Result<u64, Error> {
    tx.execute("DELETE FROM session_feed WHERE created_at < $1", &[moment.0.into()]).await
}
