//! Every statement on orders; those on all of one person's stand in a file of their own.

mod people;

use db::{Error, Row, Tx, Value};
use events::NewEvent;
use kit::clock::Timestamp;
use kit::money::Money;
use kit::page::{Conditions, Key, PageRequest, Position};
use kit::statement::{insert_rows, placeholders};
use uuid::Uuid;

pub(crate) use self::people::{
    erase_order, has_open_order, history_of, orders_of, orders_to_erase, recent_orders_of,
};
use crate::lifecycle::{Action, Status};
use crate::model::{Line, Order};

const ORDER: &str = "orders.id, number, user_id, status, currency, total_price, paid_minor, refunded_minor, is_free_text, note, ship_to,
                     external_id, metadata, hidden, version, created_at, updated_at, expires_at";

const ORDER_COLUMNS: usize = 18;

/// The same where each of its lines stands behind it: what may be long comes with the first line alone, since 500 lines
/// would repeat 16 KiB each.
const ORDER_ONCE: &str = "orders.id, number, user_id, status, currency, total_price, paid_minor, refunded_minor, is_free_text,
                          CASE WHEN position > 0 THEN NULL ELSE note END, CASE WHEN position > 0 THEN NULL ELSE ship_to END,
                          external_id, CASE WHEN position > 0 THEN NULL ELSE metadata END, hidden, version, created_at, updated_at, expires_at";

fn order(row: &Row<'_>) -> Result<Order, Error> {
    let total: i64 = row.get(5)?;
    Ok(Order {
        id: row.get(0)?,
        number: row.get(1)?,
        user_id: row.get(2)?,
        status: row.get(3)?,
        lines: Vec::new(),
        total: Money::from_minor(total, row.get(4)?)
            .ok_or_else(|| Error::Internal(format!("stored total {total}")))?,
        paid_minor: row.get(6)?,
        refunded_minor: row.get(7)?,
        is_free_text: row.get(8)?,
        note: row.get(9)?,
        ship_to: row.get(10)?,
        external_id: row.get(11)?,
        metadata: row.get(12)?,
        hidden: row.get(13)?,
        version: row.get(14)?,
        created_at: row.get(15)?,
        updated_at: row.get(16)?,
        expires_at: row.get(17)?,
    })
}

const LINE: &str = "order_lines.id, sku, product_id, name, quantity, shipped, delivered, returned, unit_minor, total_minor, takes_stock, sku_key";

/// The line that stands behind an order's own columns; none where the order has no lines.
fn joined_line(row: &Row<'_>) -> Result<Option<Line>, Error> {
    let id: Option<Uuid> = row.get(ORDER_COLUMNS)?;
    id.map(|id| line(row, ORDER_COLUMNS, id)).transpose()
}

/// The line whose columns begin with `first`, its id.
fn line(row: &Row<'_>, first: usize, id: Uuid) -> Result<Line, Error> {
    Ok(Line {
        id,
        sku: row.get(first + 1)?,
        product_id: row.get(first + 2)?,
        name: row.get(first + 3)?,
        quantity: row.get(first + 4)?,
        shipped: row.get(first + 5)?,
        delivered: row.get(first + 6)?,
        returned: row.get(first + 7)?,
        unit_minor: row.get(first + 8)?,
        total_minor: row.get(first + 9)?,
        takes_stock: row.get(first + 10)?,
        sku_key: row.get(first + 11)?,
    })
}

/// An order with its lines, in one statement, so that both are of one version.
pub(crate) async fn find_order(tx: &Tx, id: Uuid) -> Result<Option<Order>, Error> {
    let from =
        " FROM orders LEFT JOIN order_lines ON order_id = orders.id WHERE orders.id = $1 ORDER BY position";
    let sql = ["SELECT ", ORDER_ONCE, ", ", LINE, from].concat();
    let mut found: Option<Order> = None;
    let add_line = |row: &Row<'_>| {
        if found.is_none() {
            found = Some(order(row)?);
        }
        if let (Some(order), Some(line)) = (&mut found, joined_line(row)?) {
            order.lines.push(line);
        }
        Ok(())
    };
    tx.rows(&sql, &[id.into()], add_line).await?;
    Ok(found)
}

