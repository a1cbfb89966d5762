//! Running one statement.

use rusqlite::{Connection, Statement};

use crate::Error;
use crate::error::Failure;
use crate::value::{Row, Source, Value};

/// Runs a statement and counts the rows that it changed.
pub(crate) fn execute(connection: &Connection, sql: &str, args: &[Value<'_>]) -> Result<u64, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, sql, args)?;
    let changed = statement.raw_execute()?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// Runs a statement and maps its rows.
pub(crate) fn rows<T>(
    connection: &Connection,
    sql: &str,
    args: &[Value<'_>],
    mut map: impl FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, sql, args)?;
    let mut found = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        found.push(map(&Row(Source::Sqlite(row)))?);
    }
    Ok(found)
}

/// Binds by name, since SQLite numbers `$2, $1` in the order of their first use.
fn bind(statement: &mut Statement<'_>, sql: &str, args: &[Value<'_>]) -> Result<(), Failure> {
    let count = statement.parameter_count();
    if count != args.len() {
        let given = args.len();
        return Err(Error::Internal(format!("{count} placeholders, {given} arguments: {sql}")).into());
    }
    for index in 1..=count {
        let number =
            statement.parameter_name(index).and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
        let Some(value) = number.and_then(|number| args.get(number.checked_sub(1)?)) else {
            return Err(Error::Internal(format!("placeholders must be $1 to ${count}: {sql}")).into());
        };
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(())
}
