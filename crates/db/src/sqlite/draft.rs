//! A new database under another name, which it loses when it is whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::OpenFlags;

use super::connection::{beside, open, private_file, private_folder};
use super::dump::{check, damaged};
use super::{blocking, rows};
use crate::{Error, Progress};

/// What follows the database's name until it is whole.
const UNFINISHED: &str = ".unfinished";

/// What SQLite and we have beside a database.
const BESIDE: [&str; 4] = ["-wal", "-shm", "-journal", ".lock"];

/// A new file that is being filled.
pub(crate) struct Draft {
    target: PathBuf,
    path: PathBuf,
    /// Keeps others from beginning one too.
    _alone: File,
}

/// An error while a draft stands beside the place of the database: it may be half filled, and an empty database in its place would pass for all there is.
pub(super) fn refuse_unfinished(path: &Path) -> Result<(), Error> {
    let draft = beside(path, UNFINISHED);
    if !draft.exists() {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{} was begun and is not finished: let the command that fills it end, run it again, or remove that file",
        draft.display()
    )))
}

impl Draft {
    pub(crate) async fn begin(target: &Path) -> Result<Self, Error> {
        let target = target.to_owned();
        blocking(move || Self::start(target)).await
    }

    fn start(target: PathBuf) -> Result<Self, Error> {
        if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            private_folder(folder).map_err(|error| unavailable(folder, &error))?;
        }
        let path = beside(&target, UNFINISHED);
        let alone = lock(&target)?;
        refuse_what_is_there(&target)?;
        remove(&path)?;
        private_file(&path).and_then(|file| file.sync_all()).map_err(|error| unavailable(&path, &error))?;
        sync_folder(&path)?;
        Ok(Self { target, path, _alone: alone })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn load(&self, file: &Path, length: u64, progress: &Progress) -> Result<(), Error> {
        let (from, to, progress) = (file.to_owned(), self.path.clone(), Arc::clone(progress));
        blocking(move || {
            copy(&from, &to, length, &progress).map_err(|error| unavailable(&to, &error))?;
            progress("checking", 0, None);
            check(&to)
        })
        .await
    }

    pub(crate) async fn finish(self) -> Result<(), Error> {
        blocking(move || self.rename()).await
    }

    /// All of it must be in the one file that gets the name.
    fn rename(&self) -> Result<(), Error> {
        let failed = |error| unavailable(&self.path, &error);
        let log = beside(&self.path, "-wal");
        if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            return Err(Error::Internal(format!("{} was not taken back", log.display())));
        }
        for suffix in BESIDE {
            remove_file(&beside(&self.path, suffix))?;
            // Of a table-less file that stood at the place.
            if suffix != ".lock" {
                remove_file(&beside(&self.target, suffix))?;
            }
        }
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(failed)?;
        fs::rename(&self.path, &self.target).map_err(failed)?;
        sync_folder(&self.target)
    }
}

fn lock(target: &Path) -> Result<File, Error> {
    let name = beside(target, ".lock");
    let file = private_file(&name).map_err(|error| unavailable(&name, &error))?;
    file.try_lock().map_err(|_| {
        Error::Refused(format!("{} is being opened or filled by another command", target.display()))
    })?;
    Ok(file)
}

/// Only a file without tables may be there.
fn refuse_what_is_there(target: &Path) -> Result<(), Error> {
    let log = beside(target, "-wal");
    if !target.exists() {
        return if log.exists() {
            Err(Error::Refused(format!(
                "{} is there without its database: move it away if it is not needed",
                log.display()
            )))
        } else {
            Ok(())
        };
    }
    let connection = open(target, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let tables: Vec<String> = damaged(target, rows(&connection, sql, &[], |row| row.get(0)))?;
    crate::draft::refuse_tables(&target.display().to_string(), &tables)
}

fn copy(from: &Path, to: &Path, length: u64, progress: &Progress) -> io::Result<()> {
    let (mut from, mut to) = (File::open(from)?.take(length), private_file(to)?);
    let (mut buffer, mut done) = (vec![0; 1 << 20], 0);
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        to.write_all(buffer.get(..count).unwrap_or_default())?;
        done += count as u64;
        progress("copying", done, Some(length));
    }
    if done < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    to.sync_all()
}

fn remove(path: &Path) -> Result<(), Error> {
    BESIDE.iter().try_for_each(|suffix| remove_file(&beside(path, suffix)))?;
    remove_file(path)
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unavailable(path, &error)),
        _ => Ok(()),
    }
}

/// A name is on the disk only when its folder is.
fn sync_folder(file: &Path) -> Result<(), Error> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unavailable(folder, &error))
}

fn unavailable(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => Error::DiskFull,
        _ => Error::Unavailable(format!("{}: {error}", path.display())),
    }
}
