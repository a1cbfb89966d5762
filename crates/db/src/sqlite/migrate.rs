//! Applying migrations to a file.

use std::path::Path;

use rusqlite::Connection;

use super::connection::{lock_file, open_writer};
use super::dump::damaged;
use super::statement::{execute, rows};
use crate::Error;
use crate::error::Failure;
use crate::migration::{self, Migration};

/// Applies what is missing, behind the lock beside the file.
pub(super) fn migrate(path: &Path, migrations: &[Migration]) -> Result<usize, Error> {
    let _alone = lock_file(path)?;
    let connection = open_writer(path)?;
    let missing = missing(&connection, migrations)?;
    for migration in missing {
        apply(&connection, migration).map_err(|failure| migration.failed(failure.error))?;
    }
    Ok(missing.len())
}

/// Refuses a file that another program has its tables in, before anything is written to it.
pub(super) fn refuse_others(connection: &Connection, path: &Path) -> Result<(), Error> {
    // Read before the migrations are: tables of ours appear at once with the row of their migration.
    let tables = damaged(path, tables(connection))?;
    let applied = damaged(path, applied(connection))?;
    crate::draft::refuse_others(&path.display().to_string(), &tables, &applied.unwrap_or_default())
}

/// All but the list of migrations, with which alone a file is as good as empty.
fn tables(connection: &Connection) -> Result<Vec<String>, Failure> {
    let sql = "SELECT name FROM sqlite_schema
               WHERE type = 'table' AND name <> 'schema_migrations' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    rows(connection, sql, &[], |row| row.get(0))
}

/// The migrations that were applied to it; nothing where there is no list of ours, whatever else has that name.
pub(super) fn applied(connection: &Connection) -> Result<Option<Vec<(i64, String)>>, Failure> {
    let sql = "SELECT name FROM pragma_table_info('schema_migrations') WHERE name IN ('number', 'name')";
    if rows(connection, sql, &[], |_| Ok(()))?.len() < 2 {
        return Ok(None);
    }
    rows(connection, migration::APPLIED, &[], |row| Ok((row.get(0)?, row.get(1)?))).map(Some)
}

fn missing<'a>(connection: &Connection, migrations: &'a [Migration]) -> Result<&'a [Migration], Failure> {
    connection.execute_batch(migration::TABLE)?;
    // A table is rebuilt by dropping it, which must not reach those that refer to it.
    connection.execute_batch("PRAGMA foreign_keys = OFF")?;
    let applied = rows(connection, migration::APPLIED, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(migration::missing(&applied, migrations)?)
}

/// One migration and its row, in one transaction.
fn apply(connection: &Connection, migration: &Migration) -> Result<(), Failure> {
    execute(connection, "BEGIN IMMEDIATE", &[])?;
    let applied = inside(connection, migration).and_then(|()| execute(connection, "COMMIT", &[]).map(|_| ()));
    if applied.is_err() && !connection.is_autocommit() {
        execute(connection, "ROLLBACK", &[])?;
    }
    applied
}

fn inside(connection: &Connection, migration: &Migration) -> Result<(), Failure> {
    connection.execute_batch(migration.sqlite)?;
    let orphans = rows(connection, "PRAGMA foreign_key_check", &[], |row| row.get::<String>(0))?;
    if let Some(table) = orphans.first() {
        return Err(Error::Internal(format!("rows of {table} would refer to nothing")).into());
    }
    execute(connection, migration::RECORD, &[i64::from(migration.number).into(), migration.name.into()])?;
    Ok(())
}
