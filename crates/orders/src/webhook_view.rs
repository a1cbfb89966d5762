//! What answers about webhooks show.

use events::{EventFilter, Position};
use kit::clock::Timestamp;
use kit::secret::{Secret, Shown};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;
use webhooks::{Attempt, Delivery, DeliveryStatus, Webhook};

/// A webhook.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Webhook")]
pub(crate) struct WebhookView {
    id: Uuid,
    url: String,
    description: Option<String>,
    /// What it is told; null stands for all.
    types: Option<Vec<String>>,
    /// Whether it is told anything.
    enabled: bool,
    /// Why it isn't any more, if that came by itself.
    disabled_reason: Option<String>,
    /// Since when nothing was taken, if the last that was sent wasn't.
    failing_since: Option<Timestamp>,
    /// When its secret was changed; the one before it signs too for 24 hours.
    rotated_at: Option<Timestamp>,
    /// What signs its messages. Shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Shown>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> Self {
        let words =
            |filters: Vec<EventFilter>| filters.iter().map(|filter| filter.as_str().to_owned()).collect();
        Self {
            id: webhook.id,
            url: webhook.url,
            description: webhook.description,
            types: Some(webhook.filters).filter(|filters| !filters.is_empty()).map(words),
            enabled: webhook.enabled,
            disabled_reason: webhook.disabled_reason,
            failing_since: webhook.failing_since,
            rotated_at: webhook.rotated_at,
            secret: None,
            version: webhook.version,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

impl WebhookView {
    /// With the secret, which is shown once.
    pub(crate) fn with_secret(webhook: Webhook, secret: Secret) -> Self {
        Self { secret: Some(secret.into()), ..Self::from(webhook) }
    }
}

/// An event on its way to a webhook, or the log of that.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookDelivery")]
pub(crate) struct DeliveryView {
    /// Its messages carry it as `webhook-id`.
    id: Uuid,
    event_id: Position,
    event_type: String,
    object_id: Uuid,
    status: DeliveryStatus,
    /// How often it was sent.
    attempts: i64,
    /// When it is sent next; null if it has ended, or waits for an earlier one of the same object.
    next_attempt_at: Option<Timestamp>,
    /// The HTTP status of the last answer.
    last_status: Option<i64>,
    /// Why the last attempt failed.
    last_error: Option<String>,
    /// How long the last attempt took.
    last_milliseconds: Option<i64>,
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            event_id: delivery.event,
            event_type: delivery.event_type,
            object_id: delivery.object_id,
            status: delivery.status,
            attempts: delivery.attempts,
            next_attempt_at: delivery.due_at,
            last_status: delivery.last_status,
            last_error: delivery.last_error,
            last_milliseconds: delivery.last_micros.map(|micros| micros / 1000),
            created_at: delivery.created_at,
            ended_at: delivery.ended_at,
        }
    }
}

/// What came of a test message.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookTest")]
pub(crate) struct TestView {
    /// Whether the receiver has taken it.
    delivered: bool,
    /// The HTTP status of its answer.
    status: Option<u16>,
    /// Why it doesn't count as taken.
    error: Option<String>,
    /// How long it took.
    milliseconds: u64,
}

impl From<Attempt> for TestView {
    fn from(attempt: Attempt) -> Self {
        Self {
            delivered: attempt.is_taken(),
            status: attempt.status.map(|status| status.as_u16()),
            error: attempt.error.map(|error| error.into_owned()),
            milliseconds: u64::try_from(attempt.time.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
