//! A whole database in a file: one consistent snapshot, taken while others write.

use std::path::Path;

use crate::{DatabaseUrl, Error, Progress, postgres, sqlite};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dumped {
    /// The number of the last migration that was applied to it.
    pub schema: u32,
}

/// Writes the database into an empty file, reads it back whole, and says what it holds: a SQLite database without free pages, or an archive
/// of `pg_dump`. It is not synced.
pub async fn dump(from: &DatabaseUrl, into: &Path, progress: &Progress) -> Result<Dumped, Error> {
    match from {
        DatabaseUrl::Sqlite(path) => sqlite::dump(path, into, progress).await,
        DatabaseUrl::Postgres(server) => postgres::dump(server, into, progress).await,
    }
}

impl Dumped {
    /// From the migrations that were found in it.
    pub(crate) fn of(applied: &[(i64, String)]) -> Result<Self, Error> {
        let last = applied.last().and_then(|(number, _)| u32::try_from(*number).ok());
        last.map(|schema| Self { schema }).ok_or_else(no_database)
    }
}

/// It is a database, but none of ours.
pub(crate) fn no_database() -> Error {
    Error::Refused("this is no database of Storehouse: no migration was ever applied to it".to_owned())
}
