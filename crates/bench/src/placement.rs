//! Orders as the benchmark places them, through HTTP or by the statements that a placement executes
//! (`insert_orders` in `crates/orders/src/store.rs`).

use anyhow::Result;
use fastrand::Rng;
use kit::clock::{Clock, new_id};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::taking;

/// What is ordered.
pub(crate) struct Placement {
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) quantity: i64,
    /// In minor units.
    pub(crate) unit: i64,
    /// What it takes from stock; nothing if it is a free line.
    pub(crate) item: Option<Item>,
}

/// A product as a line of stock names it.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) product: Uuid,
    pub(crate) sku: String,
}

impl Line {
    /// As staff send it.
    #[expect(clippy::cast_precision_loss, reason = "prices are far below 2^52")]
    fn body(&self) -> Value {
        match &self.item {
            Some(item) => json!({"sku": item.sku, "quantity": self.quantity}),
            None => {
                json!({"name": self.name, "quantity": self.quantity, "unit_price": self.unit as f64 / 100.0})
            }
        }
    }

    pub(crate) fn sku(&self) -> Option<&str> {
        self.item.as_ref().map(|item| item.sku.as_str())
    }

    pub(crate) fn product(&self) -> Option<Uuid> {
        self.item.as_ref().map(|item| item.product)
    }
}

impl Placement {
    /// One to three lines of any price, so that the index of totals is met in random order.
    pub(crate) fn random(random: &mut Rng) -> Self {
        let count = random.usize(1..=3);
        let mut line = |number| Line {
            name: format!("Laptop stand {number}-{}", random.u16(..)),
            quantity: random.i64(1..10),
            unit: random.i64(100..100_000),
            item: None,
        };
        Self { lines: (0..count).map(&mut line).collect() }
    }

    /// As staff send it.
    pub(crate) fn body(&self) -> Value {
        json!({"lines": self.lines.iter().map(Line::body).collect::<Vec<_>>()})
    }

    /// When it gives up what it holds; an order that holds nothing never does.
    pub(crate) fn expires_at(&self, now: i64) -> Option<i64> {
        let day = 24 * 60 * 60 * 1_000_000;
        self.lines.iter().any(|line| line.item.is_some()).then_some(now + day)
    }

    pub(crate) fn total(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity * line.unit).sum()
    }

    pub(crate) fn search_text(&self, number: i64) -> String {
        let number = number.to_string();
        let names = self.lines.iter().flat_map(|line| [line.name.as_str(), line.sku().unwrap_or_default()]);
        kit::search::fold(std::iter::once(number.as_str()).chain(names))
    }
}

/// So many, always the same.
pub(crate) fn placements(count: usize) -> Vec<Placement> {
    let mut random = Rng::with_seed(7);
    (0..count).map(|_| Placement::random(&mut random)).collect()
}

/// The series of order numbers on SQLite.
pub(crate) const NEXT_NUMBER: &str = "UPDATE guards SET n = n + 1 WHERE name = $1 RETURNING n";

pub(crate) const INSERT_ORDER: &str = "INSERT INTO orders (id, number, user_id, status, currency, total_price, paid_minor, refunded_minor, is_free_text,
                                                          note, ship_to, external_id, metadata, hidden, search, version, created_at, updated_at, expires_at)
                                       VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7, $8, $9, $10, $11, FALSE, $12, 1, $13, $13, $14)";

pub(crate) const INSERT_LINE: &str = "INSERT INTO order_lines (order_id, position, id, sku, product_id, name, quantity, shipped, delivered, returned,
                                                              unit_minor, total_minor, takes_stock, sku_key)
                                      VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, $8, $9, $10, lower($4))";

pub(crate) const INSERT_HISTORY: &str = "INSERT INTO order_history (id, order_id, action, from_status, to_status, actor_id, reason, details, request_id, created_at)
                                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

/// What happened, told by the row of the ledger or of the history that has this id (`insert_thin` in `crates/events/src/store.rs`).
pub(crate) const INSERT_EVENT: &str =
    "INSERT INTO events (type, object_id, source_id, created_at) VALUES ($1, $2, $3, $4)";

/// Places one on SQLite, inside a transaction of the caller's; tells its id.
pub(crate) fn insert(connection: &Connection, placement: &Placement, user: Uuid) -> Result<Uuid> {
    let (id, now) = (new_id(), Clock::default().now().0);
    let none: Option<&str> = None;
    let number: i64 =
        connection.prepare_cached(NEXT_NUMBER)?.query_row(["order_numbers"], |row| row.get(0))?;
    let (id_bytes, user_bytes) = (id.as_bytes().as_slice(), user.as_bytes().as_slice());
    let (total, search) = (placement.total(), placement.search_text(number));
    taking::take(connection, placement, id, user, now)?;
    connection.prepare_cached(INSERT_ORDER)?.execute(params![
        id_bytes,
        number,
        user_bytes,
        "pending",
        "USD",
        total,
        false,
        none,
        none,
        none,
        "{}",
        search,
        now,
        placement.expires_at(now)
    ])?;
    for (position, line) in (0_i64..).zip(&placement.lines) {
        let line_id = new_id();
        let total = line.quantity * line.unit;
        connection.prepare_cached(INSERT_LINE)?.execute(params![
            id_bytes,
            position,
            line_id.as_bytes().as_slice(),
            line.sku(),
            line.product().map(Uuid::into_bytes),
            line.name,
            line.quantity,
            line.unit,
            total,
            line.item.is_some()
        ])?;
    }
    let (history, request) = (new_id(), new_id().to_string());
    connection.prepare_cached(INSERT_HISTORY)?.execute(params![
        history.as_bytes().as_slice(),
        id_bytes,
        "place",
        none,
        "pending",
        user_bytes,
        none,
        "{}",
        request,
        now
    ])?;
    insert_event(connection, "order.placed", id, history, now)?;
    Ok(id)
}

pub(crate) fn insert_event(
    connection: &Connection,
    event_type: &str,
    object: Uuid,
    source: Uuid,
    now: i64,
) -> Result<()> {
    let (object, source) = (object.as_bytes().as_slice(), source.as_bytes().as_slice());
    connection.prepare_cached(INSERT_EVENT)?.execute(params![event_type, object, source, now])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements_are_random_and_always_the_same() {
        let (first, again) = (placements(50), placements(50));
        assert!(first.iter().zip(&again).all(|(one, other)| one.body() == other.body()));
        assert!(first.iter().any(|one| one.lines.len() == 3) && first.iter().any(|one| one.lines.len() == 1));
        let lines = first[0].body()["lines"].as_array().unwrap().len();
        assert_eq!(lines, first[0].lines.len());
    }
}
