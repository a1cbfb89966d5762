//! Writes that are committed together: an open transaction, and who waits for it. They run one after another; if one fails that has changed
//! something, all are run again from the start, each in a savepoint, so that it alone is taken back.

use std::mem::take;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::time::Instant;

use super::connection::Shared;
use super::statement::execute;
use super::syncer::Committed;
use crate::Error;
use crate::closure::{Action, Job, run_at_once};
use crate::error::{Cause, Failure};
use crate::tx::{Link, Tally, Tx, lock};

/// How many batches have savepoints from their start once one had to be run again: a savepoint costs a tenth of a write, so that whoever makes
/// writes fail can't make all of them run twice.
const CAREFUL_BATCHES: u32 = 64;

/// Why nothing can be written any more.
pub(super) type Fatal = String;

/// What the next commit is about to write.
pub(super) struct Batch<'a> {
    connection: &'a Shared,
    tally: &'a Arc<Tally>,
    jobs: Vec<Box<dyn Job>>,
    /// How many of them were kept that changed anything.
    writes: u64,
    /// What they want done once it is durable.
    actions: Vec<Action>,
    savepoints: Savepoints,
    /// How many of the next batches are to have savepoints.
    careful: u32,
}

/// Whether each write of a batch can be taken back by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Savepoints {
    None,
    Each,
}

