//! Every statement on events.

use db::{Error, Row, Tx, Value};
use kit::author::Author;
use kit::clock::Timestamp;
use kit::money::Money;
use kit::statement::{insert_rows, placeholders};
use kit::text::StoredJson;
use uuid::Uuid;

use crate::data::{Cause, Data, OrderChange, StockMove};
use crate::event_type::EventType;
use crate::position::Position;
use crate::read::{Event, Object};
use crate::record::NewEvent;

/// Adds events that another row explains.
pub(crate) async fn insert_thin(tx: &Tx, events: &[NewEvent]) -> Result<(), Error> {
    const INSERT: &str = "INSERT INTO events (type, object_id, source_id, created_at)";
    let rows: Vec<[Value<'_>; 4]> = events
        .iter()
        .map(|event| {
            [
                event.event_type.as_str().into(),
                event.object_id.into(),
                event.source_id.into(),
                event.created_at.0.into(),
            ]
        })
        .collect();
    insert_rows(tx, INSERT, &["$"; 4], &rows).await
}

/// Adds events that tell all by themselves: of what, and what there is to tell.
pub(crate) async fn insert_whole(
    tx: &Tx,
    event_type: EventType,
    told: &[(Uuid, String)],
    author: &Author,
) -> Result<(), Error> {
    const INSERT: &str = "INSERT INTO events (type, object_id, actor_id, request_id, data, created_at)";
    let rows: Vec<_> = told.iter().map(|told| whole_args(event_type, told, author)).collect();
    insert_rows(tx, INSERT, &["$"; 6], &rows).await
}

fn whole_args<'a>(event_type: EventType, told: &'a (Uuid, String), author: &'a Author) -> [Value<'a>; 6] {
    let (object_id, data) = told;
    [
        event_type.as_str().into(),
        (*object_id).into(),
        author.actor_id.into(),
        author.request_id.as_ref().into(),
        data.into(),
        author.now.0.into(),
    ]
}

fn position(row: &Row<'_>) -> Result<Position, Error> {
    Ok(Position { xid: row.get(0)?, seq: row.get(1)? })
}

/// The events of some types, or of all, among the next behind a position. The keys of the rows that tell more begin with the time, and with the order and the time.
pub(crate) async fn list_behind(
    tx: &Tx,
    after: Position,
    window: i64,
    types: &[EventType],
    limit: i64,
) -> Result<Vec<Event>, Error> {
    let log = tx.log_sql();
    let mut args: Vec<Value<'_>> = vec![after.xid.into(), after.seq.into(), window.into(), limit.into()];
    args.extend(types.iter().map(|event_type| Value::from(event_type.as_str())));
    let chosen = match types.len() {
        0 => String::new(),
        count => format!("WHERE page.type IN ({})", numbered_from(5, count)),
    };
    let sql = format!(
        "SELECT page.xid, page.seq, page.type, page.object_id, page.actor_id, page.request_id, page.created_at, page.data,
                moved.id, moved.location_id, on_hand_delta, allocated_delta, unavailable_delta, on_hand_after, allocated_after,
                cause, cause_id, cause_step, moved.reason, unit_cost_minor, moved.actor_id, moved.request_id, sku, products.currency,
                history.id, from_status, to_status, history.reason, details, history.actor_id, history.request_id, number, user_id
         FROM (SELECT {}, type, object_id, source_id, actor_id, request_id, data, created_at
               FROM events WHERE {} ORDER BY {} LIMIT $3) AS page
         LEFT JOIN stock_movements AS moved ON moved.created_at = page.created_at AND moved.id = page.source_id
         LEFT JOIN products ON products.id = moved.product_id
         LEFT JOIN order_history AS history ON history.order_id = page.object_id AND history.created_at = page.created_at
              AND history.id = page.source_id
         LEFT JOIN orders ON orders.id = history.order_id
         {chosen} ORDER BY page.xid, page.seq LIMIT $4",
        log.position, log.behind, log.ascending
    );
    tx.rows(&sql, &args, event).await
}

/// Placeholders of a list that begins with this number.
fn numbered_from(first: usize, count: usize) -> String {
    let before = placeholders(first - 1).len();
    placeholders(first - 1 + count).split_off(before + 2)
}

fn event(row: &Row<'_>) -> Result<Event, Error> {
    let event_type: EventType = row.get(2)?;
    let (movement, history): (Option<Uuid>, Option<Uuid>) = (row.get(8)?, row.get(24)?);
    let data: Option<String> = row.get(7)?;
    let (data, actor) = match (data, movement, history) {
        (Some(data), ..) => (Data::Recorded(StoredJson(data)), 4),
        (None, Some(id), _) => (Data::Stock(stock_move(row, id)?), 20),
        (None, None, Some(_)) => (Data::Order(order_change(row)?), 29),
        _ => return Err(Error::Internal("an event without the row that explains it".to_owned())),
    };
    Ok(Event {
        id: position(row)?,
        event_type,
        object: Object { kind: event_type.object_kind(), id: row.get(3)? },
        created_at: row.get(6)?,
        actor_id: row.get(actor)?,
        request_id: row.get(actor + 1)?,
        data,
    })
}

fn stock_move(row: &Row<'_>, movement_id: Uuid) -> Result<StockMove, Error> {
    let cost: Option<i64> = row.get(19)?;
    let currency = row.get(23)?;
    Ok(StockMove {
        movement_id,
        sku: row.get(22)?,
        location_id: row.get(9)?,
        on_hand_delta: row.get(10)?,
        allocated_delta: row.get(11)?,
        unavailable_delta: row.get(12)?,
        on_hand_after: row.get(13)?,
        allocated_after: row.get(14)?,
        cause: Cause { kind: row.get(15)?, id: row.get(16)?, step: row.get(17)? },
        reason: row.get(18)?,
        unit_cost: cost.and_then(|minor| Money::from_minor(minor, currency)),
    })
}