/// An order with its lines, locked until the transaction ends: the update that changes nothing takes the row's lock
/// on an engine where writers run side by side.
pub(crate) async fn lock_order(tx: &Tx, id: Uuid) -> Result<Option<Order>, Error> {
    let sql = format!("UPDATE orders SET version = version WHERE id = $1 RETURNING {ORDER}");
    let Some(mut order) = tx.optional(&sql, &[id.into()], order).await? else { return Ok(None) };
    order.lines = lines_of(tx, order.id).await?;
    Ok(Some(order))
}

async fn lines_of(tx: &Tx, order: Uuid) -> Result<Vec<Line>, Error> {
    let sql = format!("SELECT {LINE} FROM order_lines WHERE order_id = $1 ORDER BY position");
    tx.rows(&sql, &[order.into()], |row| line(row, 0, row.get(0)?)).await
}

/// The orders that are due to expire, the longest due first: when and which, behind the last that was seen. Those for which money was received are
/// not among them, nor in the index, whose condition this repeats.
pub(crate) async fn list_due(
    tx: &Tx,
    now: Timestamp,
    last: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<(Timestamp, Uuid)>, Error> {
    let sql = "SELECT expires_at, id FROM orders WHERE expires_at <= $1 AND paid_minor <= refunded_minor AND (expires_at, id) > ($2, $3)
               ORDER BY expires_at, id LIMIT $4";
    let (moment, id) = last.unwrap_or((Timestamp(i64::MIN), Uuid::nil()));
    let args = [now.0.into(), moment.0.into(), id.into(), limit.into()];
    tx.rows(sql, &args, |row| Ok((row.get(0)?, row.get(1)?))).await
}

/// The next orders behind one, by their ids.
pub(crate) async fn next_orders(tx: &Tx, after: Uuid, limit: i64) -> Result<Vec<Order>, Error> {
    let sql = format!("SELECT {ORDER} FROM orders WHERE id > $1 ORDER BY id LIMIT $2");
    let mut orders = tx.rows(&sql, &[after.into(), limit.into()], order).await?;
    add_lines(tx, &mut orders).await?;
    Ok(orders)
}

/// An order's number, for people.
pub(crate) async fn find_number(tx: &Tx, id: Uuid) -> Result<Option<i64>, Error> {
    tx.optional("SELECT number FROM orders WHERE id = $1", &[id.into()], |row| row.get(0)).await
}

/// Whose order it is and whether it is hidden, without its lines.
pub(crate) async fn find_owner(tx: &Tx, id: Uuid) -> Result<Option<(Uuid, bool)>, Error> {
    let sql = "SELECT user_id, hidden FROM orders WHERE id = $1";
    tx.optional(sql, &[id.into()], |row| Ok((row.get(0)?, row.get(1)?))).await
}

/// What the list of orders is filtered by.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrderFilter {
    pub(crate) status: Option<Status>,
    pub(crate) user_id: Option<Uuid>,
    /// What makes it unique.
    pub(crate) sku_key: Option<String>,
    pub(crate) created_after: Option<Timestamp>,
    pub(crate) created_before: Option<Timestamp>,
    pub(crate) external_id: Option<String>,
    pub(crate) patterns: Vec<String>,
    /// Whose orders alone may be seen, hidden ones not; all if `None`.
    pub(crate) visible_to: Option<Uuid>,
}

