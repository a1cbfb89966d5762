//! Writing a database into another file, and looking whether one is whole.
//!
//! `VACUUM INTO` reads one snapshot beside the writer, which waits for nothing; the log can't begin anew meanwhile, as with any reader
//! (decision 0015).

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle, OpenFlags};
use tokio::time::sleep;

use super::connection::open;
use super::{blocking, migrate};
use crate::dump::{Dumped, no_database};
use crate::error::Failure;
use crate::{Error, Progress};

/// How often it is told how far it is.
const LOOK: Duration = Duration::from_millis(200);

/// Ends a statement when nobody waits for it any more.
struct Interrupt(InterruptHandle);

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

/// See [`crate::dump`].
pub(crate) async fn dump(path: &Path, into: &Path, progress: &Progress) -> Result<Dumped, Error> {
    super::draft::refuse_unfinished(path)?;
    if !path.exists() {
        return Err(Error::Refused(format!("there is no database at {}", path.display())));
    }
    write(path, into, progress).await?;
    let (written, progress) = (into.to_owned(), Arc::clone(progress));
    blocking(move || {
        progress("checking", 0, None);
        check(&written)?;
        Dumped::of(&applied(&written)?)
    })
    .await
}

async fn write(path: &Path, into: &Path, progress: &Progress) -> Result<(), Error> {
    let connection = damaged(path, open_for_reading(path))?;
    let size = damaged(path, size(&connection))?;
    let _interrupt = Interrupt(connection.get_interrupt_handle());
    let done = Arc::new(AtomicBool::new(false));
    let (source, target, is_done) = (path.to_owned(), into.to_owned(), Arc::clone(&done));
    let writing = blocking(move || {
        let written = vacuum_into(&connection, &target);
        is_done.store(true, Ordering::Relaxed);
        damaged(&source, written)
    });
    let watching = async {
        while !done.load(Ordering::Relaxed) {
            progress("copying", fs::metadata(into).map_or(0, |file| file.len()), Some(size));
            sleep(LOOK).await;
        }
    };
    let (written, ()) = futures_util::future::join(writing, watching).await;
    written
}

fn open_for_reading(path: &Path) -> Result<Connection, Failure> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn size(connection: &Connection) -> Result<u64, Failure> {
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

fn vacuum_into(connection: &Connection, into: &Path) -> Result<(), Failure> {
    let name =
        into.to_str().ok_or_else(|| Error::Refused(format!("{} is no name in UTF-8", into.display())))?;
    connection.execute("VACUUM INTO ?1", [name])?;
    Ok(())
}

/// Looks at every page and every index of a file that nobody else uses.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    let found = open_for_reading(path).and_then(|connection| {
        let check = "PRAGMA integrity_check(1)";
        Ok(connection.query_row(check, [], |row| row.get::<_, String>(0))?)
    });
    match damaged(path, found)? {
        ok if ok == "ok" => Ok(()),
        fault => Err(damage(path, &fault)),
    }
}

/// The migrations that were applied to a file.
fn applied(path: &Path) -> Result<Vec<(i64, String)>, Error> {
    migrate::applied(&open_for_reading(path)?)?.ok_or_else(no_database)
}

/// Says of what SQLite can't read which file it was, and what helps.
pub(super) fn damaged<T>(path: &Path, found: Result<T, Failure>) -> Result<T, Error> {
    found.map_err(|failure| match failure.error {
        Error::Internal(text) => Error::Refused(format!("{}: {text}", path.display())),
        other => other,
    })
}

fn damage(path: &Path, fault: &str) -> Error {
    let fault = fault.replace('\n', "; ");
    Error::Refused(format!("{}: the database is damaged ({fault}): restore a backup", path.display()))
}