fn order_change(row: &Row<'_>) -> Result<OrderChange, Error> {
    Ok(OrderChange {
        number: row.get(31)?,
        user_id: row.get(32)?,
        from: row.get(25)?,
        to: row.get(26)?,
        reason: row.get(27)?,
        details: StoredJson(row.get(28)?),
    })
}

/// What the events of a type are about, among the next behind a position.
pub(crate) async fn list_objects(
    tx: &Tx,
    after: Position,
    window: i64,
    event_type: EventType,
) -> Result<Vec<(Uuid, Timestamp)>, Error> {
    let log = tx.log_sql();
    let sql = format!(
        "SELECT page.object_id, page.created_at
         FROM (SELECT {}, type, object_id, created_at FROM events WHERE {} ORDER BY {} LIMIT $3) AS page
         WHERE page.type = $4 ORDER BY page.xid, page.seq",
        log.position, log.behind, log.ascending
    );
    let args = [after.xid.into(), after.seq.into(), window.into(), event_type.as_str().into()];
    tx.rows(&sql, &args, |row| Ok((row.get(0)?, row.get(1)?))).await
}

/// The last of the next so many events behind a position, and how many there are; none if there are none.
pub(crate) async fn end_of_window(
    tx: &Tx,
    after: Position,
    window: i64,
) -> Result<Option<(Position, i64)>, Error> {
    let log = tx.log_sql();
    let sql = format!(
        "SELECT xid, seq, COUNT(*) OVER () FROM (SELECT {} FROM events WHERE {} ORDER BY {} LIMIT $3) AS page
         ORDER BY xid DESC, seq DESC LIMIT 1",
        log.position, log.behind, log.ascending
    );
    let args = [after.xid.into(), after.seq.into(), window.into()];
    tx.optional(&sql, &args, |row| Ok((position(row)?, row.get(2)?))).await
}

/// The newest event that can be shown.
pub(crate) async fn find_newest_settled(tx: &Tx) -> Result<Option<Position>, Error> {
    let log = tx.log_sql();
    let sql = format!(
        "SELECT {} FROM events WHERE {} ORDER BY {} LIMIT 1",
        log.position, log.behind, log.descending
    );
    tx.optional(&sql, &[0.into(), 0.into()], position).await
}

/// The newest event of all, whether it can be shown or not.
pub(crate) async fn find_newest(tx: &Tx) -> Result<Option<Position>, Error> {
    let log = tx.log_sql();
    let sql = format!("SELECT {} FROM events ORDER BY {} LIMIT 1", log.position, log.descending);
    tx.optional(&sql, &[], position).await
}

/// The last event that was swept away.
pub(crate) async fn find_swept(tx: &Tx) -> Result<Position, Error> {
    tx.one("SELECT xid, seq FROM events_swept", &[], position).await
}

/// The same, and makes all that sweep go one by one.
pub(crate) async fn lock_swept(tx: &Tx) -> Result<Position, Error> {
    tx.one("UPDATE events_swept SET xid = xid RETURNING xid, seq", &[], position).await
}

/// The next events behind a position, each with its time.
pub(crate) async fn list_times(
    tx: &Tx,
    after: Position,
    limit: i64,
) -> Result<Vec<(Position, Timestamp)>, Error> {
    let log = tx.log_sql();
    let sql = format!(
        "SELECT {}, created_at FROM events WHERE {} ORDER BY {} LIMIT $3",
        log.position, log.behind, log.ascending
    );
    let args = [after.xid.into(), after.seq.into(), limit.into()];
    tx.rows(&sql, &args, |row| Ok((position(row)?, row.get(2)?))).await
}

/// When the oldest event that is kept was recorded.
pub(crate) async fn find_oldest_time(tx: &Tx) -> Result<Option<Timestamp>, Error> {
    let sql = format!("SELECT created_at FROM events ORDER BY {} LIMIT 1", tx.log_sql().ascending);
    tx.optional(&sql, &[], |row| row.get(0)).await
}

/// Removes all up to a position, which are at most so many, and remembers it.
pub(crate) async fn delete_up_to(tx: &Tx, end: Position, most: i64) -> Result<u64, Error> {
    let args = [end.xid.into(), end.seq.into()];
    tx.execute("UPDATE events_swept SET xid = $1, seq = $2", &args).await?;
    let (log, most) = (tx.log_sql(), most.to_string());
    let key = log.ascending;
    // A limit tells PostgreSQL that it is not most of the table, which it takes for granted where many events are of one transaction.
    let sql = [
        "DELETE FROM events WHERE (",
        key,
        ") IN (SELECT ",
        key,
        " FROM events WHERE ",
        log.up_to,
        " ORDER BY ",
        key,
        " LIMIT ",
        &most,
        ")",
    ];
    tx.execute(&sql.concat(), &args).await
}

/// Forgets the transactions, so that the order is that of the numbers alone.
pub(crate) async fn forget_transactions(tx: &Tx) -> Result<(), Error> {
    tx.execute("UPDATE events SET xid = 0 WHERE xid <> 0", &[]).await?;
    let sql = "UPDATE events_swept SET xid = 0, seq = COALESCE((SELECT MIN(seq) - 1 FROM events), seq)";
    tx.execute(sql, &[]).await.map(drop)
}