impl OrderFilter {
    fn conditions(&self) -> Conditions<'_> {
        let mut conditions = Conditions::new();
        if let Some(owner) = self.visible_to {
            conditions.and("user_id = {}", owner);
            conditions.and("hidden = {}", false);
        }
        if let Some(user_id) = self.user_id {
            conditions.and("user_id = {}", user_id);
        }
        if let Some(status) = self.status {
            conditions.and("status = {}", status.as_str());
        }
        if let Some(moment) = self.created_after {
            conditions.and("created_at > {}", moment.0);
        }
        if let Some(moment) = self.created_before {
            conditions.and("created_at < {}", moment.0);
        }
        if let Some(external_id) = &self.external_id {
            conditions.and("external_id = {}", external_id);
        }
        if let Some(sku_key) = &self.sku_key {
            let has_line = "EXISTS (SELECT 1 FROM order_lines WHERE order_id = orders.id AND sku_key = {})";
            conditions.and(has_line, sku_key);
        }
        for pattern in &self.patterns {
            conditions.and("search LIKE {}", pattern);
        }
        conditions
    }
}

/// A page of orders with their lines.
pub(crate) async fn list_orders(
    tx: &Tx,
    filter: &OrderFilter,
    page: &PageRequest,
) -> Result<(Vec<Order>, Option<i64>), Error> {
    let mut conditions = filter.conditions();
    let total = if page.count {
        let count = format!("SELECT COUNT(*) FROM orders{}", conditions.sql());
        Some(tx.one(&count, conditions.args(), |row| row.get(0)).await?)
    } else {
        None
    };
    conditions.after(page);
    let (sort, direction, limit) = (page.sort, page.direction(), conditions.bind(page.fetch()));
    let sql = format!(
        "SELECT {ORDER} FROM orders{} ORDER BY {sort} {direction}, id {direction} LIMIT {limit}",
        conditions.sql()
    );
    let mut orders = tx.rows(&sql, conditions.args(), order).await?;
    add_lines(tx, &mut orders).await?;
    Ok((orders, total))
}

async fn add_lines(tx: &Tx, orders: &mut [Order]) -> Result<(), Error> {
    if orders.is_empty() {
        return Ok(());
    }
    let ids: Vec<Value<'_>> = orders.iter().map(|order| order.id.into()).collect();
    let list = placeholders(ids.len());
    let sql = [
        "SELECT order_id, ",
        LINE,
        " FROM order_lines WHERE order_id IN (",
        &list,
        ") ORDER BY order_id, position",
    ]
    .concat();
    let mut by_id: Vec<&mut Order> = orders.iter_mut().collect();
    by_id.sort_unstable_by_key(|order| order.id);
    let add_line = |row: &Row<'_>| {
        let order_id: Uuid = row.get(0)?;
        if let Ok(place) = by_id.binary_search_by_key(&order_id, |order| order.id) {
            by_id[place].lines.push(line(row, 1, row.get(1)?)?);
        }
        Ok(())
    };
    tx.rows(&sql, &ids, add_line).await.map(drop)
}

/// Where an order stands in a list sorted by `sort`.
pub(crate) fn order_position(order: &Order, sort: &str) -> Position {
    let key = match sort {
        "total_price" => order.total.minor(),
        "number" => order.number,
        _ => order.created_at.0,
    };
    Position { key: Key::Int(key), id: order.id }
}

/// How many pending orders an account has; only as many are counted as are asked for.
pub(crate) async fn count_pending(tx: &Tx, user_id: Uuid, at_most: i64) -> Result<i64, Error> {
    let sql = "SELECT COUNT(*) FROM (SELECT id FROM orders WHERE user_id = $1 AND status = 'pending' LIMIT $2) AS pending";
    tx.one(sql, &[user_id.into(), at_most.into()], |row| row.get(0)).await
}

/// A new order with its number and its lines, the text to find it by, and the first row of its history.
pub(crate) struct NewOrder<'a> {
    pub(crate) order: &'a Order,
    pub(crate) number: i64,
    pub(crate) search: String,
    pub(crate) history: &'a HistoryRow,
}

