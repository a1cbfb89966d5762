//! Writing an entry, in the transaction of the act.

use db::{Db, Error, Tx};
use futures_util::FutureExt;
use kit::author::Author;
use kit::clock::{Timestamp, new_id};
use uuid::Uuid;

use crate::action::Action;
use crate::facts::{ExportFacts, Facts, PersonFacts};
use crate::personal::Personal;
use crate::store;

/// What was done.
#[derive(Clone, Debug)]
pub struct Act {
    action: Action,
    object_id: Option<Uuid>,
    before: Option<Facts>,
    after: Option<Facts>,
    person: Option<Person>,
}

/// Whom it is about, as far as that is personal.
#[derive(Clone, Debug)]
struct Person {
    account_id: Option<Uuid>,
    before: Option<PersonFacts>,
    after: Option<PersonFacts>,
}

/// An entry as it is stored, before it has its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) action: String,
    pub(crate) object_id: Option<Uuid>,
    pub(crate) actor_id: Option<Uuid>,
    pub(crate) key_id: Option<Uuid>,
    pub(crate) request_id: Option<String>,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    /// How often it happened.
    pub(crate) count: i64,
    /// The hash of what is personal of the actor, if anything is.
    pub(crate) actor_hash: Option<Vec<u8>>,
    /// The same of the object.
    pub(crate) object_hash: Option<Vec<u8>>,
    pub(crate) created_at: Timestamp,
}

impl Act {
    /// Something done to what has this id, if it has one.
    pub fn new(action: Action, object_id: impl Into<Option<Uuid>>) -> Self {
        Self { action, object_id: object_id.into(), before: None, after: None, person: None }
    }

    /// What there was before.
    pub fn before(self, facts: Facts) -> Self {
        Self { before: Some(facts), ..self }
    }

    /// What there is after.
    pub fn after(self, facts: Facts) -> Self {
        Self { after: Some(facts), ..self }
    }

    /// What it says of a person, which goes with the account; without one it stays as long as the entry.
    pub fn person(
        self,
        account_id: impl Into<Option<Uuid>>,
        before: Option<PersonFacts>,
        after: Option<PersonFacts>,
    ) -> Self {
        Self { person: Some(Person { account_id: account_id.into(), before, after }), ..self }
    }
}

/// Writes an entry; it is there if and only if the transaction is committed.
pub async fn record(tx: &Tx, author: &Author, act: Act) -> Result<(), Error> {
    record_all(tx, &[(author.clone(), act)]).await
}

/// Writes an entry for each of several acts, with few statements for them all.
pub async fn record_all(tx: &Tx, acts: &[(Author, Act)]) -> Result<(), Error> {
    let (mut rows, mut personal) = (Vec::with_capacity(acts.len()), Vec::with_capacity(acts.len()));
    for (author, act) in acts {
        let before = act.before.as_ref().map(to_json).transpose()?;
        rows.push(entry(author, act, before, &mut personal)?);
    }
    store::insert(tx, &rows, &personal).await
}

/// The same where what there was before is known as an earlier entry told it.
pub(crate) async fn record_between(
    tx: &Tx,
    author: &Author,
    act: &Act,
    before: Option<String>,
) -> Result<(), Error> {
    let mut personal = Vec::new();
    let row = entry(author, act, before, &mut personal)?;
    store::insert(tx, &[row], &personal).await
}

/// The entry of an act; what is personal of it comes to the rest.
fn entry(
    author: &Author,
    act: &Act,
    before: Option<String>,
    personal: &mut Vec<Personal>,
) -> Result<Row, Error> {
    let id = new_id();
    let of_actor = author.address.map(|address| Personal::of_actor(id, author.actor_id, address));
    let of_object = act.person.as_ref().map(|person| {
        Personal::of_object(id, person.account_id, person.before.as_ref(), person.after.as_ref())
    });
    let (of_actor, of_object) = (of_actor.transpose()?, of_object.transpose()?);
    let row = Row {
        id,
        action: act.action.as_str().to_owned(),
        object_id: act.object_id,
        actor_id: author.actor_id,
        key_id: author.key_id,
        request_id: author.request_id.clone(),
        before,
        after: act.after.as_ref().map(to_json).transpose()?,
        count: 1,
        actor_hash: of_actor.as_ref().map(Personal::hash),
        object_hash: of_object.as_ref().map(Personal::hash),
        created_at: author.now,
    };
    personal.extend(of_actor.into_iter().chain(of_object));
    Ok(row)
}

/// Writes down that data is taken along, before any of it is given away. `is_part` if only some of it was asked for.
pub async fn record_export(db: &Db, author: &Author, file: &'static str, is_part: bool) -> Result<(), Error> {
    let facts = Facts::Export(ExportFacts { file, filtered: is_part });
    let act = Act::new(Action::DataExported, None).after(facts);
    db.write((author.clone(), act), |tx, (author, act)| record(tx, author, act.clone()).boxed()).await
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Internal(format!("an audit entry: {error}")))
}
