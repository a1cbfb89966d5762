//! Letting go what is old, and what is personal of accounts that are gone.

use std::time::Duration;

use db::{Db, Error, Tx};
use futures_util::FutureExt;
use kit::clock::{Timestamp, first_id_at};

use crate::store;

/// An entry that was written while an account was being removed, by a request of its own, was so not longer ago.
const RECENTLY: Duration = Duration::from_secs(60 * 60);

/// Removes at most `limit` of the oldest entries, as far as all were written before `moment`; says how many went. The chain remembers the last of
/// them, and holds from there.
pub async fn sweep(db: &Db, now: Timestamp, moment: Option<Timestamp>, limit: i64) -> Result<u64, Error> {
    let recent = first_id_at(now.minus(RECENTLY));
    db.write(recent, |tx, recent| store::erase_gone(tx, *recent).boxed()).await?;
    let Some(moment) = moment else { return Ok(0) };
    // Mostly there is nothing to sweep, and so nothing to write.
    let oldest = db.lookup((), |tx, ()| store::list_oldest(tx, 1).boxed()).await?;
    if oldest.first().is_none_or(|(.., created_at)| *created_at >= moment) {
        return Ok(0);
    }
    db.write((moment, limit), |tx, (moment, limit)| sweep_some(tx, *moment, *limit).boxed()).await
}

async fn sweep_some(tx: &Tx, moment: Timestamp, limit: i64) -> Result<u64, Error> {
    store::lock_head(tx).await?;
    let oldest = store::list_oldest(tx, limit).await?;
    let old = oldest.iter().take_while(|(.., created_at)| *created_at < moment);
    let Some((number, hash, _)) = old.last() else { return Ok(0) };
    store::delete_up_to(tx, *number, hash).await
}
