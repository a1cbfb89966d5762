//! Moving a whole SQLite database to a new PostgreSQL one.
//!
//! Both catalogues say which tables and columns there are, and they must agree, so no table can be forgotten. Rows are read in batches and
//! written as they come; what arrived is read back, and must have the same count and checksum in every table. What PostgreSQL alone has
//! must have a default; a series of numbers, which SQLite keeps in a guard row, goes on where it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::migration::{self, Migration};
use crate::sqlite::{Source, blocking};
use crate::value::{Kept, Row, Value};
use crate::{DatabaseUrl, Draft, Error, Progress, postgres};

/// So many batches are in memory at most.
const BATCHES: usize = 4;

/// The table that the migrations themselves fill.
const OF_MIGRATIONS: &str = "schema_migrations";

/// A table that was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its name.
    pub table: String,
    /// How many rows it has.
    pub rows: u64,
}

/// A SQLite database that is going to be moved. Nobody else can use it while this lives, and nothing is written to it.
pub struct Movable {
    source: Source,
    migrations: &'static [Migration],
}

impl Movable {
    /// Opens it. An error if it isn't at exactly these migrations, or anybody has it open.
    pub async fn open(from: &DatabaseUrl, migrations: &'static [Migration]) -> Result<Self, Error> {
        let DatabaseUrl::Sqlite(path) = from else {
            return Err(Error::Refused("only a SQLite database is moved".to_owned()));
        };
        let path = path.clone();
        let source = blocking(move || open_source(&path, migrations)).await?;
        Ok(Self { source, migrations })
    }
}

/// Moves all of it into a draft on PostgreSQL.
pub async fn transfer(from: Movable, draft: &Draft, progress: &Progress) -> Result<Vec<Moved>, Error> {
    let target = draft
        .postgres()
        .ok_or_else(|| Error::Refused("a database is moved to PostgreSQL alone".to_owned()))?;
    postgres::fill(target, from.source, from.migrations, progress).await
}

fn open_source(path: &Path, migrations: &[Migration]) -> Result<Source, Error> {
    let source = Source::open(path)?;
    let missing = migration::missing(&source.applied()?, migrations)?;
    if missing.is_empty() {
        return Ok(source);
    }
    Err(Error::Refused("this database is of an older version: run `storehouse migrate` first".to_owned()))
}

/// Every table's columns, by its name.
pub(crate) type Tables = BTreeMap<String, Columns>;

/// Some columns of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns(pub(crate) Vec<Column>);

/// A column, as PostgreSQL has it.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether rows may be written without it.
    pub(crate) has_default: bool,
}

/// The dialect's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Text,
    Blob,
    Id,
    /// None of the dialect; no row is moved with it.
    Other,
}

impl Columns {
    /// Their names, as they stand in a statement.
    pub(crate) fn names(&self) -> String {
        self.0.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
    }

    /// The cells of a row that has just these columns.
    pub(crate) fn read(&self, row: &Row<'_>) -> Result<Vec<Kept>, Error> {
        let cell = |(index, column): (usize, &Column)| {
            let value = row.value(index)?;
            column.kind.fit(value).ok_or_else(|| {
                Error::Internal(format!("a value of the column {} is no {:?}", column.name, column.kind))
            })
        };
        self.0.iter().enumerate().map(cell).collect()
    }
}

impl Kind {
    /// A cell as a value of this type: SQLite has a number for a truth, and bytes for an id.
    fn fit(self, value: Value<'_>) -> Option<Kept> {
        let fitting = match (self, value) {
            (_, Value::Null) => Value::Null,
            (Self::Bool, Value::Int(0)) => Value::Bool(false),
            (Self::Bool, Value::Int(1)) => Value::Bool(true),
            (Self::Id, Value::Blob(bytes)) => Value::Id(uuid::Uuid::from_slice(bytes).ok()?),
            (Self::Bool, Value::Bool(_))
            | (Self::Int, Value::Int(_))
            | (Self::Text, Value::Text(_))
            | (Self::Blob, Value::Blob(_))
            | (Self::Id, Value::Id(_)) => value,
            _ => return None,
        };
        Some(fitting.into())
    }
}

/// Some rows of a table.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<Vec<Kept>>,
    /// About how much memory they take.
    pub(crate) bytes: usize,
}

impl Batch {
    pub(crate) fn add(&mut self, row: Vec<Kept>) {
        self.bytes += row.iter().map(|cell| size_of::<Kept>() + cell.length()).sum::<usize>();
        self.rows.push(row);
    }
}

/// What rows have in common, in whatever order they come: their number, and the sum of their digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) rows: u64,
    sum: u128,
}

impl Checksum {
    pub(crate) fn add(&mut self, row: &[Kept]) {
        let mut digest = Sha256::new();
        row.iter().for_each(|cell| write_canonical(&cell.value(), &mut digest));
        let digest = digest.finalize();
        let mut half = [0; 16];
        half.iter_mut().zip(digest).for_each(|(byte, digest)| *byte = digest);
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(half));
        self.rows += 1;
    }
}

/// A cell's text: a letter for its type, its length where that differs, and what it holds.
fn write_canonical(value: &Value<'_>, digest: &mut Sha256) {
    let mut write = |start: String, bytes: &[u8]| {
        digest.update(start);
        digest.update(bytes);
    };
    match value {
        Value::Null => write("n".to_owned(), &[]),
        Value::Bool(value) => write(format!("t{}", u8::from(*value)), &[]),
        Value::Int(value) => write(format!("i{value};"), &[]),
        Value::Text(text) => write(format!("s{}:", text.len()), text.as_bytes()),
        Value::Blob(bytes) => write(format!("b{}:", bytes.len()), bytes),
        Value::Id(id) => write("u".to_owned(), id.as_bytes()),
    }
}

