//! Running one statement.

use memchr::memchr_iter;
use rusqlite::{CachedStatement, Connection, Statement};

use crate::Error;
use crate::error::Failure;
use crate::tx::TakeRow;
use crate::value::{Row, Source, Value};

/// Runs a statement and counts the rows that it changed.
pub(crate) fn execute(connection: &Connection, sql: &str, args: &[Value<'_>]) -> Result<u64, Failure> {
    let changed = bound(connection, sql, args)?.raw_execute()?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// Runs a statement and maps its rows.
pub(super) fn rows<T: Send>(
    connection: &Connection,
    sql: &str,
    args: &[Value<'_>],
    mut map: impl FnMut(&Row<'_>) -> Result<T, Error> + Send,
) -> Result<Vec<T>, Failure> {
    let mut found = Vec::new();
    each_row(connection, sql, args, &mut |row| {
        found.push(map(row)?);
        Ok(())
    })?;
    Ok(found)
}

/// Runs a statement and hands over each row of its answer.
pub(crate) fn each_row(
    connection: &Connection,
    sql: &str,
    args: &[Value<'_>],
    take: TakeRow<'_>,
) -> Result<(), Failure> {
    let mut statement = bound(connection, sql, args)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        take(&Row(Source::Sqlite(row)))?;
    }
    Ok(())
}

fn bound<'c>(
    connection: &'c Connection,
    sql: &str,
    args: &[Value<'_>],
) -> Result<CachedStatement<'c>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, sql, args)?;
    Ok(statement)
}

/// Binds in the order in which placeholders are first used, since so SQLite numbers `$2, $1`. It is read from the text: asking SQLite for each
/// name takes longer than all the rest of it.
fn bind(statement: &mut Statement<'_>, sql: &str, args: &[Value<'_>]) -> Result<(), Failure> {
    let count = statement.parameter_count();
    if count != args.len() {
        let given = args.len();
        return Err(Error::Internal(format!("{count} placeholders, {given} arguments: {sql}")).into());
    }
    let (mut is_bound, mut index) = (vec![false; count], 0);
    for number in placeholders(sql) {
        let place = number.wrapping_sub(1);
        let (Some(value), Some(is_bound)) = (args.get(place), is_bound.get_mut(place)) else { break };
        if !*is_bound {
            *is_bound = true;
            index += 1;
            statement.raw_bind_parameter(index, value)?;
        }
    }
    if index == count {
        return Ok(());
    }
    Err(Error::Internal(format!("placeholders must be $1 to ${count}: {sql}")).into())
}

/// The numbers of the placeholders, as they follow one another.
fn placeholders(sql: &str) -> impl Iterator<Item = usize> {
    memchr_iter(b'$', sql.as_bytes()).map(|at| {
        let digits = sql.as_bytes().iter().skip(at + 1).take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |number: usize, digit| {
            number.saturating_mul(10).saturating_add(usize::from(digit - b'0'))
        })
    })
}
