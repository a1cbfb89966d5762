//! A file that is read to be moved elsewhere: alone, so that nothing is written that would be left behind, and without writing to it.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::connection::open;
use super::draft::refuse_unfinished;
use super::dump::damaged;
use super::{each_row, rows};
use crate::error::Failure;
use crate::transfer::{Batch, Columns};
use crate::{Error, migration};

/// A batch ends with so many rows, or so many bytes.
const ROWS: usize = 1_000;
const BYTES: usize = 1 << 20;

/// A database that nobody else can use while this lives.
pub(crate) struct Source {
    connection: Connection,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        refuse_unfinished(path)?;
        if !path.exists() {
            return Err(Error::Refused(format!("there is no database at {}", path.display())));
        }
        match open_alone(path) {
            Err(Failure { error: Error::Busy, .. }) => Err(Error::Refused(format!(
                "{} is in use: stop Storehouse first, since what is written from now on would be left behind",
                path.display()
            ))),
            opened => Ok(Self { connection: damaged(path, opened)? }),
        }
    }

    /// The migrations that were applied to it.
    pub(crate) fn applied(&self) -> Result<Vec<(i64, String)>, Error> {
        Ok(rows(&self.connection, migration::APPLIED, &[], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Every table and its columns.
    pub(crate) fn tables(&self) -> Result<Vec<(String, String)>, Error> {
        let sql = "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
                   WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY tables.name, columns.cid";
        Ok(rows(&self.connection, sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    pub(crate) fn count(&self, table: &str) -> Result<u64, Error> {
        let sql = format!("SELECT COUNT(*) FROM \"{table}\"");
        let counted = rows(&self.connection, &sql, &[], |row| row.get::<i64>(0))?;
        Ok(counted.first().copied().unwrap_or_default().unsigned_abs())
    }

    /// Where each series of numbers is.
    pub(crate) fn guard(&self, name: &str) -> Result<Option<i64>, Error> {
        let found =
            rows(&self.connection, "SELECT n FROM guards WHERE name = $1", &[name.into()], |row| row.get(0))?;
        Ok(found.first().copied())
    }

    /// Gives all rows of a table in batches, until one isn't taken.
    pub(crate) fn read(
        &self,
        table: &str,
        columns: &Columns,
        mut take: impl FnMut(Batch) -> bool + Send,
    ) -> Result<(), Error> {
        let sql = format!("SELECT {} FROM \"{table}\"", columns.names());
        let mut batch = Batch::default();
        let mut is_wanted = true;
        each_row(&self.connection, &sql, &[], &mut |row| {
            batch.add(columns.read(row)?);
            if is_wanted && (batch.rows.len() >= ROWS || batch.bytes >= BYTES) {
                is_wanted = take(std::mem::take(&mut batch));
            }
            if is_wanted { Ok(()) } else { Err(Error::Unavailable("nobody takes the rows".to_owned())) }
        })?;
        take(batch);
        Ok(())
    }
}

/// SQLite gives the exclusive lock only if nobody has the file open, and what is in its log is read from there and stays there.
fn open_alone(path: &Path) -> Result<Connection, Failure> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON")?;
    rows(&connection, "SELECT COUNT(*) FROM sqlite_schema", &[], |_| Ok(()))?;
    Ok(connection)
}
