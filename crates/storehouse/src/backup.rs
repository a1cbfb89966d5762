//! `storehouse backup`: the whole database in a file, while it is written to.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use db::DatabaseUrl;
use kit::clock::{Clock, Timestamp};
use tokio::time::Instant;

use crate::backup_file::{engine, seal};
use crate::files::is_stream;
use crate::migrate::spare_database;
use crate::progress::Progress;
use crate::runtime::block_on;
use crate::settings::Settings;

/// What follows a backup's name until it is whole.
pub(crate) const UNFINISHED: &str = ".unfinished";

/// A backup that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) bytes: u64,
    pub(crate) schema: u32,
}

/// Makes it and says so. A file that is there is replaced only by force.
pub(crate) fn run(settings: &Settings, file: &Path, force: bool) -> Result<String> {
    ensure_file(file)?;
    ensure!(force || !file.exists(), "{} is there already: give another name, or --force", file.display());
    spare_database(settings, file)?;
    let (begun, progress) = (Instant::now(), Progress::new());
    let url = &settings.database_url;
    let made = block_on(make(url, file, Clock::default().now(), &progress.of_database()));
    progress.clear();
    let Made { bytes, schema } = made.with_context(|| format!("can't back up {url}"))?;
    Ok(format!(
        "{url} is in {}: {}, schema version {schema}, in {:.1} s.\n",
        file.display(),
        size(bytes),
        begun.elapsed().as_secs_f64()
    ))
}

/// A backup is read back before it is good, and a stream can't be: what `-` means elsewhere, it can't mean here.
pub(crate) fn ensure_file(file: &Path) -> Result<()> {
    ensure!(!is_stream(file), "a backup is a file that is checked as a whole: - is none (./- would be)");
    Ok(())
}

/// Writes a backup under another name, reads it back, and gives it its name when it is whole and on the disk.
pub(crate) async fn make(
    url: &DatabaseUrl,
    file: &Path,
    now: Timestamp,
    progress: &db::Progress,
) -> Result<Made> {
    let part = Part::create(file)?;
    let dumped = db::dump(url, &part.path, progress).await?;
    let engine = engine(url);
    let finish = move || {
        let bytes = part.finish(|file| seal(file, engine, dumped.schema, now))?;
        Ok(Made { bytes, schema: dumped.schema })
    };
    tokio::task::spawn_blocking(finish).await?
}

/// A backup that is being written; removed if it comes to nothing.
struct Part {
    path: PathBuf,
    target: PathBuf,
    /// Locked, so that two commands don't write the same.
    file: File,
}

impl Part {
    /// A new file, even where a killed command left one: what it started may write to that one for a moment more.
    fn create(target: &Path) -> Result<Self> {
        let mut path = target.as_os_str().to_owned();
        path.push(UNFINISHED);
        let path = PathBuf::from(path);
        let failed = || format!("can't write {}", path.display());
        match File::open(&path) {
            Ok(left) => {
                lock(&left, target)?;
                fs::remove_file(&path).with_context(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(failed),
        }
        let created = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = created.with_context(failed)?;
        lock(&file, target)?;
        Ok(Self { path, target: target.to_owned(), file })
    }

    fn finish<T>(mut self, complete: impl FnOnce(&mut File) -> io::Result<T>) -> Result<T> {
        let completed = complete(&mut self.file).and_then(|completed| {
            fs::rename(&self.path, &self.target)?;
            let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(completed)
        });
        completed.with_context(|| format!("can't write {}", self.target.display()))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // When it is finished it has another name.
        let _ = fs::remove_file(&self.path);
    }
}

fn lock(file: &File, target: &Path) -> Result<()> {
    file.try_lock().map_err(|_| anyhow!("another command is writing {}", target.display()))
}

/// `12.3 MB`
pub(crate) fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let (mut size, mut unit) = (bytes as f64 / 1000.0, 0);
    while size >= 999.95 && unit + 1 < units.len() {
        size /= 1000.0;
        unit += 1;
    }
    format!("{size:.1} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in
            [(0, "0.0 kB"), (12_345, "12.3 kB"), (999_960, "1.0 MB"), (7_000_000_000, "7.0 GB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
