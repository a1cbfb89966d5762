//! What happened, told in an order that never skips.

use ::db::{Db, Error};
use ::events::{EventType, Events, Position, ReadError, WebhookChange, newest, read_after, record, sweep};
use futures_util::FutureExt;
use kit::author::Author;
use kit::clock::Timestamp;
use uuid::Uuid;

/// Events as clients read them.
mod endpoints;
/// Low stock, and what becomes of products.
mod low;
/// The order, whoever writes beside.
mod order;
/// The same over sockets, while the process is killed and started again.
mod restarts;
/// What is told of what is done.
mod told;

/// Records an event that tells a number, at a moment of this number.
async fn record_number(db: &Db, number: i64) -> Result<(), Error> {
    db.write(number, |tx, number| note(tx, Uuid::from_u128(1), *number).boxed()).await
}

async fn note(tx: &::db::Tx, writer: Uuid, number: i64) -> Result<(), Error> {
    let author = Author::nobody(Timestamp(number));
    let data = WebhookChange { reason: number.to_string() };
    record(tx, EventType::WebhookDisabled, writer, &data, &author).await
}

async fn read(
    db: &Db,
    after: Option<Position>,
    limit: i64,
    types: &'static [EventType],
) -> Result<Events, ReadError> {
    db.read((after, limit), move |tx, (after, limit)| read_after(tx, *after, *limit, types).boxed()).await
}

/// The numbers that a page tells.
fn numbers(page: &Events) -> Vec<i64> {
    page.items.iter().map(|event| event.created_at.0).collect()
}

async fn sweep_before(db: &Db, number: i64, limit: i64) -> u64 {
    sweep(db, Timestamp(number), limit).await.unwrap()
}

async fn newest_of(db: &Db) -> Position {
    db.read((), |tx, ()| newest(tx).boxed()).await.unwrap()
}
