//! The threads that serve connections: one for each core, each with a runtime of its own.
//!
//! A connection stays on its thread, so that nothing is stolen or woken across cores on a request's way. Connections are
//! dealt out in turn, which spreads few of them better than the kernel does among several listeners of one port.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Where connections are served; the threads end when it is dropped.
pub struct Workers {
    runtimes: Vec<Handle>,
    next: AtomicUsize,
    threads: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Workers {
    /// One thread for each core.
    ///
    /// # Errors
    /// When a thread or its runtime can't be made.
    pub fn start() -> io::Result<Self> {
        let mut workers = Self { runtimes: Vec::new(), next: AtomicUsize::new(0), threads: Vec::new() };
        for number in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            workers.runtimes.push(runtime.handle().clone());
            let (stop, stopped) = oneshot::channel();
            let name = format!("worker-{number}");
            let thread = thread::Builder::new().name(name).spawn(move || {
                // The sender is dropped, never used.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
            workers.threads.push((stop, thread));
        }
        Ok(workers)
    }

    /// The caller's own runtime, for all of them.
    pub fn here() -> Self {
        Self { runtimes: vec![Handle::current()], next: AtomicUsize::new(0), threads: Vec::new() }
    }

    /// How many threads there are to deal connections to, at least one.
    pub(super) fn count(&self) -> usize {
        self.runtimes.len().max(1)
    }

    /// Runs the task on the next thread.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.count();
        if let Some(runtime) = self.runtimes.get(turn) {
            runtime.spawn(task);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let (stops, threads): (Vec<_>, Vec<_>) = self.threads.drain(..).unzip();
        drop(stops);
        for thread in threads {
            // A thread that panicked has nothing left to end.
            let _ = thread.join();
        }
    }
}
