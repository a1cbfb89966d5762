//! Webhooks: events, told to the systems of others by HTTP requests that they can trust (Standard Webhooks).
//!
//! It is not a service: the orders service has the endpoints. The outbox is `events`'; here it becomes deliveries, one for each webhook that wants an event,
//! and those are sent until somebody has taken them or time is up. Every process that runs orders does a share of it (decision 0013).
//!
//! What holds: every event is delivered at least once, those of one object in their order. Each transaction about a webhook's deliveries takes the
//! webhook's row first, so all of it goes one by one.
//!
//! Tables: `webhooks`, `webhook_deliveries`; the guard `webhooks`.
//!
//! Files in reading order: `model` (a webhook and a delivery), `target` (where to), `secret` and `signature` (what proves that it was us), `store` (every statement),
//! `manage` (making, changing, removing one), `fan_out` (events become deliveries), `schedule` (when it is tried again), `claim` (taking what is due), `attempt` (sending it),
//! `outcome` (what became of it), `work` (all of that, for ever), `sweep`, `counts` (what they count).

mod attempt;
mod claim;
mod counts;
mod fan_out;
mod manage;
mod model;
mod outcome;
mod schedule;
mod secret;
mod signature;
mod store;
mod sweep;
mod target;
mod work;

use std::sync::Arc;

use db::Db;
use kit::clock::Clock;
use kit::outgoing::Outgoing;
use kit::secret::Secret;

pub use attempt::Attempt;
pub use counts::WebhookCounts;
pub use manage::{Added, add_webhook, change_webhook, remove_webhook, replay_delivery, rotate_secret};
pub use model::{Delivery, DeliveryStatus, Webhook};
pub use secret::{SecretKey, SigningSecret};
pub use signature::{Headers, sign};
pub use store::{
    DeliveryFilter, delivery_position, find_delivery, find_webhook, forget_objects, list_deliveries,
    list_webhooks, lock_webhook, settle_in, update_webhook, webhook_position,
};
pub use sweep::sweep;
pub use target::WebhookUrl;

/// What telling others needs.
pub struct Webhooks {
    db: Db,
    clock: Clock,
    key: SecretKey,
    /// The way out.
    pub outgoing: Outgoing,
    /// What became of the deliveries.
    pub counts: Arc<WebhookCounts>,
    progress: work::Progress,
}

impl Webhooks {
    /// With a key derived from the shared secret, and the way out.
    pub fn new(db: Db, clock: Clock, secret: &Secret, outgoing: Outgoing) -> Self {
        let key = SecretKey::derive(secret);
        Self { db, clock, key, outgoing, counts: Arc::default(), progress: work::Progress::default() }
    }

    /// A webhook's present secret, to be shown once.
    pub fn secret_of(&self, webhook: &Webhook) -> SigningSecret {
        self.key.secret(webhook.id, webhook.generation)
    }
}
