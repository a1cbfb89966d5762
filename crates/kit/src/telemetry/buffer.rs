//! Where log lines wait: a line is copied into a shared buffer, and many go out in one write.
//!
//! A write happens when 32 KiB wait, 200 ms after the first line of a batch, and at once for a warning, an error, or on a terminal.
//! The writing thread is woken once a batch, never once a line, and an idle process does nothing. A reader that stands still
//! (a full pipe) makes writers wait: lines are never dropped.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

const BATCH_BYTES: usize = 32 * 1024;
const BATCH_TIME: Duration = Duration::from_millis(200);

/// Keeps logging alive; its drop writes what waits. Lines that come later are written at once.
#[derive(Debug)]
#[must_use = "logging ends when this is dropped"]
pub struct Guard {
    shared: Arc<dyn Flush>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has left its lines in the buffer, which the flush below writes.
            drop(writer.join());
        }
        self.shared.flush();
    }
}

/// Hides the type of the output from the guard's users.
trait Flush: Send + Sync + std::fmt::Debug {
    fn close(&self);
    fn flush(&self);
}

/// The buffer and its output; whoever needs both locks takes `output` first.
#[derive(Debug)]
struct Shared<W> {
    output: Mutex<Output<W>>,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug)]
struct Output<W> {
    sink: W,
    /// Empty between two batches, and kept for its room: it and `Waiting::lines` change places.
    batch: Vec<u8>,
}

#[derive(Debug)]
struct Waiting {
    lines: Vec<u8>,
    /// The writing thread waits for a batch's first line; else it will look by itself.
    is_awaited: bool,
    /// Every line goes out at once: on a terminal, and when the writing thread has ended.
    at_once: bool,
    closed: bool,
}

/// Makes the writers that the log formatter writes a line to.
#[derive(Debug)]
pub(super) struct Lines<W>(Arc<Shared<W>>);

/// Starts the writing thread.
pub(super) fn start<W>(output: W, at_once: bool) -> io::Result<(Guard, Lines<W>)>
where
    W: Write + Send + std::fmt::Debug + 'static,
{
    let waiting = Waiting { lines: Vec::new(), is_awaited: false, at_once, closed: false };
    let shared = Arc::new(Shared {
        output: Mutex::new(Output { sink: output, batch: Vec::new() }),
        waiting: Mutex::new(waiting),
        changed: Condvar::new(),
    });
    let for_writer = Arc::clone(&shared);
    let writer = thread::Builder::new().name("log".into()).spawn(move || for_writer.write_batches())?;
    Ok((Guard { shared: shared.clone(), writer: Some(writer) }, Lines(shared)))
}

impl<W: Write> Shared<W> {
    fn append(&self, line: &[u8], urgent: bool) {
        let mut waiting = lock(&self.waiting);
        waiting.lines.extend_from_slice(line);
        let write_now = urgent || waiting.at_once || waiting.lines.len() >= BATCH_BYTES;
        let wakes = !write_now && mem::take(&mut waiting.is_awaited);
        drop(waiting);
        if write_now {
            self.write_waiting();
        } else if wakes {
            self.changed.notify_one();
        }
    }

    /// The batch is taken under the output's lock, so that two batches never change places.
    fn write_waiting(&self) {
        let mut output = lock(&self.output);
        let Output { sink, batch } = &mut *output;
        mem::swap(&mut lock(&self.waiting).lines, batch);
        // Where logs can't be written there is nobody left to tell.
        drop(sink.write_all(batch).and_then(|()| sink.flush()));
        batch.clear();
    }

    fn write_batches(&self) {
        loop {
            let waiting = lock(&self.waiting);
            let waiting = self
                .changed
                .wait_while(waiting, |waiting| {
                    waiting.is_awaited = waiting.lines.is_empty() && !waiting.closed;
                    waiting.is_awaited
                })
                .unwrap_or_else(PoisonError::into_inner);
            let (waiting, _) = self
                .changed
                .wait_timeout_while(waiting, BATCH_TIME, |waiting| !waiting.closed)
                .unwrap_or_else(PoisonError::into_inner);
            let closed = waiting.closed;
            drop(waiting);
            self.write_waiting();
            if closed {
                return;
            }
        }
    }
}

impl<W: Write + Send + std::fmt::Debug> Flush for Shared<W> {
    fn close(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.closed = true;
        waiting.at_once = true;
        drop(waiting);
        self.changed.notify_one();
    }

    fn flush(&self) {
        self.write_waiting();
    }
}

/// A thread that panicked while it held the lock left whole lines behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes one line.
pub(super) struct Line<'a, W> {
    shared: &'a Shared<W>,
    urgent: bool,
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.append(line, self.urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, W: Write + 'a> MakeWriter<'a> for Lines<W> {
    type Writer = Line<'a, W>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { shared: &self.0, urgent: false }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        Line { shared: &self.0, urgent: *event.level() <= Level::WARN }
    }
}
