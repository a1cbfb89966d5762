//! Reads: point reads on the caller's own thread, all others on a few threads.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::connection::{Shared, open_reader};
use super::statement::execute;
use crate::Error;
use crate::closure::{Job, Message, poll_once, run_at_once, stopped};
use crate::tx::{Access, Link, Tx, lock};

/// More than this many idle connections would only hold memory.
const CONNECTIONS_KEPT: usize = 16;

/// The connections of the point reads: a stack, so that the warmest is used first. None after the end.
pub(super) struct Lookups {
    path: PathBuf,
    idle: Mutex<Option<Vec<Shared>>>,
}

impl Lookups {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::new(Some(Vec::new())) }
    }

    /// Polls the closure once, on this thread.
    pub(super) fn run<I, T, E, W>(&self, input: &I, work: W) -> Result<T, E>
    where
        E: From<Error>,
        W: for<'a> FnOnce(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>>,
    {
        let connection = self.take()?;
        let tx = Tx::new(Link::Sqlite(Arc::clone(&connection)), Access::Read);
        let result = poll_once(|| work(&tx, input)).unwrap_or_else(|error| Err(error.into()));
        self.put_back(connection);
        tx.judge(result)
    }

    /// Lets go of all connections and makes no more.
    pub(super) fn close(&self) {
        lock(&self.idle).take();
    }

    fn take(&self) -> Result<Shared, Error> {
        let waiting = lock(&self.idle).as_mut().ok_or_else(stopped)?.pop();
        waiting.map_or_else(|| Ok(open_reader(&self.path)?), Ok)
    }

    fn put_back(&self, connection: Shared) {
        if let Some(idle) = lock(&self.idle).as_mut().filter(|idle| idle.len() < CONNECTIONS_KEPT) {
            idle.push(connection);
        }
    }
}

/// The life of one reader thread.
pub(super) fn run(connection: &Shared, queue: &Mutex<mpsc::Receiver<Message>>) {
    while let Some(job) = next(queue) {
        read(connection, job);
    }
}

/// The next read, or nothing once the queue is closed and empty. Whoever waits here holds the queue, so it is also the one to close it.
fn next(queue: &Mutex<mpsc::Receiver<Message>>) -> Option<Box<dyn Job>> {
    let mut queue = lock(queue);
    loop {
        match queue.blocking_recv()? {
            Message::Run(job) => return Some(job),
            Message::Close => queue.close(),
        }
    }
}

/// Runs one read in a transaction, so that all its statements see one commit; none that waited for longer than its caller.
fn read(connection: &Shared, mut job: Box<dyn Job>) {
    if !job.is_awaited() {
        return;
    }
    if let Err(failure) = execute(&lock(connection), "BEGIN", &[]) {
        return job.answer(Some(failure.error));
    }
    run_at_once(&mut *job, &Tx::new(Link::Sqlite(Arc::clone(connection)), Access::Read));
    // There is nothing to keep, and a connection that has lost its transaction has nothing to end.
    let _ = execute(&lock(connection), "ROLLBACK", &[]);
    job.answer(None);
}
