//! SQLite: one file, one thread that writes, one that syncs, one that takes the log back, a few that read, and point reads where the caller stands.

mod batch;
mod checkpointer;
mod connection;
mod draft;
mod dump;
mod failure;
mod measures;
mod migrate;
mod readers;
mod source;
mod statement;
mod syncer;
mod together;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use futures_util::future::{BoxFuture, pending};
use metrics::Text;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;

use self::checkpointer::Checkpoints;
pub use self::connection::WRITER_SETTINGS;
pub(crate) use self::draft::Draft;
pub(crate) use self::dump::dump;
use self::measures::Measures;
use self::readers::Lookups;
pub(crate) use self::source::Source;
use self::statement::rows;
pub(crate) use self::statement::{each_row, execute};
use self::writer::{State, Syncer};
use crate::Error;
use crate::closure::{self, Job, Message};
use crate::migration::Migration;
use crate::shared_write::{Call, SharedWrite};
use crate::tx::{Tally, Tx, lock};

const WRITES_QUEUED: usize = 4096;
const READS_QUEUED: usize = 1024;

/// When what was written is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Before it is acknowledged.
    EachCommit,
    /// At the end: nobody was promised anything before.
    AtEnd,
}

/// A SQLite database.
pub(crate) struct Sqlite {
    path: PathBuf,
    writes: mpsc::Sender<Message>,
    reads: mpsc::Sender<Message>,
    lookups: Lookups,
    measures: Arc<Measures>,
    state: watch::Receiver<State>,
    /// The threads that write, sync, and take the log back.
    writers: Mutex<Vec<JoinHandle<()>>>,
    readers: Mutex<Vec<JoinHandle<()>>>,
}

impl Sqlite {
    /// Creates the file if need be, opens it, and starts the threads.
    pub(crate) async fn open(path: &Path, durability: Durability) -> Result<Self, Error> {
        let path = path.to_owned();
        let runtime = Handle::current();
        blocking(move || Self::start(path, durability, &runtime)).await
    }

    fn start(path: PathBuf, durability: Durability, runtime: &Handle) -> Result<Self, Error> {
        connection::create(&path)?;
        let (writes, reads) = (mpsc::channel(WRITES_QUEUED), mpsc::channel(READS_QUEUED));
        let (report, state) = watch::channel(State::Running);
        let measures = Arc::new(Measures::default());
        let writers = start_writer(&path, durability, runtime, writes.1, report, &measures)?;
        let readers = start_readers(&path, runtime, reads.1)?;
        Ok(Self {
            lookups: Lookups::new(&path),
            path,
            writes: writes.0,
            reads: reads.0,
            measures,
            state,
            writers: Mutex::new(writers),
            readers: Mutex::new(readers),
        })
    }

    pub(crate) async fn migrate(&self, migrations: &[Migration]) -> Result<usize, Error> {
        let (path, migrations) = (self.path.clone(), migrations.to_vec());
        blocking(move || migrate::migrate(&path, &migrations)).await
    }

    pub(crate) fn write(&self, job: Box<dyn Job>) {
        closure::send(&self.writes, job);
    }

    pub(crate) fn write_shared<I, T, E>(&self, kind: &Arc<SharedWrite<I, T, E>>, call: Call<I, T, E>)
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        together::add(&self.writes, &self.measures, kind, call);
    }

    pub(crate) fn read(&self, job: Box<dyn Job>) {
        closure::send(&self.reads, job);
    }

    pub(crate) fn lookup<I, T, E, W>(&self, input: &I, work: W) -> Result<T, E>
    where
        E: From<Error>,
        W: for<'a> FnOnce(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>>,
    {
        self.lookups.run(input, work)
    }

    /// An empty write: the writer lives and can take the lock.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        let (caller, result) = oneshot::channel();
        self.write(closure::queued((), |_, ()| Box::pin(async { Ok(()) }), caller));
        result.await.unwrap_or_else(|_| Err(closure::stopped()))
    }

    pub(crate) async fn failed(&self) -> String {
        let mut state = self.state.clone();
        loop {
            match &*state.borrow_and_update() {
                State::Failed(reason) => return reason.clone(),
                State::Running | State::Closed => {}
            }
            if state.changed().await.is_err() {
                break;
            }
        }
        let closed = matches!(&*state.borrow(), State::Closed);
        if closed { pending().await } else { "the writer ended without a reason".to_owned() }
    }

    /// Ends the readers first, so that the writer's last checkpoint finds nobody in its way.
    pub(crate) async fn close(&self) {
        self.lookups.close();
        end(&self.reads, &self.readers).await;
        end(&self.writes, &self.writers).await;
    }

    pub(crate) fn write_metrics(&self, text: &mut Text) {
        let waiting = |queue: &mpsc::Sender<Message>| (queue.max_capacity() - queue.capacity()) as f64;
        let shared = self.measures.waiting.load(Ordering::Relaxed) as f64;
        let writes = waiting(&self.writes) + shared;
        text.gauge("storehouse_db_writes_waiting", "Writes in the queue.", &[], writes);
        text.gauge("storehouse_db_reads_waiting", "Reads in the queue.", &[], waiting(&self.reads));
        self.measures.write(text);
        measures::write_size(&self.path, text);
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.measures.tally
    }

    pub(crate) fn describe(&self) -> String {
        format!("SQLite {}", self.path.display())
    }
}

