//! The one thread that writes: it takes all the writes that wait, runs each in a savepoint, and commits them together.

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
    while queue.blocking_recv_many(&mut messages, BATCH) > 0 {
        let jobs = jobs(&mut messages, queue);
        let Some(reason) = commit_together(connection, jobs, measures) else { continue };
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
fn commit_together(connection: &Shared, mut jobs: Vec<Box<dyn Job>>, measures: &Measures) -> Option<String> {
    let mut batch = Batch::default();
    let outcome = begin(connection)
        .and_then(|()| jobs.iter_mut().try_for_each(|job| run_one(connection, job.as_mut(), &mut batch)))
        .and_then(|()| timed_commit(connection, batch.writes, measures));
    let fatal = match &outcome {
        Ok(()) => None,
        Err(failure) => roll_back(connection, failure),
    };
    if outcome.is_ok() {
        run_actions(batch.actions);
    }
    let error = outcome.err().map(|failure| failure.error);
    for job in jobs {
        job.answer(error.clone());
    }
    fatal
}

fn begin(connection: &Shared) -> Result<(), Failure> {
    control(&lock(connection), "BEGIN IMMEDIATE")
}

/// Runs one write in a savepoint of its own. It is an error here only if the whole transaction is gone.
fn run_one(connection: &Shared, job: &mut dyn Job, batch: &mut Batch) -> Result<(), Failure> {
    let changes_before = open_savepoint(&lock(connection))?;
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
    if keep {
        batch.writes += u64::from(connection.total_changes() > changes_before);
        batch.actions.extend(wanted);
    } else {
        control(&connection, "ROLLBACK TO one_write")?;
    }
    control(&connection, "RELEASE one_write")
}

/// Opens a write's savepoint, and says how many rows the connection has changed so far.
fn open_savepoint(connection: &Connection) -> Result<u64, Failure> {
    control(connection, "SAVEPOINT one_write")?;
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
