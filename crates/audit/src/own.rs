//! What a person is told of the entries that they made or that are about them: nothing of anybody else.

use db::{Error, Tx};
use kit::clock::Timestamp;
use kit::text::StoredJson;
use serde::Serialize;
use uuid::Uuid;

use crate::action::ObjectKind;
use crate::read::{Entry, Object, Person};
use crate::store;

/// An entry, as the person is shown it whom it concerns.
#[derive(Debug, Serialize)]
pub struct OwnEntry {
    /// The id.
    pub id: Uuid,
    /// What was done or refused.
    pub action: String,
    /// To what, unless that is somebody else.
    pub object: Option<Object>,
    /// Whether the person did it; who else did is not told.
    pub by_oneself: bool,
    /// By which API key of theirs.
    pub key_id: Option<Uuid>,
    /// From which address of theirs.
    pub address: Option<String>,
    /// By which request of theirs.
    pub request_id: Option<String>,
    /// What there was before, unless of somebody else.
    pub before: Option<StoredJson>,
    /// What there is after, alike.
    pub after: Option<StoredJson>,
    /// What names them.
    pub person: Option<Person>,
    /// How often it happened within the minute; 1 unless it is counted.
    pub count: i64,
    /// When it was done; of what is counted, first.
    pub created_at: Timestamp,
}

/// The entries of a person behind a moment and an id, the oldest first. What was committed a moment ago isn't sealed yet, and missing.
pub async fn entries_of(
    tx: &Tx,
    person: Uuid,
    after: (Timestamp, Uuid),
    limit: i64,
) -> Result<Vec<OwnEntry>, Error> {
    let entries = store::list_of(tx, person, after, limit).await?;
    Ok(entries.into_iter().map(|entry| own(person, entry)).collect())
}

fn own(person: Uuid, entry: Entry) -> OwnEntry {
    let by_oneself = entry.actor_id == Some(person);
    let is_other = |object: &Object| object.kind == ObjectKind::User && object.id != person;
    let is_told = !entry.object.as_ref().is_some_and(is_other);
    OwnEntry {
        id: entry.id,
        action: entry.action,
        object: entry.object.filter(|_| is_told),
        by_oneself,
        key_id: entry.key_id.filter(|_| by_oneself),
        address: entry.address,
        request_id: entry.request_id.filter(|_| by_oneself),
        before: entry.before.filter(|_| is_told),
        after: entry.after.filter(|_| is_told),
        person: entry.person,
        count: entry.count,
        created_at: entry.created_at,
    }
}
