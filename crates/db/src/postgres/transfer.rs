//! Taking the rows of a SQLite database into a new one, in one transaction: it has all of them or none.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::Client;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use super::draft::Draft;
use super::failure::failure;
use super::migrate::{migrate, run};
use crate::migration::Migration;
use crate::sqlite::Source;
use crate::transfer::{Checksum, Column, Columns, Kind, Moved, Tables, agree, read_rows, tell};
use crate::value::{Row, Source as Cells, Value};
use crate::{Error, Progress};

const COLUMNS: &str = "
    SELECT tables.relname, columns.attname, columns.atttypid, columns.atthasdef OR columns.attidentity <> ''
    FROM pg_class AS tables JOIN pg_attribute AS columns ON columns.attrelid = tables.oid
    WHERE tables.relnamespace = CAST(quote_ident(current_schema()) AS regnamespace) AND tables.relkind IN ('r', 'p')
        AND columns.attnum > 0 AND NOT columns.attisdropped
    ORDER BY tables.relname, columns.attnum";

const REFERENCES: &str = "
    SELECT tables.relname, others.relname
    FROM pg_constraint JOIN pg_class AS tables ON tables.oid = conrelid JOIN pg_class AS others ON others.oid = confrelid
    WHERE contype = 'f' AND conrelid <> confrelid AND tables.relnamespace = CAST(quote_ident(current_schema()) AS regnamespace)";

const SERIES: &str = "
    SELECT relname FROM pg_class AS series
    WHERE relkind = 'S' AND relnamespace = CAST(quote_ident(current_schema()) AS regnamespace)
        AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = series.oid AND classid = CAST('pg_class' AS regclass) AND deptype = 'i')
    ORDER BY relname";

/// Columns that number their own rows.
const IDENTITIES: &str = "
    SELECT tables.relname, columns.attname
    FROM pg_class AS tables JOIN pg_attribute AS columns ON columns.attrelid = tables.oid
    WHERE tables.relnamespace = CAST(quote_ident(current_schema()) AS regnamespace) AND columns.attidentity <> ''";

/// Makes the tables, fills them, and reads back what arrived.
pub(crate) async fn fill(
    draft: &Draft,
    source: Source,
    migrations: &'static [Migration],
    progress: &Progress,
) -> Result<Vec<Moved>, Error> {
    migrate(&draft.server, migrations).await?;
    let client = &draft.client;
    let tables = agree(&source.tables()?, &columns(client).await?)?;
    let order = in_order(&tables, &references(client).await?)?;
    let series = strings(client, SERIES).await?;
    run(client, "BEGIN").await?;
    // What migrations put there comes from the source too.
    for table in order.iter().rev() {
        run(client, &format!("DELETE FROM \"{table}\"")).await?;
    }
    let (mut source, mut moved) = (source, Vec::new());
    for table in order {
        let (checksum, returned) = copy(client, source, &table, &tables[&table], progress).await?;
        source = returned;
        compare(client, &table, &tables[&table], checksum, progress).await?;
        moved.push(Moved { table, rows: checksum.rows });
    }
    for name in &series {
        go_on(client, name, &source).await?;
    }
    for row in client.query(IDENTITIES, &[]).await.map_err(|error| failure(&error).error)? {
        number_on(client, row.get(0), row.get(1)).await?;
    }
    run(client, "COMMIT").await?;
    Ok(moved)
}

async fn strings(client: &Client, sql: &str) -> Result<Vec<String>, Error> {
    let rows = client.query(sql, &[]).await.map_err(|error| failure(&error).error)?;
    rows.iter().map(|row| row.try_get(0).map_err(|error| failure(&error).error)).collect()
}

async fn columns(client: &Client) -> Result<Tables, Error> {
    let mut tables = Tables::new();
    for row in client.query(COLUMNS, &[]).await.map_err(|error| failure(&error).error)? {
        let (table, name, kind): (String, String, u32) = (row.get(0), row.get(1), row.get(2));
        let column = Column { name, kind: kind_of(kind), has_default: row.get(3) };
        tables.entry(table).or_default().0.push(column);
    }
    tables.remove(super::draft::UNFINISHED);
    Ok(tables)
}

fn kind_of(kind: u32) -> Kind {
    match Type::from_oid(kind) {
        Some(Type::BOOL) => Kind::Bool,
        Some(Type::INT8) => Kind::Int,
        Some(Type::TEXT) => Kind::Text,
        Some(Type::BYTEA) => Kind::Blob,
        Some(Type::UUID) => Kind::Id,
        _ => Kind::Other,
    }
}

fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Bool => Type::BOOL,
        Kind::Int => Type::INT8,
        Kind::Text => Type::TEXT,
        Kind::Blob => Type::BYTEA,
        Kind::Id => Type::UUID,
        Kind::Other => Type::UNKNOWN,
    }
}

/// Which tables each refers to.
async fn references(client: &Client) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
    let mut references = BTreeMap::<String, BTreeSet<String>>::new();
    for row in client.query(REFERENCES, &[]).await.map_err(|error| failure(&error).error)? {
        references.entry(row.get(0)).or_default().insert(row.get(1));
    }
    Ok(references)
}