/// Stores new orders; each row of history has its event.
pub(crate) async fn insert_orders(tx: &Tx, new: &[NewOrder<'_>]) -> Result<(), Error> {
    let orders: Vec<_> = new.iter().map(order_args).collect();
    let lines: Vec<_> = new.iter().flat_map(|new| all_line_args(new.order)).collect();
    let histories: Vec<_> = new.iter().map(|new| history_args(new.history)).collect();
    insert_rows(tx, INSERT_ORDERS, ORDER_ROW, &orders).await?;
    insert_rows(tx, INSERT_LINES, LINE_ROW, &lines).await?;
    insert_rows(tx, INSERT_HISTORY, HISTORY_ROW, &histories).await?;
    events::record_rows(tx, new.iter().map(|new| event(new.history))).await
}

const INSERT_ORDERS: &str = "INSERT INTO orders (id, number, user_id, status, currency, total_price, paid_minor, refunded_minor, is_free_text,
                                                note, ship_to, external_id, metadata, hidden, search, version, created_at, updated_at, expires_at)";
const ORDER_ROW: &[&str] =
    &["$", "$", "$", "$", "$", "$", "0", "0", "$", "$", "$", "$", "$", "FALSE", "$", "1", "$", "$", "$"];

const INSERT_LINES: &str = "INSERT INTO order_lines (order_id, position, id, sku, product_id, name, quantity, shipped, delivered, returned,
                                                    unit_minor, total_minor, takes_stock, sku_key)";
const LINE_ROW: &[&str] = &["$", "$", "$", "$", "$", "$", "$", "0", "0", "0", "$", "$", "$", "$"];

const INSERT_HISTORY: &str = "INSERT INTO order_history (id, order_id, action, from_status, to_status, actor_id, reason, details, request_id, created_at)";
const HISTORY_ROW: &[&str] = &["$"; 10];

fn order_args<'a>(new: &'a NewOrder<'_>) -> [Value<'a>; 15] {
    let order = new.order;
    [
        order.id.into(),
        new.number.into(),
        order.user_id.into(),
        order.status.as_str().into(),
        order.total.currency().code().into(),
        order.total.minor().into(),
        order.is_free_text.into(),
        order.note.as_ref().into(),
        order.ship_to.as_ref().into(),
        order.external_id.as_ref().into(),
        (&order.metadata).into(),
        (&new.search).into(),
        order.created_at.0.into(),
        order.updated_at.0.into(),
        order.expires_at.map(|moment| moment.0).into(),
    ]
}

fn all_line_args(order: &Order) -> impl Iterator<Item = [Value<'_>; 11]> {
    (0_i64..).zip(&order.lines).map(|(position, line)| line_args(order.id, position, line))
}

fn line_args(order_id: Uuid, position: i64, line: &Line) -> [Value<'_>; 11] {
    [
        order_id.into(),
        position.into(),
        line.id.into(),
        line.sku.as_ref().into(),
        line.product_id.into(),
        (&line.name).into(),
        line.quantity.into(),
        line.unit_minor.into(),
        line.total_minor.into(),
        line.takes_stock.into(),
        line.sku_key.as_ref().into(),
    ]
}

/// Replaces an order's lines by new ones, of which nothing was shipped.
pub(crate) async fn replace_lines(tx: &Tx, order: &Order) -> Result<(), Error> {
    tx.later(&[("DELETE FROM order_lines WHERE order_id = $1", &[order.id.into()])]).await?;
    let lines: Vec<_> = all_line_args(order).collect();
    insert_rows(tx, INSERT_LINES, LINE_ROW, &lines).await
}

