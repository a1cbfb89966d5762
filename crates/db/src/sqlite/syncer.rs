//! Makes commits durable: syncs the log, and only then answers. Meanwhile the writer runs what comes next, so that it waits for no disk.
//!
//! What was committed can be read a little before it is durable. What is acknowledged is durable, and so is all that it was based on, since a
//! sync takes the whole log up to there.

use std::fmt::Display;
use std::fs::File;
use std::io;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::batch::Fatal;
use super::measures::Measures;
use super::writer::State;
use crate::Error;
use crate::closure::{Action, Job, answer_at_home, run_actions};

/// Tells the writer that the last commit is durable.
pub(super) struct Synced;

/// What one commit wrote, before it is durable.
pub(super) struct Committed {
    pub(super) jobs: Vec<Box<dyn Job>>,
    /// How many of them changed anything.
    pub(super) writes: u64,
    /// What they want done once it is durable.
    pub(super) actions: Vec<Action>,
    /// When the commit began.
    pub(super) begun: Instant,
}

impl Committed {
    /// Answers that it may be there after the next start, or not.
    pub(super) fn give_up(self) {
        for job in self.jobs {
            job.answer(Some(Error::OutcomeUnknown));
        }
    }
}

/// Serves the queue until the writer lets go of it, or until the disk can no longer be trusted. Without a log nothing is synced here.
pub(super) fn run(
    log: Option<&File>,
    queue: &mut mpsc::Receiver<Committed>,
    synced: &mpsc::Sender<Synced>,
    state: &watch::Sender<State>,
    measures: &Measures,
) {
    while let Some(committed) = queue.blocking_recv() {
        if let Err(error) = sync(log, &committed, measures) {
            let reason = refused(&error);
            tracing::error!(reason, "the writer has stopped for good");
            state.send_replace(State::Failed(reason));
            return committed.give_up();
        }
        // First, so that the next commit need not wait for these answers. A writer that is gone needs no word.
        let _ = synced.blocking_send(Synced);
        run_actions(committed.actions);
        answer_at_home(committed.jobs);
    }
}

/// Why nothing can be written any more.
pub(super) fn refused(error: &dyn Display) -> Fatal {
    format!("the operating system refused to make a write durable: {error}")
}

/// Also where nothing was written: what was seen may be another process's commit, which it hasn't synced yet. That is not measured.
fn sync(log: Option<&File>, committed: &Committed, measures: &Measures) -> io::Result<()> {
    log.map_or(Ok(()), File::sync_data)?;
    if committed.writes > 0 {
        measures.commit_time.observe_time(committed.begun.elapsed());
        measures.batch_size.observe(committed.writes);
    }
    Ok(())
}
