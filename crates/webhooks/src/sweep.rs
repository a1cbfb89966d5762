//! Letting the log of deliveries go.

use std::time::Duration;

use db::{Db, Error};
use futures_util::FutureExt;
use kit::clock::Timestamp;

use crate::store;

/// How long it is kept what became of a delivery.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Removes at most `limit` deliveries that ended long ago.
pub async fn sweep(db: &Db, now: Timestamp, limit: i64) -> Result<u64, Error> {
    db.write((now.minus(KEPT), limit), |tx, (moment, limit)| store::sweep_ended(tx, *moment, *limit).boxed())
        .await
}
