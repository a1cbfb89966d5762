//! Every row of every table, to tell whether anything has changed.

use std::collections::BTreeMap;

use ::db::{Db, Error, Row};
use futures_util::FutureExt;
use storehouse::migrations::MIGRATIONS;
use uuid::Uuid;

/// All rows of all tables of the migrations but the audit log's, which tells of denials too; each as a line of text.
pub(crate) async fn dump(db: &Db) -> Vec<String> {
    let tables = tables();
    let read = db.read(tables, |tx, tables| {
        async move {
            let mut rows = Vec::new();
            for (table, columns) in tables {
                let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
                let sql = format!("SELECT {} FROM {table}", names.join(", "));
                rows.extend(tx.rows(&sql, &[], |row| line(table, columns, row)).await?);
            }
            rows.sort();
            Ok::<_, Error>(rows)
        }
        .boxed()
    });
    read.await.unwrap()
}

/// Columns with their types.
type Columns = Vec<(String, String)>;

/// A table, and its columns.
type Table = (String, Columns);

fn tables() -> Vec<Table> {
    let sql: String = MIGRATIONS.iter().map(|migration| migration.sqlite).collect();
    let bodies = sql.split("CREATE TABLE ").skip(1).map(|rest| rest.split_once("\n)").unwrap().0.to_owned());
    let tables = bodies.map(|body| {
        let (name, columns) = body.split_once('(').unwrap();
        (name.trim().to_owned(), columns.lines().filter_map(column).collect())
    });
    // A table that was made anew stands twice.
    let mut tables: BTreeMap<String, Columns> = tables.collect();
    // When a key was used is stored some time later.
    let keys = tables.get_mut("api_keys").expect("a table of keys");
    keys.retain(|(name, _)| name != "last_used_at");
    assert!(tables.len() >= 14, "the migrations can't be read: {tables:?}");
    with_added(&sql, tables)
}

/// The tables with the columns that later migrations added.
fn with_added(sql: &str, mut tables: BTreeMap<String, Columns>) -> Vec<Table> {
    for statement in sql.split("ALTER TABLE ").skip(1).filter_map(|rest| rest.split(';').next()) {
        let Some((name, added)) = statement.split_once(" ADD COLUMN ") else { continue };
        tables.get_mut(name.trim()).expect("a table to add to").extend(column(added));
    }
    tables.into_iter().filter(|(name, _)| !name.starts_with("audit_")).collect()
}

fn column(line: &str) -> Option<(String, String)> {
    let mut words = line.trim().trim_end_matches(',').split(' ');
    let (name, kind) = (words.next()?, words.next()?);
    (name != "CONSTRAINT").then(|| (name.to_owned(), kind.to_owned()))
}

fn line(table: &str, columns: &[(String, String)], row: &Row<'_>) -> Result<String, Error> {
    let mut cells = vec![table.to_owned()];
    for (index, (name, kind)) in columns.iter().enumerate() {
        let cell = match kind.as_str() {
            "UUID" => format!("{:?}", row.get::<Option<Uuid>>(index)?),
            "BIGINT" | "INTEGER" => format!("{:?}", row.get::<Option<i64>>(index)?),
            "BOOLEAN" => format!("{:?}", row.get::<Option<bool>>(index)?),
            "BLOB" => format!("{:?}", row.get::<Option<Vec<u8>>>(index)?),
            _ => format!("{:?}", row.get::<Option<String>>(index)?),
        };
        cells.push(format!("{name}={cell}"));
    }
    Ok(cells.join(" "))
}
