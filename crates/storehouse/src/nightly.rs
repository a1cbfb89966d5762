//! A backup each night, in a folder with those of the nights before.
//!
//! It is due when the newest good backup there is older than the last time of day that was set; so one that was missed, since nothing ran at that
//! time, is made up for. Of several processes with one folder the one that gets the folder's lock makes it, and who is killed leaves
//! the lock to another.

use std::cmp::Reverse;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use db::DatabaseUrl;
use kit::clock::{Clock, Timestamp};
use kit::metrics::{Counter, Metrics, Text};
use kit::service::{LastBackup, Readiness};
use tracing::{error, info};

use crate::backup::{self, Made, size};
use crate::backup_file::read_seal;

/// How often it is looked whether it is due.
const LOOK: Duration = Duration::from_secs(30);
/// How long after one that failed it is tried again.
const RETRY: Duration = Duration::from_secs(15 * 60);
const DAY: i64 = 24 * 60 * 60 * 1_000_000;
/// What was made so much later than now is of a clock that was wrong; less may be of one that was set back since.
const AHEAD: Duration = Duration::from_secs(25 * 60 * 60);

const BEGINNING: &str = "storehouse-";
const END: &str = ".backup";

/// What is to be backed up, when, and where to.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The database.
    pub url: DatabaseUrl,
    /// Where the backups lie; made if it isn't there.
    pub folder: PathBuf,
    /// The time of day, since midnight in UTC.
    pub time: Duration,
    /// How many are kept.
    pub keep: usize,
}

/// Makes the backups, and knows how they went.
pub(crate) struct Nightly {
    plan: Plan,
    clock: Clock,
    readiness: Readiness,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    made: Counter,
    failed: Counter,
    /// Whether the last attempt here failed.
    is_failing: AtomicBool,
    /// Not before the clock has run for so long is it tried again, in milliseconds.
    retry_at: AtomicU64,
    /// When the newest one was made, in microseconds since 1970; 0 if there is none.
    newest: AtomicI64,
    bytes: AtomicU64,
}

/// A backup in the folder.
struct Kept {
    path: PathBuf,
    made_at: Timestamp,
    bytes: u64,
}

impl Kept {
    fn is_ahead(&self, now: Timestamp) -> bool {
        self.made_at > now.plus(AHEAD)
    }
}

impl Nightly {
    pub(crate) fn new(plan: Plan, clock: Clock, readiness: Readiness, metrics: &Metrics) -> Self {
        let state = Arc::<State>::default();
        let told = Arc::clone(&state);
        metrics.add(move |text| told.write(text));
        let nightly = Self { plan, clock, readiness, state };
        nightly.tell(None);
        nightly
    }

    pub(crate) async fn work(&self) {
        let mut ticks = kit::work::ticks(LOOK);
        loop {
            ticks.tick().await;
            self.run_if_due().await;
        }
    }

    /// Looks in the folder, and makes a backup if there is none since it was last time for one.
    pub(crate) async fn run_if_due(&self) {
        match self.run().await {
            Ok(newest) => self.tell(newest.as_ref()),
            Err(failure) => {
                let again = self.runs_for() + millis(RETRY);
                self.state.retry_at.store(again, Ordering::Relaxed);
                self.state.is_failing.store(true, Ordering::Relaxed);
                self.state.failed.increment();
                error!(
                    cause = format!("{failure:#}"),
                    "the nightly backup failed; it is tried again in 15 minutes"
                );
                self.tell(None);
            }
        }
    }

    async fn run(&self) -> Result<Option<Kept>> {
        let newest = self.newest().await?;
        if !self.is_due(newest.as_ref()) {
            return Ok(newest);
        }
        let Some(_alone) = claim(&self.plan.folder).context("can't use the folder of backups")? else {
            return Ok(newest);
        };
        // Another may have made it just before.
        let newest = self.newest().await?;
        if !self.is_due(newest.as_ref()) {
            return Ok(newest);
        }
        self.make().await.map(Some)
    }

    /// Of those that no wrong clock made.
    async fn newest(&self) -> Result<Option<Kept>> {
        let now = self.clock.now();
        let newest = list(&self.plan.folder, now).await?.into_iter().next();
        Ok(newest.filter(|newest| !newest.is_ahead(now)))
    }

    fn is_due(&self, newest: Option<&Kept>) -> bool {
        if self.runs_for() < self.state.retry_at.load(Ordering::Relaxed) {
            return false;
        }
        newest.is_none_or(|newest| newest.made_at < last_time(self.clock.now(), self.plan.time))
    }

    fn runs_for(&self) -> u64 {
        millis(self.clock.monotonic())
    }

    async fn make(&self) -> Result<Kept> {
        let now = self.clock.now();
        let path = self.plan.folder.join(name(now));
        let Made { bytes, .. } =
            backup::make(&self.plan.url, &path, now, &(Arc::new(|_: &str, _, _| ()) as db::Progress)).await?;
        self.state.made.increment();
        self.state.is_failing.store(false, Ordering::Relaxed);
        info!(file = %path.display(), size = size(bytes), "made the nightly backup");
        remove_old(&self.plan.folder, self.plan.keep, now).await?;
        Ok(Kept { path, made_at: now, bytes })
    }

