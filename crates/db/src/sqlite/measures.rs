//! What the writer measures, and what of it and of the queues is shown.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use metrics::{Histogram, Text};

use super::connection::beside;
use crate::tx::Tally;

const SIZES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256];

/// Of every commit.
pub(super) struct Measures {
    /// How many writes shared it.
    pub(super) batch_size: Histogram,
    /// How long it took, its sync included.
    pub(super) commit_time: Histogram,
    /// How many calls wait for a group to take them, which alone stands in the writer's queue.
    pub(super) waiting: AtomicUsize,
    /// What the commits held, as the closures tell it.
    pub(super) tally: Arc<Tally>,
}

impl Default for Measures {
    fn default() -> Self {
        let (batch_size, commit_time) = (Histogram::of_numbers(SIZES), Histogram::of_times());
        Self { batch_size, commit_time, waiting: AtomicUsize::default(), tally: Arc::default() }
    }
}

impl Measures {
    pub(super) fn write(&self, text: &mut Text) {
        let help = "Writes that one commit made durable.";
        text.histogram("storehouse_db_batch_size", help, &[], &self.batch_size);
        text.histogram("storehouse_db_commit_seconds", crate::COMMIT_HELP, &[], &self.commit_time);
    }
}

/// How large the database is on the disk, with its log.
pub(super) fn write_size(path: &Path, text: &mut Text) {
    let files = [path.to_owned(), beside(path, "-wal")];
    let sizes = files.map(|file| fs::metadata(file).map_or(0, |file| file.len()));
    let size = sizes.iter().sum::<u64>();
    text.gauge("storehouse_database_bytes", "Size of the database and its log.", &[], size as f64);
}
