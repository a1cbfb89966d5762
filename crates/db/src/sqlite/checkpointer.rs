//! Takes the log back into the file beside the writer, which does only the last, small rest of it.
//!
//! SQLite begins its log anew once all of it is in the file, and syncs the file in the pass that leaves nothing. So the first pass
//! copies nearly all there is; the next begin just after a commit and have little to copy, so that one mostly ends before the next commit,
//! and the long sync is its own. Whether it was, SQLite doesn't say, and it need not: the rest that the writer does between two
//! transactions syncs whatever isn't yet. Where no pass gets on, because somebody reads for long, the log grows until the reader ends.

use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

use super::batch::Fatal;
use super::syncer::refused;
use super::writer::{State, Stop};
use crate::error::{Cause, Failure};

/// The log is taken back when it has so many pages; SQLite's own checkpoint, inside a commit, comes later (`WRITER_SETTINGS`).
const DUE: i64 = 4_000;
/// And again, where that didn't let it begin anew, when it has grown by so many.
const AGAIN: i64 = 1_000;
/// How often the log is copied beside the writer.
const PASSES: u32 = 3;

const LOOK: &str = "PRAGMA wal_checkpoint(NOOP)";
const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Asks the checkpointer to copy what can be copied.
pub(super) struct Pass;

/// Tells the writer that it was.
pub(super) struct Passed;

/// Serves the queue until the writer lets go of it, or until the disk can no longer be trusted.
pub(super) fn run(
    connection: &Connection,
    queue: &mut mpsc::Receiver<Pass>,
    passed: &mpsc::Sender<Passed>,
    state: &watch::Sender<State>,
) {
    while queue.blocking_recv().is_some() {
        if let Err(reason) = copy(connection) {
            tracing::error!(reason, "the log can't be taken back any more");
            state.send_replace(State::Failed(reason));
            return;
        }
        // A writer that is gone needs no word.
        let _ = passed.blocking_send(Passed);
    }
}

/// The writer's side: when the log is to be taken back, and how far that is.
pub(super) struct Checkpoints {
    pass: mpsc::Sender<Pass>,
    passed: mpsc::Receiver<Passed>,
    /// How many passes of this round have begun.
    begun: u32,
    is_passing: bool,
    /// How many pages the log has when the next round begins.
    due: i64,
}

impl Checkpoints {
    pub(super) fn new(pass: mpsc::Sender<Pass>, passed: mpsc::Receiver<Passed>) -> Self {
        Self { pass, passed, begun: 0, is_passing: false, due: DUE }
    }

    /// Goes on with it, just after a commit, when no transaction is open.
    pub(super) fn after_commit(&mut self, connection: &Connection) -> Result<(), Stop> {
        match self.passed.try_recv() {
            Ok(Passed) => self.is_passing = false,
            Err(mpsc::error::TryRecvError::Empty) => {}
            Err(mpsc::error::TryRecvError::Disconnected) => return Err(Stop::Told),
        }
        if self.is_passing || self.begun == 0 && !self.is_due(connection) {
            return Ok(());
        }
        if self.begun < PASSES {
            self.begun += 1;
            self.is_passing = true;
            return self.pass.try_send(Pass).map_err(|_| Stop::Told);
        }
        self.begun = 0;
        copy(connection).map_err(Stop::Fatal)
    }

    /// Sees the checkpointer end, so that it is in nobody's way.
    pub(super) async fn end(mut self) {
        drop(self.pass);
        while self.passed.recv().await.is_some() {}
    }

    fn is_due(&mut self, connection: &Connection) -> bool {
        // What can't be looked at now can be after the next commit.
        let pages = pages(connection, LOOK).unwrap_or_default();
        if pages < DUE {
            // It has begun anew.
            self.due = DUE;
        }
        let is_due = pages >= self.due;
        if is_due {
            self.due = pages + AGAIN;
        }
        is_due
    }
}

/// Copies what can be copied. Only a refused sync is an error: whatever else goes wrong, as on a full disk, leaves the log whole for the next time.
fn copy(connection: &Connection) -> Result<(), Fatal> {
    match pages(connection, COPY) {
        Err(failure) if failure.cause == Cause::SyncRefused => Err(refused(&failure.error)),
        _ => Ok(()),
    }
}

/// Runs a checkpoint of this kind, and says how many pages the log had; -1 if another was at it.
fn pages(connection: &Connection, kind: &str) -> Result<i64, Failure> {
    Ok(connection.prepare_cached(kind)?.query_row([], |row| row.get(1))?)
}
