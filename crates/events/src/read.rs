//! Reading events behind a position, and letting the oldest go.

use db::{Db, Tx};
use futures_util::FutureExt;
use kit::clock::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::data::Data;
use crate::event_type::{EventType, ObjectKind};
use crate::position::Position;
use crate::store;

/// How many events a search by type looks through at once: a page may end before it is full, so that none takes long.
const WINDOW: i64 = 2000;

/// Something that happened.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Event {
    /// Where it stands among all; `after` takes it.
    pub id: Position,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// To what.
    pub object: Object,
    /// When.
    pub created_at: Timestamp,
    /// Who did it; null if it happened by itself.
    pub actor_id: Option<Uuid>,
    /// The request that did it.
    pub request_id: Option<String>,
    /// What else there is to tell.
    pub data: Data,
}

/// What an event is about.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EventObject")]
pub struct Object {
    /// What kind of thing.
    pub kind: ObjectKind,
    /// Which.
    pub id: Uuid,
}

/// Some events, the oldest first.
#[derive(Debug)]
pub struct Events {
    /// In their order; fewer than asked for, even none, doesn't mean that there are no more.
    pub items: Vec<Event>,
    /// Where to read on; all before it was told or left out by its type.
    pub end: Position,
    /// Whether there may be more at this moment.
    pub has_more: bool,
}

/// Why nothing could be read.
#[derive(Debug)]
pub enum ReadError {
    /// Events behind the position were swept away, or the log was put back to an earlier state. The oldest that is kept stands behind this one.
    Expired {
        /// Reading on behind it loses nothing of what is kept.
        oldest: Position,
    },
    /// The database failed.
    Database(db::Error),
}

impl From<db::Error> for ReadError {
    fn from(error: db::Error) -> Self {
        Self::Database(error)
    }
}

/// Reads at most `limit` events behind a position, or the oldest that are kept; only those of some types unless none are named.
/// Its statements belong into one snapshot ([`Db::read`]). Before any of it is told or acted on, [`Db::settle`].
pub async fn read_after(
    tx: &Tx,
    after: Option<Position>,
    limit: i64,
    types: &[EventType],
) -> Result<Events, ReadError> {
    let oldest = store::find_swept(tx).await?;
    let after = after.unwrap_or(oldest);
    if after < oldest {
        return Err(ReadError::Expired { oldest });
    }
    let window = if types.is_empty() { limit } else { WINDOW.max(limit) };
    let items = store::list_behind(tx, after, window, types, limit).await?;
    let is_full = i64::try_from(items.len()).is_ok_and(|count| count == limit);
    let last = items.last().map(|event| event.id);
    let seen = match last {
        Some(last) if is_full || types.is_empty() => Some((last, is_full)),
        _ => store::end_of_window(tx, after, window).await?.map(|(end, count)| (end, count == window)),
    };
    let Some((end, has_more)) = seen else {
        check_not_ahead(tx, after, oldest).await?;
        return Ok(Events { items, end: after, has_more: false });
    };
    Ok(Events { items, end, has_more })
}

/// A position beyond the newest event is one of a log that was put back since.
async fn check_not_ahead(tx: &Tx, after: Position, oldest: Position) -> Result<(), ReadError> {
    if after > store::find_newest(tx).await?.unwrap_or(oldest) {
        return Err(ReadError::Expired { oldest });
    }
    Ok(())
}

/// The objects of one type of events among the next behind a position.
#[derive(Debug)]
pub struct Objects {
    /// In the order of the events, each with the moment of its own.
    pub items: Vec<(Uuid, Timestamp)>,
    /// Where to read on.
    pub end: Position,
    /// Whether there may be more at this moment.
    pub has_more: bool,
}

/// Reads what a type of events is about, behind a position: for whoever follows one type alone and needs nothing of what the events tell. What was swept away is
/// passed over.
pub async fn read_objects(tx: &Tx, after: Position, event_type: EventType) -> Result<Objects, db::Error> {
    let items = store::list_objects(tx, after, WINDOW, event_type).await?;
    let end = store::end_of_window(tx, after, WINDOW).await?;
    let (end, count) = end.unwrap_or((after, 0));
    Ok(Objects { items, end, has_more: count == WINDOW })
}

/// Where somebody stands who wants nothing of what happened so far.
pub async fn newest(tx: &Tx) -> Result<Position, db::Error> {
    match store::find_newest_settled(tx).await? {
        Some(newest) => Ok(newest),
        None => store::find_swept(tx).await,
    }
}

/// Removes at most `limit` of the oldest events, as far as all were recorded before `moment`; never the newest, so that no position comes twice. Several
/// processes may do it at once.
pub async fn sweep(db: &Db, moment: Timestamp, limit: i64) -> Result<u64, db::Error> {
    // Mostly there is nothing to sweep, and so nothing to write.
    let oldest = db.lookup((), |tx, ()| store::find_oldest_time(tx).boxed()).await?;
    if oldest.is_none_or(|oldest| oldest >= moment) {
        return Ok(0);
    }
    db.write((moment, limit), |tx, (moment, limit)| sweep_some(tx, *moment, *limit).boxed()).await
}

async fn sweep_some(tx: &Tx, moment: Timestamp, limit: i64) -> Result<u64, db::Error> {
    let swept = store::lock_swept(tx).await?;
    // One more than go, so that the newest is never among them.
    let oldest = store::list_times(tx, swept, limit + 1).await?;
    let kept = oldest.len().saturating_sub(1);
    let old = oldest.iter().take(kept).take_while(|(_, created_at)| *created_at < moment);
    let Some((end, _)) = old.last() else { return Ok(0) };
    store::delete_up_to(tx, *end, limit).await
}

/// Makes a log readable that was brought from another server, whose transactions had numbers of their own. Positions of then are refused as expired.
pub async fn settle_in(tx: &Tx) -> Result<(), db::Error> {
    store::forget_transactions(tx).await
}