    /// Says how it stands; without a backup, what was known before stays known.
    fn tell(&self, newest: Option<&Kept>) {
        if let Some(newest) = newest {
            self.state.newest.store(newest.made_at.0, Ordering::Relaxed);
            self.state.bytes.store(newest.bytes, Ordering::Relaxed);
        }
        let made_at =
            Some(Timestamp(self.state.newest.load(Ordering::Relaxed))).filter(|made_at| made_at.0 > 0);
        let age_seconds = made_at.map(|made_at| made_at.age(self.clock.now()).as_secs());
        let result = if self.state.is_failing.load(Ordering::Relaxed) { "failed" } else { "ok" };
        self.readiness.tell_backup(LastBackup { made_at, age_seconds, result });
    }
}

impl State {
    fn write(&self, text: &mut Text) {
        let help = "When the newest nightly backup was made, in seconds since 1970; 0 if there is none.";
        let newest = self.newest.load(Ordering::Relaxed) as f64 / 1e6;
        text.gauge("storehouse_backup_last_success_timestamp_seconds", help, &[], newest);
        let bytes = self.bytes.load(Ordering::Relaxed) as f64;
        text.gauge("storehouse_backup_size_bytes", "Size of the newest nightly backup.", &[], bytes);
        let is_failing = f64::from(u8::from(self.is_failing.load(Ordering::Relaxed)));
        let help = "Whether the last attempt of this process at a nightly backup failed: 1 or 0.";
        text.gauge("storehouse_backup_failing", help, &[], is_failing);
        let help = "Nightly backups that this process tried to make.";
        for (outcome, count) in [("ok", &self.made), ("failed", &self.failed)] {
            text.counter("storehouse_backups_total", help, &[("outcome", outcome)], count.get());
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The last moment at which it was this time of day.
fn last_time(now: Timestamp, time: Duration) -> Timestamp {
    let midnight = Timestamp(now.0 - now.0.rem_euclid(DAY));
    let today = midnight.plus(time);
    if today <= now { today } else { Timestamp(today.0 - DAY) }
}

/// `storehouse-2026-01-31T02-30-00Z.backup`
fn name(now: Timestamp) -> String {
    let moment = now.to_string().replace(':', "-");
    let seconds = moment.split('.').next().unwrap_or_default();
    format!("{BEGINNING}{seconds}Z{END}")
}

/// Whether a file is called as a nightly backup is.
fn is_ours(name: &str) -> bool {
    let moment = name.strip_prefix(BEGINNING).and_then(|name| name.strip_suffix(END));
    moment.is_some_and(|moment| {
        let is_like =
            |(one, other): (u8, u8)| if other == b'0' { one.is_ascii_digit() } else { one == other };
        let like = b"0000-00-00T00-00-00Z";
        moment.len() == like.len() && moment.bytes().zip(*like).all(is_like)
    })
}

/// The good backups in the folder, the newest first. Those of a clock that was ahead are last, so that the next that is made is newer.
async fn list(folder: &Path, now: Timestamp) -> Result<Vec<Kept>> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || list_now(&folder, now)).await?
}

fn list_now(folder: &Path, now: Timestamp) -> Result<Vec<Kept>> {
    let mut found = Vec::new();
    for path in files(folder)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(seal) = is_ours(name).then(|| read_seal(&path).ok()).flatten() {
            let bytes = path.metadata().map_or(0, |file| file.len());
            found.push(Kept { path, made_at: seal.made_at, bytes });
        }
    }
    found.sort_by_key(|kept| (kept.is_ahead(now), Reverse(kept.made_at)));
    Ok(found)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("can't read the folder of backups {}", folder.display());
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => {
            let paths = entries.with_context(unreadable)?.map(|entry| entry.map(|entry| entry.path()));
            paths.collect::<io::Result<_>>().with_context(unreadable)
        }
    }
}

/// The folder's lock, if nobody else has it.
fn claim(folder: &Path) -> Result<Option<File>> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let file =
        File::options().write(true).create(true).truncate(false).mode(0o600).open(folder.join(".lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Removes what is older than the newest ones, and what killed processes left. Called by who has the lock, after a good one.
async fn remove_old(folder: &Path, keep: usize, now: Timestamp) -> Result<()> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || {
        for old in list_now(&folder, now)?.into_iter().skip(keep.max(1)) {
            fs::remove_file(&old.path).with_context(|| format!("can't remove {}", old.path.display()))?;
        }
        let left = files(&folder)?.into_iter().filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.strip_suffix(backup::UNFINISHED).is_some_and(is_ours)
        });
        for path in left {
            fs::remove_file(&path).with_context(|| format!("can't remove {}", path.display()))?;
        }
        Ok(())
    })
    .await?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn the_last_time_is_today_or_yesterday() {
        let time = Duration::from_secs(9000);
        for (now, last) in [
            ("2026-03-01T02:30:00Z", "2026-03-01T02:30:00Z"),
            ("2026-03-01T02:29:59Z", "2026-02-28T02:30:00Z"),
            ("2026-03-01T23:59:59Z", "2026-03-01T02:30:00Z"),
        ] {
            assert_eq!(last_time(at(now), time), at(last));
        }
    }

    #[test]
    fn a_name_tells_the_time_and_is_known_again() {
        let name = name(at("2026-01-31T02:30:07.123Z"));
        assert_eq!(name, "storehouse-2026-01-31T02-30-07Z.backup");
        assert!(is_ours(&name));
        for other in [
            "storehouse-.backup",
            "storehouse-2026-01-31.backup",
            "mine.backup",
            "storehouse-2026-01-31T02-30-07Z.backup.unfinished",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