/// What is to be moved: the columns that both have, of the tables of both.
pub(crate) fn agree(source: &[(String, String)], target: &Tables) -> Result<Tables, Error> {
    let mut tables = Tables::new();
    for (table, name) in source.iter().filter(|(table, _)| table != OF_MIGRATIONS) {
        let known =
            target.get(table).and_then(|columns| columns.0.iter().find(|column| column.name == *name));
        let column = known.filter(|column| column.kind != Kind::Other);
        let column = column.ok_or_else(|| differ(&format!("{table}.{name} is in SQLite alone")))?;
        tables.entry(table.clone()).or_default().0.push(column.clone());
    }
    for (table, columns) in target.iter().filter(|(table, _)| *table != OF_MIGRATIONS) {
        let moved = tables.get(table).ok_or_else(|| differ(&format!("{table} is in PostgreSQL alone")))?;
        let is_left = |column: &&Column| !moved.0.iter().any(|moved| moved.name == column.name);
        if let Some(left) = columns.0.iter().filter(is_left).find(|column| !column.has_default) {
            return Err(differ(&format!("{table}.{} is in PostgreSQL alone and has no default", left.name)));
        }
    }
    Ok(tables)
}

fn differ(how: &str) -> Error {
    Error::Internal(format!("the two databases differ: {how}"))
}

/// Reads a table on a thread of its own. The source comes back when all was read.
pub(crate) fn read_rows(
    source: Source,
    table: String,
    columns: Columns,
) -> (mpsc::Receiver<Batch>, impl Future<Output = Result<Source, Error>>) {
    let (batches, received) = mpsc::channel(BATCHES);
    let reading = blocking(move || {
        source.read(&table, &columns, |batch| batches.blocking_send(batch).is_ok())?;
        Ok(source)
    });
    (received, reading)
}

/// Tells of rows of a table.
pub(crate) fn tell(progress: &Progress, doing: &str, table: &str, rows: u64, of: Option<u64>) {
    Arc::as_ref(progress)(&format!("{doing} {table}"), rows, of);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[Value<'_>]) -> Vec<Kept> {
        cells.iter().map(|cell| (*cell).into()).collect()
    }

    fn sum(rows: &[Vec<Kept>]) -> Checksum {
        let mut checksum = Checksum::default();
        rows.iter().for_each(|row| checksum.add(row));
        checksum
    }

    #[test]
    fn a_checksum_knows_cells_apart_but_not_the_order_of_rows() {
        let (one, two) = (row(&["a".into(), "bc".into()]), row(&["ab".into(), "c".into()]));
        assert_eq!(sum(&[one.clone(), two.clone()]), sum(&[two.clone(), one.clone()]));
        let others = [
            vec![one.clone()],
            vec![two.clone()],
            vec![one.clone(), one.clone()],
            vec![two.clone(), two],
            vec![row(&[Value::Null])],
            vec![row(&["".into()])],
            vec![row(&[Value::Int(0)])],
            vec![row(&[false.into()])],
            vec![row(&[Value::Blob(&[])])],
            vec![row(&[Value::Int(12), Value::Int(3)])],
            vec![row(&[Value::Int(1), Value::Int(23)])],
            vec![],
        ];
        for (index, rows) in others.iter().enumerate() {
            for other in &others[index + 1..] {
                assert_ne!(sum(rows), sum(other));
            }
        }
    }

    #[test]
    fn a_cell_fits_its_columns_type_or_is_refused() {
        let id = [7; 16];
        assert_eq!(Kind::Bool.fit(Value::Int(1)).unwrap().value(), Value::Bool(true));
        assert_eq!(Kind::Id.fit(Value::Blob(&id)).unwrap().value(), Value::Id(uuid::Uuid::from_bytes(id)));
        assert_eq!(Kind::Text.fit(Value::Null).unwrap().value(), Value::Null);
        for (kind, value) in [
            (Kind::Bool, Value::Int(2)),
            (Kind::Id, Value::Blob(&[1])),
            (Kind::Int, Value::Text("1")),
            (Kind::Text, Value::Blob(b"a")),
            (Kind::Other, Value::Int(1)),
        ] {
            assert!(kind.fit(value).is_none(), "{kind:?} {value:?}");
        }
    }

    #[test]
    fn tables_and_columns_must_be_the_same() {
        let column = |name: &str, kind, has_default| Column { name: name.to_owned(), kind, has_default };
        let target = |columns: Vec<Column>| Tables::from([("a".to_owned(), Columns(columns))]);
        let source = [("a".to_owned(), "x".to_owned())];
        let whole = target(vec![column("x", Kind::Int, false), column("own", Kind::Other, true)]);
        assert_eq!(agree(&source, &whole).unwrap()["a"].0.len(), 1);
        for (source, target, word) in [
            (&source[..], target(vec![column("y", Kind::Int, true)]), "a.x is in SQLite alone"),
            (&source[..], target(vec![column("x", Kind::Other, false)]), "a.x is in SQLite alone"),
            (&source[..], Tables::new(), "a.x is in SQLite alone"),
            (&[], whole.clone(), "a is in PostgreSQL alone"),
            (&source[..], target(vec![column("x", Kind::Int, false), column("y", Kind::Int, false)]), "a.y"),
        ] {
            let error = agree(source, &target).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