/// Stores how much of each line was shipped, delivered and returned.
pub(crate) async fn update_line_counters(tx: &Tx, order: &Order) -> Result<(), Error> {
    let sql = "UPDATE order_lines SET shipped = $3, delivered = $4, returned = $5 WHERE order_id = $1 AND position = $2";
    let args: Vec<[Value<'_>; 5]> = (0_i64..)
        .zip(&order.lines)
        .map(|(position, line)| {
            [
                order.id.into(),
                position.into(),
                line.shipped.into(),
                line.delivered.into(),
                line.returned.into(),
            ]
        })
        .collect();
    let statements: Vec<(&str, &[Value<'_>])> = args.iter().map(|args| (sql, args.as_slice())).collect();
    tx.all(&statements).await.map(drop)
}

/// Stores a changed order, without its lines, and a row of its history with its event. What is written to a closed one may be personal, so that it is looked
/// at again if its person is gone.
pub(crate) async fn update_order(tx: &Tx, order: &Order, history: &HistoryRow) -> Result<(), Error> {
    let sql = "UPDATE orders SET status = $2, total_price = $3, paid_minor = $4, refunded_minor = $5, note = $6, ship_to = $7,
                      external_id = $8, metadata = $9, hidden = $10, search = $11, version = $12, updated_at = $13, expires_at = $14,
                      is_free_text = $15
               WHERE id = $1";
    let search = order.search_text();
    let order_args = [
        order.id.into(),
        order.status.as_str().into(),
        order.total.minor().into(),
        order.paid_minor.into(),
        order.refunded_minor.into(),
        order.note.as_ref().into(),
        order.ship_to.as_ref().into(),
        order.external_id.as_ref().into(),
        (&order.metadata).into(),
        order.hidden.into(),
        (&search).into(),
        order.version.into(),
        order.updated_at.0.into(),
        order.expires_at.map(|moment| moment.0).into(),
        order.is_free_text.into(),
    ];
    tx.later(&[(sql, &order_args)]).await?;
    insert_rows(tx, INSERT_HISTORY, HISTORY_ROW, &[history_args(history)]).await?;
    if !order.status.is_open() {
        accounts::store::erase_again(tx, order.user_id).await?;
    }
    events::record_rows(tx, std::iter::once(event(history))).await
}

/// One change of an order.
#[derive(Clone, Debug)]
pub(crate) struct HistoryRow {
    pub(crate) id: Uuid,
    pub(crate) order_id: Uuid,
    pub(crate) action: Action,
    pub(crate) from: Option<Status>,
    pub(crate) to: Status,
    pub(crate) actor_id: Option<Uuid>,
    pub(crate) reason: Option<String>,
    /// Compact JSON.
    pub(crate) details: String,
    pub(crate) request_id: Option<String>,
    pub(crate) created_at: Timestamp,
}

fn event(row: &HistoryRow) -> NewEvent {
    NewEvent {
        event_type: row.action.event_type(row.from, row.to),
        object_id: row.order_id,
        source_id: row.id,
        created_at: row.created_at,
    }
}

fn history_args(row: &HistoryRow) -> [Value<'_>; 10] {
    [
        row.id.into(),
        row.order_id.into(),
        row.action.as_str().into(),
        row.from.map(Status::as_str).into(),
        row.to.as_str().into(),
        row.actor_id.into(),
        row.reason.as_ref().into(),
        (&row.details).into(),
        row.request_id.as_ref().into(),
        row.created_at.0.into(),
    ]
}

/// A page of an order's history.
pub(crate) async fn list_history(
    tx: &Tx,
    order_id: Uuid,
    page: &PageRequest,
) -> Result<(Vec<HistoryRow>, Option<i64>), Error> {
    let mut conditions = Conditions::new();
    conditions.and("order_id = {}", order_id);
    let count = format!("SELECT COUNT(*) FROM order_history{}", conditions.sql());
    let total =
        if page.count { Some(tx.one(&count, conditions.args(), |row| row.get(0)).await?) } else { None };
    conditions.after(page);
    let (direction, limit) = (page.direction(), conditions.bind(page.fetch()));
    let sql = format!(
        "SELECT id, order_id, action, from_status, to_status, actor_id, reason, details, request_id, created_at
         FROM order_history{} ORDER BY created_at {direction}, id {direction} LIMIT {limit}",
        conditions.sql()
    );
    Ok((tx.rows(&sql, conditions.args(), history_row).await?, total))
}

fn history_row(row: &Row<'_>) -> Result<HistoryRow, Error> {
    Ok(HistoryRow {
        id: row.get(0)?,
        order_id: row.get(1)?,
        action: row.get(2)?,
        from: row.get(3)?,
        to: row.get(4)?,
        actor_id: row.get(5)?,
        reason: row.get(6)?,
        details: row.get(7)?,
        request_id: row.get(8)?,
        created_at: row.get(9)?,
    })
}
