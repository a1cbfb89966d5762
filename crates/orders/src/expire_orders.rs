//! Letting pending orders expire that have held their stock for too long. Several processes may do it at once.

use std::sync::Arc;

use db::{Db, Tx};
use futures_util::FutureExt;
use kit::clock::Timestamp;
use kit::problem::Problem;
use uuid::Uuid;

use crate::counts::OrderCounts;
use crate::lifecycle::{Action, Status};
use crate::move_stock::move_stock;
use crate::place_order::history;
use crate::store;

/// How many are looked up at once.
const AT_ONCE: i64 = 100;

/// Lets all expire that are due now, and says how many did. Each is a transaction of its own, so that nobody waits long for one; one that fails is in no
/// other's way, and its failure, the last of them, is the answer.
pub async fn expire_orders(db: &Db, counts: &Arc<OrderCounts>, now: Timestamp) -> Result<u64, Problem> {
    let (mut expired, mut failure, mut last) = (0, None, None);
    loop {
        let due = db.read((now, last), |tx, (now, last)| store::list_due(tx, *now, *last, AT_ONCE).boxed());
        let due: Vec<(Timestamp, Uuid)> = due.await?;
        let Some(end) = due.last().copied() else { break };
        for (_, id) in due {
            match expire(db, counts, id, now).await {
                Ok(has_expired) => expired += u64::from(has_expired),
                Err(problem) => failure = Some(problem),
            }
        }
        last = Some(end);
    }
    failure.map_or(Ok(expired), Err)
}

async fn expire(db: &Db, counts: &Arc<OrderCounts>, id: Uuid, now: Timestamp) -> Result<bool, Problem> {
    let input = (id, now, Arc::clone(counts));
    db.write(input, |tx, (id, now, counts)| expire_one(tx, *id, *now, counts).boxed()).await
}

/// Looks again whether it is due, now that nobody else can change it.
async fn expire_one(tx: &Tx, id: Uuid, now: Timestamp, counts: &Arc<OrderCounts>) -> Result<bool, Problem> {
    let Some(before) = store::lock_order(tx, id).await? else { return Ok(false) };
    if !before.is_due(now) {
        return Ok(false);
    }
    let mut after = before.clone();
    after.status = Status::Expired;
    after.expires_at = None;
    after.touch(now);
    move_stock(tx, &before, &after, None, true).await?;
    store::update_order(tx, &after, &history(None, Action::Expire, Some(before.status), &after)).await?;
    counts.changed(tx, before.status, after.status);
    Ok(true)
}
