//! The one thread that writes: it takes all the writes that wait, runs them in one transaction, commits it, and hands it on to be synced and
//! answered. While a sync runs nothing can be answered, so what comes meanwhile joins the next commit, which follows on the sync.

use std::sync::Arc;

use rusqlite::config::DbConfig;
use tokio::sync::{mpsc, watch};

use super::batch::{Batch, Fatal};
use super::checkpointer::Checkpoints;
use super::connection::Shared;
use super::syncer::{Committed, Synced};
use crate::closure::{Job, Message, stopped};
use crate::tx::{Tally, lock};

const BATCH: usize = 256;

/// How the writer is.
pub(super) enum State {
    Running,
    Closed,
    Failed(String),
}

/// Why the writer stops before its queue is closed.
pub(super) enum Stop {
    /// The syncer or the checkpointer has met a disk that can't be trusted, and has said so.
    Told,
    Fatal(Fatal),
}

impl From<Fatal> for Stop {
    fn from(reason: Fatal) -> Self {
        Self::Fatal(reason)
    }
}

/// The way to the syncer, and back.
pub(super) struct Syncer {
    pub(super) committed: mpsc::Sender<Committed>,
    pub(super) synced: mpsc::Receiver<Synced>,
}

/// Serves the queue until it is closed, or until the disk can no longer be trusted.
pub(super) async fn run(
    connection: &Shared,
    tally: &Arc<Tally>,
    mut queue: mpsc::Receiver<Message>,
    syncer: Syncer,
    mut checkpoints: Checkpoints,
    state: &watch::Sender<State>,
) {
    let mut batch = Batch::new(connection, tally);
    let Err(stop) = write_all(&mut batch, &mut queue, syncer, &mut checkpoints).await else {
        return close(connection, checkpoints, state).await;
    };
    leave_log(connection);
    if let Stop::Fatal(reason) = stop {
        tracing::error!(reason, "the writer has stopped for good");
        state.send_replace(State::Failed(reason));
    }
    batch.give_up(&stopped());
    queue.close();
    while let Some(message) = queue.recv().await {
        if let Message::Run(job) = message {
            job.answer(Some(stopped()));
        }
    }
}

/// Ends what was at work beside it, and leaves an empty log.
async fn close(connection: &Shared, checkpoints: Checkpoints, state: &watch::Sender<State>) {
    checkpoints.end().await;
    if matches!(*state.borrow(), State::Failed(_)) {
        return leave_log(connection);
    }
    // What a checkpoint leaves undone, the next start does.
    let _ = lock(connection).execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    state.send_replace(State::Closed);
}

/// Leaves the log to the next start: a sync that was refused once may be granted the next time though what it was for is lost.
fn leave_log(connection: &Shared) {
    let _ = lock(connection).set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

async fn write_all(
    batch: &mut Batch<'_>,
    queue: &mut mpsc::Receiver<Message>,
    mut syncer: Syncer,
    checkpoints: &mut Checkpoints,
) -> Result<(), Stop> {
    let mut messages = Vec::with_capacity(BATCH);
    let (mut is_open, mut is_syncing) = (true, false);
    // A batch that waits does so for a sync.
    while is_open || is_syncing {
        let room = BATCH - batch.len();
        tokio::select! {
            biased;
            synced = syncer.synced.recv(), if is_syncing => {
                synced.ok_or(Stop::Told)?;
                is_syncing = false;
            }
            count = queue.recv_many(&mut messages, room), if is_open && room > 0 => is_open = count > 0,
        }
        batch.extend(jobs(&mut messages, queue))?;
        if !is_syncing
            && batch.len() > 0
            && let Some(committed) = batch.commit()?
        {
            if let Err(unsynced) = syncer.committed.send(committed).await {
                unsynced.0.give_up();
                return Err(Stop::Told);
            }
            is_syncing = true;
            batch.between(|connection| checkpoints.after_commit(connection))?;
        }
    }
    Ok(())
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
