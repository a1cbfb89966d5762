//! What becomes of a delivery after an attempt, and of its webhook.

use std::sync::Arc;
use std::time::Duration;

use db::{Db, Error, Tx};
use futures_util::FutureExt;
use kit::clock::Timestamp;
use tracing::{info, warn};
use uuid::Uuid;

use crate::attempt::Attempt;
use crate::counts::WebhookCounts;
use crate::manage::disable;
use crate::model::{DeliveryStatus, Webhook};
use crate::schedule::delay_after;
use crate::store::{self, Claimed, Kept};

/// A webhook that took nothing for so long while it should have is disabled.
const PATIENCE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

const GONE: &str = "the receiver answered 410: it is gone for good";
const SILENT: &str = "nothing was taken for three days";

/// An attempt that was made.
pub(crate) struct Made {
    pub(crate) webhook: Uuid,
    pub(crate) claimed: Claimed,
    pub(crate) attempt: Attempt,
    pub(crate) now: Timestamp,
    pub(crate) counts: Arc<WebhookCounts>,
}

/// Stores what came of an attempt, unless the delivery is somebody else's by now or has ended.
pub(crate) async fn keep(db: &Db, made: &Arc<Made>) -> Result<(), Error> {
    db.write(Arc::clone(made), |tx, made| made.keep(tx).boxed()).await
}

impl Made {
    async fn keep(&self, tx: &Tx) -> Result<(), Error> {
        let Some(webhook) = store::lock_webhook(tx, self.webhook).await? else { return Ok(()) };
        if self.attempt.is_taken() {
            self.keep_taken(tx, &webhook).await
        } else {
            self.keep_failed(tx, &webhook).await
        }
    }

    async fn keep_taken(&self, tx: &Tx, webhook: &Webhook) -> Result<(), Error> {
        if webhook.failing_since.is_some() {
            store::set_failing_since(tx, webhook.id, None).await?;
        }
        self.end(tx, DeliveryStatus::Delivered, "delivered").await
    }

    async fn keep_failed(&self, tx: &Tx, webhook: &Webhook) -> Result<(), Error> {
        let failing_since = webhook.failing_since.unwrap_or(self.now);
        let is_silent = failing_since.plus(PATIENCE) <= self.now;
        let delay = delay_after(self.claimed.attempts, self.claimed.id);
        match delay.filter(|_| !is_silent && !self.attempt.is_gone()) {
            Some(delay) => self.put_off(tx, delay).await?,
            None => self.end(tx, DeliveryStatus::Failed, "failed").await?,
        }
        match webhook.failing_since {
            _ if self.attempt.is_gone() => self.disable(tx, webhook, GONE).await,
            _ if is_silent => self.disable(tx, webhook, SILENT).await,
            None => store::set_failing_since(tx, webhook.id, Some(self.now)).await,
            Some(_) => Ok(()),
        }
    }

    /// It is over, and the next of its object may go.
    async fn end(&self, tx: &Tx, status: DeliveryStatus, outcome: &'static str) -> Result<(), Error> {
        if !store::end_attempt(tx, &self.claimed, status, &self.kept(), self.now).await? {
            return Ok(());
        }
        self.counts.ended(tx, outcome);
        if self.claimed.in_order {
            store::promote(tx, self.webhook, self.claimed.object_id, self.now).await?;
        }
        Ok(())
    }

    async fn put_off(&self, tx: &Tx, delay: Duration) -> Result<(), Error> {
        if store::put_off(tx, &self.claimed, &self.kept(), self.now.plus(delay)).await? {
            self.counts.ended(tx, "retried");
        }
        Ok(())
    }

    async fn disable(&self, tx: &Tx, webhook: &Webhook, reason: &'static str) -> Result<(), Error> {
        if !webhook.enabled {
            return Ok(());
        }
        disable(tx, webhook, reason, self.now).await?;
        let id = webhook.id;
        tx.after_commit(move || warn!(webhook = %id, reason, "a webhook was disabled"));
        Ok(())
    }

    fn kept(&self) -> Kept {
        Kept {
            status: self.attempt.status.map(|status| status.as_u16().into()),
            error: self.attempt.error.as_deref().map(str::to_owned),
            micros: i64::try_from(self.attempt.time.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// For the log, where a failure is told that nobody else sees.
    pub(crate) fn log(&self) {
        if let Some(error) = &self.attempt.error {
            let (delivery, attempt) = (self.claimed.id, self.claimed.attempts);
            info!(webhook = %self.webhook, %delivery, attempt, reason = %error, "a webhook didn't take a delivery");
        }
    }
}