/// Each table behind those that it refers to.
fn in_order(tables: &Tables, references: &BTreeMap<String, BTreeSet<String>>) -> Result<Vec<String>, Error> {
    let (mut waiting, mut order): (BTreeSet<&String>, Vec<String>) = (tables.keys().collect(), Vec::new());
    while !waiting.is_empty() {
        let is_free = |table: &&String| {
            references.get(*table).is_none_or(|others| others.iter().all(|other| !waiting.contains(other)))
        };
        let free: Vec<&String> = waiting.iter().copied().filter(|table| is_free(table)).collect();
        if free.is_empty() {
            return Err(Error::Internal(format!("the tables {waiting:?} refer to each other")));
        }
        for table in free {
            waiting.remove(table);
            order.push(table.clone());
        }
    }
    Ok(order)
}

/// Copies a table. The guard row of a series stays behind: here it is a sequence.
async fn copy(
    client: &Client,
    source: Source,
    table: &str,
    columns: &Columns,
    progress: &Progress,
) -> Result<(Checksum, Source), Error> {
    let failed = |error: tokio_postgres::Error| failure(&error).error;
    let of = source.count(table)?;
    let sql = format!("COPY \"{table}\" ({}) FROM STDIN BINARY", columns.names());
    let sink = client.copy_in(&sql).await.map_err(failed)?;
    let types: Vec<Type> = columns.0.iter().map(|column| type_of(column.kind)).collect();
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    let (batches, reading) = read_rows(source, table.to_owned(), columns.clone());
    let writing = async {
        // Whoever reads ends when this does.
        let (mut batches, mut checksum) = (batches, Checksum::default());
        tell(progress, "copying", table, 0, Some(of));
        while let Some(batch) = batches.recv().await {
            for row in &batch.rows {
                checksum.add(row);
                let cells: Vec<Value<'_>> = row.iter().map(crate::value::Kept::value).collect();
                let cells: Vec<&(dyn ToSql + Sync)> = cells.iter().map(|cell| cell as _).collect();
                writer.as_mut().write(&cells).await.map_err(failed)?;
            }
            tell(progress, "copying", table, checksum.rows, Some(of));
        }
        writer.as_mut().finish().await.map_err(failed)?;
        Ok::<_, Error>(checksum)
    };
    let (checksum, source) = futures_util::future::join(writing, reading).await;
    // What couldn't be read tells more than what then wasn't written.
    let source = match (&checksum, source) {
        (Err(written), Err(Error::Unavailable(_))) => return Err(written.clone()),
        (_, source) => source?,
    };
    Ok((checksum?, source))
}

/// Reads a table back.
async fn compare(
    client: &Client,
    table: &str,
    columns: &Columns,
    wanted: Checksum,
    progress: &Progress,
) -> Result<(), Error> {
    let failed = |error: tokio_postgres::Error| failure(&error).error;
    let sql = format!("SELECT {} FROM \"{table}\"", columns.names());
    let none: [&(dyn ToSql + Sync); 0] = [];
    let mut rows = pin!(client.query_raw(&sql, none).await.map_err(failed)?);
    let mut found = Checksum::default();
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        found.add(&columns.read(&Row(Cells::Postgres(&row)))?);
        if found.rows.is_multiple_of(10_000) {
            tell(progress, "checking", table, found.rows, Some(wanted.rows));
        }
    }
    if found == wanted {
        return Ok(());
    }
    Err(Error::Internal(format!(
        "{table} did not arrive as it was: {} rows were read and {} found, or some differ",
        wanted.rows, found.rows
    )))
}

/// Lets a sequence go on where the guard row of its name is, and removes that row.
async fn go_on(client: &Client, name: &str, source: &Source) -> Result<(), Error> {
    let failed = |error: tokio_postgres::Error| failure(&error).error;
    let missing = || Error::Internal(format!("the sequence {name} has no guard row in SQLite"));
    let last = source.guard(name)?.ok_or_else(missing)?;
    let sql = "SELECT setval(CAST(CAST($1 AS TEXT) AS regclass), $2, $3)";
    client.execute(sql, &[&name, &last.max(1), &(last > 0)]).await.map_err(failed)?;
    client.execute("DELETE FROM guards WHERE name = $1", &[&name]).await.map_err(failed)?;
    Ok(())
}

/// Lets a column that numbers its rows go on behind those that came.
async fn number_on(client: &Client, table: &str, column: &str) -> Result<(), Error> {
    let sql = format!(
        "SELECT setval(pg_get_serial_sequence('\"{table}\"', '{column}'), COALESCE(MAX(\"{column}\"), 0) + 1, FALSE) FROM \"{table}\""
    );
    client.execute(&sql, &[]).await.map_err(|error| failure(&error).error).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_behind_those_it_refers_to() {
        let tables: Tables =
            ["a", "b", "c", "d"].map(|name| (name.to_owned(), Columns::default())).into_iter().collect();
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let mut references =
            BTreeMap::from([("a".to_owned(), set(&["c", "d"])), ("c".to_owned(), set(&["b"]))]);
        assert_eq!(in_order(&tables, &references).unwrap(), ["b", "d", "c", "a"]);
        references.insert("b".to_owned(), set(&["a"]));
        assert!(in_order(&tables, &references).unwrap_err().to_string().contains("refer to each other"));
    }
}
