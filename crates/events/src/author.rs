//! Who does something.

use kit::clock::Timestamp;
use uuid::Uuid;

/// Who does something, by which request, and when.
#[derive(Clone, Debug)]
pub struct Author {
    /// Nobody if it happens by itself.
    pub actor_id: Option<Uuid>,
    /// The request, if one asked for it.
    pub request_id: Option<String>,
    /// The moment.
    pub now: Timestamp,
}

impl Author {
    /// Nobody, at this moment.
    pub fn nobody(now: Timestamp) -> Self {
        Self { actor_id: None, request_id: None, now }
    }
}