impl<'a> Batch<'a> {
    pub(super) fn new(connection: &'a Shared, tally: &'a Arc<Tally>) -> Self {
        Self {
            connection,
            tally,
            jobs: Vec::new(),
            writes: 0,
            actions: Vec::new(),
            savepoints: Savepoints::None,
            careful: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Runs more writes. Where the whole transaction comes to nothing, all are answered so.
    pub(super) fn extend(&mut self, more: impl IntoIterator<Item = Box<dyn Job>>) -> Result<(), Fatal> {
        let first = self.jobs.len();
        self.jobs.extend(more);
        if first == self.jobs.len() {
            return Ok(());
        }
        self.run_from(first).or_else(|failure| self.fail(&failure))
    }

    /// Commits; what it was is to be synced and answered. Nothing if that failed, which was answered.
    pub(super) fn commit(&mut self) -> Result<Option<Committed>, Fatal> {
        let begun = Instant::now();
        if let Err(failure) = commit(self.connection) {
            return self.fail(&failure).map(|()| None);
        }
        let (jobs, actions) = (take(&mut self.jobs), take(&mut self.actions));
        Ok(Some(Committed { jobs, writes: self.writes, actions, begun }))
    }

    /// Uses the connection between two transactions.
    pub(super) fn between<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        work(&lock(self.connection))
    }

    /// Rolls back, and answers all with this.
    pub(super) fn give_up(&mut self, error: &Error) {
        let _ = roll_back(self.connection, &error.clone().into());
        self.answer(error);
    }

    fn run_from(&mut self, first: usize) -> Result<(), Failure> {
        if first == 0 {
            self.begin()?;
        }
        if self.run_each(first)? {
            return Ok(());
        }
        control(&lock(self.connection), "ROLLBACK")?;
        self.careful = CAREFUL_BATCHES;
        self.begin()?;
        self.run_each(0).map(|_| ())
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.savepoints = if self.careful > 0 { Savepoints::Each } else { Savepoints::None };
        self.careful = self.careful.saturating_sub(1);
        self.writes = 0;
        self.actions.clear();
        control(&lock(self.connection), "BEGIN IMMEDIATE")
    }

    /// False if one has to be taken back that has no savepoint.
    fn run_each(&mut self, first: usize) -> Result<bool, Failure> {
        for job in self.jobs.iter_mut().skip(first) {
            match run_one(self.connection, self.tally, job.as_mut(), self.savepoints)? {
                Ran::Kept { changed, actions } => {
                    self.writes += if changed { job.writes() } else { 0 };
                    self.actions.extend(actions);
                }
                Ran::TakenBack => {}
                Ran::ToTakeBack => return Ok(false),
            }
        }
        Ok(true)
    }

    fn fail(&mut self, failure: &Failure) -> Result<(), Fatal> {
        let fatal = roll_back(self.connection, failure);
        self.answer(&failure.error);
        fatal.map_or(Ok(()), Err)
    }

    fn answer(&mut self, error: &Error) {
        self.jobs.drain(..).for_each(|job| job.answer(Some(error.clone())));
    }
}

/// What became of one write.
enum Ran {
    Kept { changed: bool, actions: Vec<Action> },
    TakenBack,
    ToTakeBack,
}

/// Runs one write. It is an error here only if the whole transaction is gone.
fn run_one(
    connection: &Shared,
    tally: &Arc<Tally>,
    job: &mut dyn Job,
    savepoints: Savepoints,
) -> Result<Ran, Failure> {
    let changes_before = start_one(&lock(connection), savepoints)?;
    let tx = Tx::writing(Link::Sqlite(Arc::clone(connection)), tally);
    let keep = run_at_once(job, &tx);
    let (failure, actions) = tx.end();
    let connection = lock(connection);
    if connection.is_autocommit() {
        return Err(failure.map_or_else(transaction_gone, whole_transaction));
    }
    if let Some(failure) = failure.filter(|failure| failure.cause == Cause::SyncRefused) {
        return Err(failure);
    }
    let changed = connection.total_changes() != changes_before;
    if savepoints == Savepoints::Each {
        if !keep {
            control(&connection, "ROLLBACK TO one_write")?;
        }
        control(&connection, "RELEASE one_write")?;
    }
    Ok(match savepoints {
        _ if keep => Ran::Kept { changed, actions },
        Savepoints::None if changed => Ran::ToTakeBack,
        Savepoints::None | Savepoints::Each => Ran::TakenBack,
    })
}

/// Opens a write's savepoint if it is to have one, and says how many rows the connection has changed so far.
fn start_one(connection: &Connection, savepoints: Savepoints) -> Result<u64, Failure> {
    if savepoints == Savepoints::Each {
        control(connection, "SAVEPOINT one_write")?;
    }
    Ok(connection.total_changes())
}

/// A full disk, or an I/O error, rolls back the whole transaction, and with it the writes before this one.
fn whole_transaction(failure: Failure) -> Failure {
    match failure.error {
        Error::DiskFull | Error::Unavailable(_) => failure,
        other => Failure { error: Error::Unavailable(other.to_string()), cause: failure.cause },
    }
}

fn transaction_gone() -> Failure {
    Error::Unavailable("the transaction was ended by one of its own statements".to_owned()).into()
}

fn commit(connection: &Shared) -> Result<(), Failure> {
    let connection = lock(connection);
    control(&connection, "COMMIT").map_err(|failure| match failure.cause {
        // The log holds the commit, whole or in part, so the next start may find it there.
        Cause::SyncRefused => Failure { error: Error::OutcomeUnknown, cause: Cause::SyncRefused },
        _ => whole_transaction(failure),
    })?;
    if connection.is_autocommit() {
        return Ok(());
    }
    Err(Error::Internal("COMMIT left the transaction open".to_owned()).into())
}

/// Cleans up after a transaction that came to nothing. Answers with a reason if the writer must stop for good.
fn roll_back(connection: &Shared, cause: &Failure) -> Option<String> {
    let connection = lock(connection);
    if !connection.is_autocommit() {
        let _ = control(&connection, "ROLLBACK");
    }
    if cause.cause == Cause::SyncRefused {
        return Some("the operating system refused to make a write durable".to_owned());
    }
    (!connection.is_autocommit()).then(|| "a transaction could not be rolled back".to_owned())
}

fn control(connection: &Connection, sql: &str) -> Result<(), Failure> {
    execute(connection, sql, &[]).map(|_| ())
}
