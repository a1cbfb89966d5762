//! Writing events, in the transaction that changes something.

use db::{Db, Tx};
use kit::author::Author;
use kit::clock::Timestamp;
use kit::metrics::Text;
use serde::Serialize;
use uuid::Uuid;

use crate::event_type::EventType;
use crate::store;

/// An event that a row of the ledger or of an order's history explains.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent {
    /// What happened.
    pub event_type: EventType,
    /// To which order or product.
    pub object_id: Uuid,
    /// The row's id.
    pub source_id: Uuid,
    /// The row's own time, by which it is found again.
    pub created_at: Timestamp,
}

/// Records what such rows explain, all at once. The rows belong into the same transaction.
pub async fn record_rows(tx: &Tx, events: impl Iterator<Item = NewEvent>) -> Result<(), db::Error> {
    let events: Vec<NewEvent> = events.collect();
    for alike in events.chunk_by(|one, next| one.event_type == next.event_type) {
        count(tx, alike[0].event_type, alike.len());
    }
    store::insert_thin(tx, &events).await
}

/// Records what no such row explains, with what it tells; of this nothing may be personal.
pub async fn record(
    tx: &Tx,
    event_type: EventType,
    object_id: Uuid,
    data: &(impl Serialize + Sync),
    author: &Author,
) -> Result<(), db::Error> {
    record_many(tx, event_type, std::iter::once((object_id, data)), author).await
}

/// Records many such, of one type and by one author.
pub async fn record_many<T: Serialize>(
    tx: &Tx,
    event_type: EventType,
    told: impl Iterator<Item = (Uuid, T)>,
    author: &Author,
) -> Result<(), db::Error> {
    let told: Result<Vec<(Uuid, String)>, _> =
        told.map(|(object_id, data)| Ok((object_id, serde_json::to_string(&data)?))).collect();
    let told =
        told.map_err(|error: serde_json::Error| db::Error::Internal(format!("an event's data: {error}")))?;
    count(tx, event_type, told.len());
    store::insert_whole(tx, event_type, &told, author).await
}

/// So many events more, once they are committed.
fn count(tx: &Tx, event_type: EventType, count: usize) {
    tx.tally(event_type.as_str(), u64::try_from(count).unwrap_or(u64::MAX));
}

/// Tells how many events this process has recorded, by type.
pub fn write_metrics(db: &Db, text: &mut Text) {
    let help = "Events that were recorded, each once, when it is stored.";
    // The tally has other words too.
    let is_type = |word: Option<&str>| word.is_none_or(|word| EventType::parse(word).is_some());
    for (word, count) in db.tally().filter(|(word, _)| is_type(*word)) {
        let labels = [("type", word.unwrap_or("other"))];
        text.counter("storehouse_events_recorded_total", help, &labels, count);
    }
}
