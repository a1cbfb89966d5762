//! Databases that already have orders, written straight into the tables by the statements of a placement, or of many at a time.

use std::path::Path;

use anyhow::Result;
use fastrand::Rng;
use kit::clock::{Clock, new_id};
use rusqlite::Connection;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::placement::{Placement, insert};

/// The orders of one filling are always the same, and others than those that are placed.
const SEED: u64 = 11;

/// So many orders in one statement on PostgreSQL.
const TOGETHER: usize = 20_000;

/// Fills a file that nothing serves yet with so many orders of one owner; tells their ids.
pub(crate) fn fill_sqlite(database: &Path, owner: Uuid, count: usize) -> Result<Vec<Uuid>> {
    let mut connection = Connection::open(database)?;
    // What is lost in a power cut can be made again.
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -524288;")?;
    let mut random = Rng::with_seed(SEED);
    let mut ids = Vec::with_capacity(count);
    while ids.len() < count {
        let transaction = connection.transaction()?;
        for _ in 0..(count - ids.len()).min(100_000) {
            ids.push(insert(&transaction, &Placement::random(&mut random), owner)?);
        }
        transaction.commit()?;
    }
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(ids)
}

/// The same on PostgreSQL.
pub(crate) async fn fill_postgres(client: &Client, owner: Uuid, count: usize) -> Result<Vec<Uuid>> {
    let mut random = Rng::with_seed(SEED);
    let mut ids = Vec::with_capacity(count);
    while ids.len() < count {
        let rows = Rows::new(client, &mut random, (count - ids.len()).min(TOGETHER)).await?;
        rows.insert(client, owner).await?;
        ids.extend(rows.orders);
    }
    // As a server that runs for long has done; not within what is measured.
    for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
        client.batch_execute(statement).await?;
    }
    Ok(ids)
}

/// Columns of some orders and of their lines.
#[derive(Default)]
struct Rows {
    orders: Vec<Uuid>,
    numbers: Vec<i64>,
    totals: Vec<i64>,
    texts: Vec<String>,
    moments: Vec<i64>,
    histories: Vec<Uuid>,
    lines: Lines,
}

#[derive(Default)]
struct Lines {
    orders: Vec<Uuid>,
    positions: Vec<i64>,
    ids: Vec<Uuid>,
    names: Vec<String>,
    quantities: Vec<i64>,
    units: Vec<i64>,
}

impl Rows {
    async fn new(client: &Client, random: &mut Rng, count: usize) -> Result<Self> {
        let numbers = "SELECT nextval('order_numbers') FROM generate_series(1, $1)";
        let mut rows = Self::default();
        for row in client.query(numbers, &[&i32::try_from(count)?]).await? {
            rows.add(row.try_get(0)?, &Placement::random(random));
        }
        Ok(rows)
    }

    fn add(&mut self, number: i64, placement: &Placement) {
        let order = new_id();
        self.orders.push(order);
        self.numbers.push(number);
        self.totals.push(placement.total());
        self.texts.push(placement.search_text(number));
        self.moments.push(Clock::default().now().0);
        for (position, line) in (0..).zip(&placement.lines) {
            self.lines.orders.push(order);
            self.lines.positions.push(position);
            self.lines.ids.push(new_id());
            self.lines.names.push(line.name.clone());
            self.lines.quantities.push(line.quantity);
            self.lines.units.push(line.unit);
        }
        self.histories.push(new_id());
    }

    async fn insert(&self, client: &Client, owner: Uuid) -> Result<()> {
        let orders = "INSERT INTO orders (id, number, user_id, status, currency, total_price, paid_minor, refunded_minor, is_free_text, metadata, hidden,
                                          search, version, created_at, updated_at)
                      SELECT id, number, $6, 'pending', 'USD', total, 0, 0, FALSE, '{}', FALSE, search, 1, moment, moment
                      FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[]) AS given (id, number, total, search, moment)";
        client
            .execute(orders, &[&self.orders, &self.numbers, &self.totals, &self.texts, &self.moments, &owner])
            .await?;
        let lines = "INSERT INTO order_lines (order_id, position, id, name, quantity, shipped, delivered, returned, unit_minor, total_minor, takes_stock)
                     SELECT order_id, position, id, name, quantity, 0, 0, 0, unit, quantity * unit, FALSE
                     FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[])
                          AS given (order_id, position, id, name, quantity, unit)";
        let Lines { orders, positions, ids, names, quantities, units } = &self.lines;
        client.execute(lines, &[orders, positions, ids, names, quantities, units]).await?;
        let histories =
            "INSERT INTO order_history (id, order_id, action, to_status, actor_id, details, created_at)
                         SELECT id, order_id, 'place', 'pending', $4, '{}', moment
                         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS given (id, order_id, moment)";
        client.execute(histories, &[&self.histories, &self.orders, &self.moments, &owner]).await?;
        let events = "INSERT INTO events (type, object_id, source_id, created_at)
                      SELECT 'order.placed', order_id, id, moment
                      FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS given (id, order_id, moment)";
        client.execute(events, &[&self.histories, &self.orders, &self.moments]).await?;
        Ok(())
    }
}
