//! A webhook, and the delivery of an event to it.

use db::{Column, Value};
use events::{EventFilter, Position};
use kit::clock::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// Who is told what happened, and where.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its id.
    pub id: Uuid,
    /// Where its messages go.
    pub url: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it is told; none stands for all.
    pub filters: Vec<EventFilter>,
    /// Whether it is told anything.
    pub enabled: bool,
    /// Why it isn't any more, if that came by itself.
    pub disabled_reason: Option<String>,
    /// How often its secret was changed, and once more.
    pub generation: i64,
    /// When it was last.
    pub rotated_at: Option<Timestamp>,
    /// Since when nothing was taken, if the last that was sent wasn't.
    pub failing_since: Option<Timestamp>,
    /// The last event that became a delivery, or didn't concern it.
    pub cursor: Position,
    /// How often it was changed, and once more.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Webhook {
    /// The host and port that its messages go to: of an address what is surely no secret.
    pub fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(&*self.url, |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or_default()
    }
}

/// An event on its way to a webhook, or the log of that.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its id, which its messages carry as `webhook-id`.
    pub id: Uuid,
    /// The event.
    pub event: Position,
    /// The event's type.
    pub event_type: String,
    /// What the event is about.
    pub object_id: Uuid,
    /// What became of it.
    pub status: DeliveryStatus,
    /// When it is sent next; none of one that waits for an earlier one of the same object, or has ended.
    pub due_at: Option<Timestamp>,
    /// How often it was sent.
    pub attempts: i64,
    /// The last answer's status.
    pub last_status: Option<i64>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// How long the last attempt took, in microseconds.
    pub last_micros: Option<i64>,
    /// When the event became a delivery.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It is still to be taken.
    Pending,
    /// It was taken.
    Delivered,
    /// Nobody took it in time.
    Failed,
}

impl DeliveryStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// Its word, in answers and in storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// Reads [`DeliveryStatus::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl Column for DeliveryStatus {
    fn from_value(value: Value<'_>) -> Option<Self> {
        if let Value::Text(word) = value { Self::parse(word) } else { None }
    }
}