fn start_writer(
    path: &Path,
    durability: Durability,
    runtime: &Handle,
    queue: mpsc::Receiver<Message>,
    report: watch::Sender<State>,
    measures: &Arc<Measures>,
) -> Result<Vec<JoinHandle<()>>, Error> {
    let connection = connection::open_writer(path)?;
    let log = connection::open_log(&connection, path)?;
    let log = (durability == Durability::EachCommit).then_some(log);
    let connection = Arc::new(Mutex::new(connection));
    let ((committed, mut to_sync), (done, synced)) = (mpsc::channel(1), mpsc::channel(1));
    let (tally, measures, failed) = (Arc::clone(&measures.tally), Arc::clone(measures), report.clone());
    let handle = runtime.clone();
    let syncer = start_thread("db-syncer", move || {
        // What is done after a commit may spawn a task.
        let _runtime = handle.enter();
        syncer::run(log.as_ref(), &mut to_sync, &done, &failed, &measures);
    })?;
    let (checkpoints, checkpointer) = start_checkpointer(path, report.clone())?;
    let handle = runtime.clone();
    let writer = start_thread("db-writer", move || {
        let syncer = Syncer { committed, synced };
        handle.block_on(writer::run(&connection, &tally, queue, syncer, checkpoints, &report));
    })?;
    Ok(vec![writer, syncer, checkpointer])
}

fn start_checkpointer(
    path: &Path,
    report: watch::Sender<State>,
) -> Result<(Checkpoints, JoinHandle<()>), Error> {
    let connection = connection::open_writer(path)?;
    let ((pass, mut queue), (done, passed)) = (mpsc::channel(1), mpsc::channel(1));
    let thread = start_thread("db-checkpointer", move || {
        checkpointer::run(&connection, &mut queue, &done, &report);
    })?;
    Ok((Checkpoints::new(pass, passed), thread))
}

fn start_readers(
    path: &Path,
    runtime: &Handle,
    queue: mpsc::Receiver<Message>,
) -> Result<Vec<JoinHandle<()>>, Error> {
    let queue = Arc::new(Mutex::new(queue));
    let count = thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8));
    let start_one = |_| {
        let connection = connection::open_reader(path)?;
        let (queue, runtime) = (Arc::clone(&queue), runtime.clone());
        start_thread("db-reader", move || {
            let _runtime = runtime.enter();
            readers::run(&connection, &queue);
        })
    };
    (0..count).map(start_one).collect()
}

fn start_thread(name: &str, life: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let no_thread = |error: io::Error| Error::Unavailable(format!("no thread for {name}: {error}"));
    thread::Builder::new().name(name.to_owned()).spawn(life).map_err(no_thread)
}

/// Asks the threads behind a queue to finish what waits there, and sees them end.
async fn end(queue: &mpsc::Sender<Message>, threads: &Mutex<Vec<JoinHandle<()>>>) {
    // An error means that they have ended already.
    let _ = queue.send(Message::Close).await;
    let threads = std::mem::take(&mut *lock(threads));
    let _ = spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join()))).await;
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    // Boxed, so that the runtime's part is compiled for each kind of answer, and not of work.
    let work: Box<dyn FnOnce() -> Result<T, Error> + Send> = Box::new(work);
    spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
}
