//! Making, changing and removing webhooks. The caller says what is to be stored, and has checked who asks.

use db::{Error, Tx};
use events::{EventType, WebhookChange};
use kit::author::Author;
use kit::clock::Timestamp;
use uuid::Uuid;

use crate::claim::LEASE;
use crate::model::{Delivery, DeliveryStatus, Webhook};
use crate::store;

/// How many webhooks there may be.
const MOST_WEBHOOKS: i64 = 50;

/// What a delivery says that ended with its webhook.
const DISABLED: &str = "the webhook was disabled";

/// What became of a new webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is stored.
    Stored,
    /// There are as many as there may be.
    TooMany,
}

/// Stores a new webhook, which is told what happens from now on.
pub async fn add_webhook(tx: &Tx, new: &mut Webhook) -> Result<Added, Error> {
    if store::count_guarded(tx).await? >= MOST_WEBHOOKS {
        return Ok(Added::TooMany);
    }
    new.cursor = events::newest(tx).await?;
    store::insert_webhook(tx, new).await?;
    Ok(Added::Stored)
}

/// Stores a changed webhook. One that is enabled again is told what happens from now on; one that is disabled gets nothing more.
pub async fn change_webhook(tx: &Tx, before: &Webhook, after: &mut Webhook) -> Result<(), Error> {
    if after.enabled && !before.enabled {
        after.disabled_reason = None;
        after.failing_since = None;
        after.cursor = events::newest(tx).await?;
    }
    store::update_webhook(tx, after).await?;
    if before.enabled && !after.enabled {
        store::end_all(tx, after.id, DISABLED, after.updated_at).await?;
    }
    Ok(())
}

/// Disables a webhook whose receiver is gone, and has that told.
pub(crate) async fn disable(tx: &Tx, before: &Webhook, reason: &str, now: Timestamp) -> Result<(), Error> {
    let mut after = before.clone();
    after.enabled = false;
    after.disabled_reason = Some(reason.to_owned());
    after.version += 1;
    after.updated_at = now.max(before.updated_at);
    change_webhook(tx, before, &mut after).await?;
    let change = WebhookChange { reason: reason.to_owned() };
    events::record(tx, EventType::WebhookDisabled, before.id, &change, &Author::nobody(now)).await
}

/// Removes a webhook. What it still had to take ends; the log goes by its age.
pub async fn remove_webhook(tx: &Tx, webhook: &Webhook, now: Timestamp) -> Result<(), Error> {
    store::end_all(tx, webhook.id, DISABLED, now).await?;
    store::delete_webhook(tx, webhook.id).await
}

/// Gives a webhook another secret; the one before it signs too for a day.
pub async fn rotate_secret(tx: &Tx, before: &Webhook, now: Timestamp) -> Result<Webhook, Error> {
    let mut after = before.clone();
    after.generation += 1;
    after.rotated_at = Some(now);
    after.version += 1;
    after.updated_at = now.max(before.updated_at);
    store::update_webhook(tx, &after).await?;
    Ok(after)
}

/// Has a delivery sent again, whatever became of it; of one that is still to be taken, what is sent next of its object is sent now. None if there is no such delivery.
pub async fn replay_delivery(
    tx: &Tx,
    webhook: Uuid,
    delivery: Uuid,
    now: Timestamp,
) -> Result<Option<Delivery>, Error> {
    let Some(found) = store::find_delivery(tx, webhook, delivery).await? else { return Ok(None) };
    if found.status == DeliveryStatus::Pending {
        store::send_sooner(tx, webhook, found.object_id, now, now.plus(LEASE)).await?;
    } else {
        store::send_again(tx, delivery, now).await?;
    }
    store::find_delivery(tx, webhook, delivery).await
}
