//! Listing what is sealed.

use db::{Error, Tx};
use kit::clock::Timestamp;
use kit::page::{Conditions, Key, PageRequest, Position};
use kit::text::StoredJson;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use uuid::Uuid;

use crate::action::{Action, ObjectKind};
use crate::facts::{Facts, PersonFacts};
use crate::store;

/// An entry, as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
pub struct Entry {
    /// Its place in the chain.
    pub number: i64,
    /// The id.
    pub id: Uuid,
    /// What was done or refused.
    #[schemars(with = "Action")]
    pub action: String,
    /// To what; null if it is about nothing that has an id.
    pub object: Option<Object>,
    /// By whom; null if it happened by itself, by the command line, or if nobody was logged in.
    pub actor_id: Option<Uuid>,
    /// By which API key, which acted for the actor; null if it was no key.
    pub key_id: Option<Uuid>,
    /// From which address; null if it came from none, or was erased with the actor's account.
    pub address: Option<String>,
    /// By which request; of what is counted, the first.
    pub request_id: Option<String>,
    /// What there was before.
    #[schemars(with = "Option<Facts>")]
    pub before: Option<StoredJson>,
    /// What there is after.
    #[schemars(with = "Option<Facts>")]
    pub after: Option<StoredJson>,
    /// What names the person whom it is about; null if that was erased.
    pub person: Option<Person>,
    /// Whether something personal was erased, since the account is gone.
    pub erased: bool,
    /// How often it happened within the minute; 1 unless it is counted.
    pub count: i64,
    /// When it was done; of what is counted, first.
    pub created_at: Timestamp,
    /// When it got its place in the chain.
    pub sealed_at: Timestamp,
    /// SHA-256 over it and the hash of the entry before, in hexadecimal.
    pub hash: String,
}

/// What an entry is about.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditObject")]
pub struct Object {
    /// What kind of thing.
    pub kind: ObjectKind,
    /// Which.
    pub id: Uuid,
}

/// What names a person, before and after.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Person(pub(crate) StoredJson);

/// What stands in it.
#[derive(JsonSchema)]
#[schemars(rename = "AuditPerson")]
#[expect(dead_code, reason = "describes what `Person` holds")]
struct PersonShape {
    before: Option<PersonFacts>,
    after: Option<PersonFacts>,
}

impl Person {
    /// As JSON.
    pub fn as_json(&self) -> &str {
        &self.0.0
    }
}

impl JsonSchema for Person {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        PersonShape::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        PersonShape::json_schema(generator)
    }
}

/// Which entries.
#[derive(Clone, Debug, Default)]
pub struct EntryFilter {
    /// Only of this action.
    pub action: Option<Action>,
    /// Only by this account.
    pub actor_id: Option<Uuid>,
    /// Only about this.
    pub object_id: Option<Uuid>,
    /// Only from this moment on.
    pub since: Option<Timestamp>,
    /// Only before this moment.
    pub until: Option<Timestamp>,
}

impl EntryFilter {
    pub(crate) fn conditions(&self) -> Conditions<'_> {
        let mut conditions = Conditions::new();
        if let Some(action) = self.action {
            conditions.and("action = {}", action.as_str());
        }
        if let Some(actor_id) = self.actor_id {
            conditions.and("actor_id = {}", actor_id);
        }
        if let Some(object_id) = self.object_id {
            conditions.and("object_id = {}", object_id);
        }
        if let Some(since) = self.since {
            conditions.and("created_at >= {}", since.0);
        }
        if let Some(until) = self.until {
            conditions.and("created_at < {}", until.0);
        }
        conditions
    }
}

/// A page of entries, with how many there are in all if that was asked for. What was committed a moment ago isn't sealed yet, and comes within a second.
pub async fn list_entries(
    tx: &Tx,
    filter: &EntryFilter,
    page: &PageRequest,
) -> Result<(Vec<Entry>, Option<i64>), Error> {
    store::list(tx, filter, page).await
}

/// Where an entry stands in the list.
pub fn entry_position(entry: &Entry) -> Position {
    Position { key: Key::Int(entry.created_at.0), id: entry.id }
}
