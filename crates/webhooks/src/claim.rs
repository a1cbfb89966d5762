//! Taking what is due, for a while: if this process ends meanwhile, another takes it once that while is over.

use std::time::Duration;

use db::{Db, Error, Tx};
use futures_util::FutureExt;
use kit::clock::Timestamp;
use uuid::Uuid;

use crate::model::Webhook;
use crate::store::{self, Claimed};

/// How long a delivery is nobody else's: much longer than an attempt can take.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// Deliveries of one webhook to send now.
pub(crate) struct Work {
    pub(crate) webhook: Webhook,
    pub(crate) claimed: Vec<Claimed>,
}

/// Takes at most `limit` of a webhook's deliveries that are due; none of one that was disabled or removed.
pub(crate) async fn claim_due(
    db: &Db,
    webhook: Uuid,
    now: Timestamp,
    limit: i64,
) -> Result<Option<Work>, Error> {
    db.write((webhook, now, limit), |tx, (webhook, now, limit)| {
        claim_some(tx, *webhook, *now, *limit).boxed()
    })
    .await
}

async fn claim_some(tx: &Tx, webhook: Uuid, now: Timestamp, limit: i64) -> Result<Option<Work>, Error> {
    let found = store::lock_webhook(tx, webhook).await?;
    let Some(webhook) = found.filter(|webhook| webhook.enabled) else { return Ok(None) };
    let claimed = store::claim(tx, webhook.id, now, now.plus(LEASE), limit).await?;
    Ok(Some(Work { webhook, claimed }))
}
