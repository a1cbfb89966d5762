//! The floor on SQLite: the statements of a placement in a bare loop, a hundred placements in a transaction.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use db::SQLITE_WRITER_SETTINGS;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use uuid::Uuid;

use crate::auditing;
use crate::measure::Sample;
use crate::placement::{Placement, insert};
use crate::program::thread_cpu;

const BATCH: usize = 100;

/// As the program seals its audit log.
pub(crate) const SEALED_EVERY: Duration = Duration::from_secs(1);

/// The tables that a placement may touch.
pub(crate) const TABLES: [&str; 8] = [
    "order_lines",
    "order_history",
    "idempotency_keys",
    "stock_movements",
    "events",
    "audit_personal",
    "audit_entries",
    "orders",
];

pub(crate) struct RawLoop {
    connection: Connection,
    user: Uuid,
    next: usize,
}

impl RawLoop {
    /// On a file that the program has migrated, so that tables and indexes are the same.
    pub(crate) fn open(database: &Path) -> Result<Self> {
        let connection = Connection::open(database)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.execute_batch(SQLITE_WRITER_SETTINGS)?;
        // The program syncs by itself, and takes the log back beside its writer; here commits do.
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000")?;
        connection.set_prepared_statement_cache_capacity(100);
        Ok(Self { connection, user: kit::clock::new_id(), next: 0 })
    }

    pub(crate) fn run(&mut self, placements: &[Placement], seconds: f64) -> Result<Sample> {
        let (begun, cpu) = (Instant::now(), thread_cpu()?);
        let (mut done, mut sealed_at) = (0, begun);
        while begun.elapsed() < Duration::from_secs_f64(seconds) {
            let transaction =
                self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            for placement in placements.iter().cycle().skip(self.next % placements.len()).take(BATCH) {
                let order = insert(&transaction, placement, self.user)?;
                auditing::record(&transaction, placement, order, self.user)?;
            }
            transaction.commit()?;
            self.next += BATCH;
            done += BATCH as u64;
            if sealed_at.elapsed() >= SEALED_EVERY {
                auditing::seal(&mut self.connection)?;
                sealed_at = Instant::now();
            }
        }
        Ok(Sample::of(done, begun.elapsed(), Some(thread_cpu()?.saturating_sub(cpu)), None))
    }
}

/// How many rows an order has in each table: both sides must write the same.
pub(crate) fn rows_an_order(database: &Path) -> Result<String> {
    let connection = Connection::open(database)?;
    let mut counts = Vec::new();
    for table in TABLES {
        let count = connection.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0))?;
        counts.push((table, count));
    }
    Ok(rows_text(&counts))
}

/// Each table's rows, spread over the orders, which come last.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn rows_text(counts: &[(&str, i64)]) -> String {
    let orders = counts.last().map_or(0, |(_, count)| *count).max(1);
    let each = |(table, count): &(&str, i64)| format!("{:.2} {table}", *count as f64 / orders as f64);
    counts.iter().map(each).collect::<Vec<_>>().join(", ")
}
