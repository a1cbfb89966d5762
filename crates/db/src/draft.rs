//! A new database that nobody else may use until it is whole: what restores, moves and demonstrations fill.
//!
//! Whoever opens the place meanwhile is refused, also if the one that filled it was killed; begun again, it is filled from the start. Until
//! it is finished nothing in it was promised to anybody, so its commits needn't reach the disk one by one.

use std::path::Path;
use std::sync::Arc;

use crate::postgres::Postgres;
use crate::sqlite::{Durability, Sqlite};
use crate::{DatabaseUrl, Db, Engine, Error, Progress, postgres, sqlite};

/// A new database that is being filled.
pub struct Draft {
    place: Place,
}

enum Place {
    Sqlite(sqlite::Draft),
    Postgres(Box<postgres::Draft>),
}

impl Draft {
    /// Begins at a place where nothing is but what an earlier draft left, which is removed; any other place is refused, with what is there.
    pub async fn begin(target: &DatabaseUrl) -> Result<Self, Error> {
        let place = match target {
            DatabaseUrl::Sqlite(path) => Place::Sqlite(sqlite::Draft::begin(path).await?),
            DatabaseUrl::Postgres(server) => Place::Postgres(Box::new(postgres::Draft::begin(server).await?)),
        };
        Ok(Self { place })
    }

    /// Opens it, to be filled. It must be closed before the draft is finished.
    pub async fn open(&self) -> Result<Db, Error> {
        let engine = match &self.place {
            Place::Sqlite(draft) => Engine::Sqlite(Sqlite::open(draft.path(), Durability::AtEnd).await?),
            Place::Postgres(draft) => Engine::Postgres(Postgres::open_draft(&draft.lazy_server()).await?),
        };
        Ok(Db { engine: Arc::new(engine) })
    }

    /// Fills it from the first `length` bytes of a file that [`crate::dump`] wrote, and checks what it can of it.
    pub async fn load(&self, file: &Path, length: u64, progress: &Progress) -> Result<(), Error> {
        match &self.place {
            Place::Sqlite(draft) => draft.load(file, length, progress).await,
            Place::Postgres(draft) => draft.load(file, length, progress).await,
        }
    }

    /// Makes it durable, and a database like any other.
    pub async fn finish(self) -> Result<(), Error> {
        match self.place {
            Place::Sqlite(draft) => draft.finish().await,
            Place::Postgres(draft) => draft.finish().await,
        }
    }

    /// The one on PostgreSQL, which alone rows are moved to.
    pub(crate) fn postgres(&self) -> Option<&postgres::Draft> {
        match &self.place {
            Place::Sqlite(_) => None,
            Place::Postgres(draft) => Some(draft),
        }
    }
}

/// An error if there are tables, naming them.
pub(crate) fn refuse_tables(place: &str, tables: &[String]) -> Result<(), Error> {
    if tables.is_empty() {
        return Ok(());
    }
    let counted = count_tables(tables);
    Err(Error::Refused(format!("{place} is not empty: it has {counted}; only an empty place is filled")))
}

/// An error if there are tables and nothing was `applied` that would make them ours: what another program keeps stays as it is.
pub(crate) fn refuse_others(place: &str, tables: &[String], applied: &[(i64, String)]) -> Result<(), Error> {
    if tables.is_empty() || !applied.is_empty() {
        return Ok(());
    }
    let counted = count_tables(tables);
    Err(Error::Refused(format!(
        "{place} is another program's: it has {counted}, none of them Storehouse's, and was left as it is; \
         name another file or database with DATABASE_URL (old data comes in by `storehouse import` and the API)"
    )))
}

/// How many there are, and what the first are called.
fn count_tables(tables: &[String]) -> String {
    const NAMED: usize = 5;
    let named = tables.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match tables.len() {
        1 => format!("the table {named}"),
        count if count > NAMED => format!("{count} tables ({named}, …)"),
        count => format!("{count} tables ({named})"),
    }
}
