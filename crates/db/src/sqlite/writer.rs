//! The one thread that writes: it takes all the writes that wait, runs one after another, and commits them together. If one fails that has
//! changed something, they are all run again from the start, each in a savepoint, so that it alone is taken back.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::connection::Shared;
use super::measures::Measures;
use super::statement::execute;
use crate::Error;
use crate::closure::{Action, Job, Message, run_actions, stopped};
use crate::error::{Cause, Failure};
use crate::tx::{Access, Link, Tx, lock};

const BATCH: usize = 256;
/// How many batches have savepoints from their start once one had to be run again: a savepoint costs a tenth of a write, so that whoever makes
/// writes fail can't make all of them run twice.
const CAREFUL_BATCHES: u32 = 64;

/// How the writer is.
pub(super) enum State {
    Running,
    Closed,
    Failed(String),
}

/// Serves the queue until it is closed, or until the disk can no longer be trusted.
pub(super) fn run(
    connection: &Shared,
    queue: &mut mpsc::Receiver<Message>,
    state: &watch::Sender<State>,
    measures: &Measures,
) {
    let mut messages = Vec::with_capacity(BATCH);
    let mut careful = 0;
    while queue.blocking_recv_many(&mut messages, BATCH) > 0 {
        let jobs = jobs(&mut messages, queue);
        let Some(reason) = commit_together(connection, jobs, &mut careful, measures) else { continue };
        tracing::error!(reason, "the writer has stopped for good");
        queue.close();
        refuse_rest(queue);
        state.send_replace(State::Failed(reason));
        return;
    }
    // What a checkpoint leaves undone, the next start does.
    let _ = lock(connection).execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    state.send_replace(State::Closed);
}

fn jobs(messages: &mut Vec<Message>, queue: &mut mpsc::Receiver<Message>) -> Vec<Box<dyn Job>> {
    let mut jobs = Vec::with_capacity(messages.len());
    for message in messages.drain(..) {
        match message {
            Message::Run(job) => jobs.push(job),
            Message::Close => queue.close(),
        }
    }
    jobs
}

fn refuse_rest(queue: &mut mpsc::Receiver<Message>) {
    while let Some(message) = queue.blocking_recv() {
        if let Message::Run(job) = message {
            job.answer(Some(stopped()));
        }
    }
}

/// What one commit is about to make durable.
#[derive(Default)]
struct Batch {
    /// How many writes were kept that changed anything.
    writes: u64,
    /// What they want done after the commit.
    actions: Vec<Action>,
}

/// One transaction for all these writes. Answers with a reason if the writer must stop for good.
fn commit_together(
    connection: &Shared,
    mut jobs: Vec<Box<dyn Job>>,
    careful: &mut u32,
    measures: &Measures,
) -> Option<String> {
    let outcome = run_together(connection, &mut jobs, careful).and_then(|batch| {
        timed_commit(connection, batch.writes, measures)?;
        Ok(batch.actions)
    });
    let (error, fatal) = match outcome {
        Ok(actions) => {
            run_actions(actions);
            (None, None)
        }
        Err(failure) => {
            let fatal = roll_back(connection, &failure);
            (Some(failure.error), fatal)
        }
    };
    for job in jobs {
        job.answer(error.clone());
    }
    fatal
}

/// Runs the writes in a transaction that is then ready to be committed. `careful` counts the batches that are to have savepoints.
fn run_together(connection: &Shared, jobs: &mut [Box<dyn Job>], careful: &mut u32) -> Result<Batch, Failure> {
    if *careful == 0 {
        if let Some(batch) = run_all(connection, jobs, Savepoints::None)? {
            return Ok(batch);
        }
        control(&lock(connection), "ROLLBACK")?;
        *careful = CAREFUL_BATCHES;
    }
    *careful -= 1;
    let batch = run_all(connection, jobs, Savepoints::Each)?;
    batch.ok_or_else(|| Error::Internal("a savepoint was of no use".to_owned()).into())
}

/// Whether each write of a batch can be taken back by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Savepoints {
    None,
    Each,
}

/// Begins a transaction and runs the writes in it. Nothing if one has to be taken back and has no savepoint.
fn run_all(
    connection: &Shared,
    jobs: &mut [Box<dyn Job>],
    savepoints: Savepoints,
) -> Result<Option<Batch>, Failure> {
    control(&lock(connection), "BEGIN IMMEDIATE")?;
    let mut batch = Batch::default();
    for job in jobs {
        if !run_one(connection, job.as_mut(), savepoints, &mut batch)? {
            return Ok(None);
        }
    }
    Ok(Some(batch))
}

/// Runs one write; false if it has to be taken back and has no savepoint. It is an error here only if the whole transaction is gone.
fn run_one(
    connection: &Shared,
    job: &mut dyn Job,
    savepoints: Savepoints,
    batch: &mut Batch,
) -> Result<bool, Failure> {
    let changes_before = start_one(&lock(connection), savepoints)?;
    let tx = Tx::new(Link::Sqlite(Arc::clone(connection)), Access::Write);
    let keep = job.run(&tx);
    let (failure, wanted) = tx.end();
    let connection = lock(connection);
    if connection.is_autocommit() {
        return Err(failure.map_or_else(transaction_gone, whole_transaction));
    }
    if let Some(failure) = failure.filter(|failure| failure.cause == Cause::SyncRefused) {
        return Err(failure);
    }
    let changed = connection.total_changes() != changes_before;
    if keep {
        batch.writes += u64::from(changed);
        batch.actions.extend(wanted);
    }
    match savepoints {
        Savepoints::None => return Ok(keep || !changed),
        Savepoints::Each if keep => {}
        Savepoints::Each => control(&connection, "ROLLBACK TO one_write")?,
    }
    control(&connection, "RELEASE one_write").map(|()| true)
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

/// A commit of nothing, as after a question whether the writer is there, needs no sync and is not measured.
fn timed_commit(connection: &Shared, writes: u64, measures: &Measures) -> Result<(), Failure> {
    let begun = Instant::now();
    commit(connection)?;
    if writes > 0 {
        measures.commit_time.observe_time(begun.elapsed());
        measures.batch_size.observe(writes);
    }
    Ok(())
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
