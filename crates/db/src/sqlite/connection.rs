//! Opening the file.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{draft, migrate};
use crate::Error;
use crate::error::Failure;

/// Older versions can corrupt a database in WAL mode that several connections use.
const OLDEST_VERSION: i32 = 3_051_003;
const STATEMENTS_KEPT: usize = 200;
const BUSY_STEP: Duration = Duration::from_micros(100);
/// About five seconds, since a step takes half as long again as it asks for.
const BUSY_STEPS: i32 = 32_000;

/// How the connection that writes is set. Commits are made durable by `syncer`, after which alone they are answered; SQLite itself
/// syncs what a crash must not find half done (`synchronous = NORMAL`). The log is taken back by `checkpointer`; should that not come to
/// it, a commit does. What is deleted is overwritten, so that what was personal is in no free page (decision 0019). A commit that split a page looks at each page of the cache, so that one is small. Public for what is measured beside it.
pub const WRITER_SETTINGS: &str = "
    PRAGMA synchronous = NORMAL;
    PRAGMA foreign_keys = ON;
    PRAGMA recursive_triggers = ON;
    PRAGMA secure_delete = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -8192;
    PRAGMA wal_autocheckpoint = 16000;
    PRAGMA journal_size_limit = 67108864;";

const READER_SETTINGS: &str = "
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -8192;";

/// A connection that its users pass around; only one uses it at a time.
pub(super) type Shared = Arc<Mutex<Connection>>;

/// Makes the folder and the file if they are not there, readable by nobody else, and sets the journal mode that the file keeps.
pub(super) fn create(path: &Path) -> Result<(), Failure> {
    if rusqlite::version_number() < OLDEST_VERSION {
        let found = rusqlite::version();
        return Err(Error::Internal(format!("SQLite {found} is too old: 3.51.3 or newer is needed")).into());
    }
    let unavailable = |error| Error::Unavailable(format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private_folder(folder).map_err(unavailable)?;
    }
    draft::refuse_unfinished(path)?;
    // Two processes that convert a new file to WAL at the same moment would meet an error that no waiting cures.
    let _alone = lock_file(path)?;
    private_file(path).map_err(unavailable)?;
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    migrate::refuse_others(&connection, path)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    Err(Error::Internal(format!(
        "{} cannot use a write-ahead log: its file system does not allow it",
        path.display()
    ))
    .into())
}

/// Holds the lock beside the database until it is dropped.
pub(super) fn lock_file(path: &Path) -> Result<File, Error> {
    let name = beside(path, ".lock");
    private_file(&name)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| Error::Unavailable(format!("{}: {error}", name.display())))
}

/// The write-ahead log of an open connection, which stays the same file for as long as one is open. SQLite has it beside the file that a
/// link leads to.
pub(super) fn open_log(connection: &Connection, path: &Path) -> Result<File, Failure> {
    // It is made by the first read.
    connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let opened =
        path.canonicalize().and_then(|path| OpenOptions::new().write(true).open(beside(&path, "-wal")));
    Ok(opened.map_err(|error| Error::Unavailable(format!("the log of {}: {error}", path.display())))?)
}

/// A file beside the database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The connection that writes.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Failure> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch(WRITER_SETTINGS)?;
    Ok(connection)
}

/// A connection that cannot write.
pub(super) fn open_reader(path: &Path) -> Result<Shared, Failure> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.execute_batch(READER_SETTINGS)?;
    Ok(Arc::new(Mutex::new(connection)))
}

pub(super) fn open(path: &Path, access: OpenFlags) -> Result<Connection, Failure> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    let wait = |steps: i32| {
        sleep(BUSY_STEP);
        steps < BUSY_STEPS
    };
    // Short even steps: SQLite's own growing ones cost a fifth of the rate when two processes write.
    connection.busy_handler(Some(wait))?;
    // A plan that may look at arguments is made anew for each of them, which cost a third of a read by key.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

pub(super) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
