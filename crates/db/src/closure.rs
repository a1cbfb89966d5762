//! What is run in a transaction: a caller's closure, whose types only its caller's end knows. On SQLite its future is polled once, since there is nothing
//! to wait for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::{Error, Tx};

/// What a transaction does, with its types forgotten: the engines are compiled once, and not for each closure.
pub(crate) trait Work: Send {
    /// Does it; true if it is to be kept. It may be done again from the start.
    fn run<'a>(&'a mut self, tx: &'a Tx) -> BoxFuture<'a, bool>;
    /// It came to nothing, for this reason.
    fn fail(&mut self, error: Error);
}

/// Work that its caller waits for.
pub(crate) trait Job: Work {
    /// How many callers' writes it is.
    fn writes(&self) -> u64 {
        1
    }
    /// Whether anybody waits for it still.
    fn is_awaited(&self) -> bool {
        true
    }
    /// Answers the caller, with the failure of the whole transaction if there was one.
    fn answer(self: Box<Self>, failure: Option<Error>);
    /// Where the caller waits.
    fn home(&self) -> Option<&Handle>;
}

/// What is sent to the threads that run closures.
pub(crate) enum Message {
    Run(Box<dyn Job>),
    Close,
}

/// A caller's closure, what it is given, and what it came to.
pub(crate) struct Closure<I, T, E, W> {
    input: I,
    work: W,
    result: Option<Result<T, E>>,
}

impl<I, T, E: From<Error>, W> Closure<I, T, E, W> {
    pub(crate) fn new(input: I, work: W) -> Self {
        Self { input, work, result: None }
    }

    /// The result, and the input back. What a closure saw in a transaction that came to nothing is no result, be it a success or a refusal.
    pub(crate) fn end(self, failure: Option<Error>) -> (Result<T, E>, I) {
        let result = match failure {
            Some(error) => Err(error.into()),
            None => self.result.unwrap_or_else(|| Err(stopped().into())),
        };
        (result, self.input)
    }
}

impl<I, T, E, W> Work for Closure<I, T, E, W>
where
    I: Send + Sync,
    T: Send,
    E: From<Error> + Send,
    W: for<'a> Fn(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>> + Send + Sync,
{
    fn run<'a>(&'a mut self, tx: &'a Tx) -> BoxFuture<'a, bool> {
        let done = async {
            let result = tx.judge((self.work)(tx, &self.input).await);
            let keep = result.is_ok();
            self.result = Some(result);
            keep
        };
        done.boxed()
    }

    fn fail(&mut self, error: Error) {
        self.result = Some(Err(error.into()));
    }
}

/// A closure whose caller waits.
struct Queued<I, T, E, W> {
    closure: Closure<I, T, E, W>,
    caller: oneshot::Sender<Result<T, E>>,
    home: Option<Handle>,
}

impl<I, T, E, W> Work for Queued<I, T, E, W>
where
    Closure<I, T, E, W>: Work,
    T: Send,
    E: Send,
{
    fn run<'a>(&'a mut self, tx: &'a Tx) -> BoxFuture<'a, bool> {
        self.closure.run(tx)
    }

    fn fail(&mut self, error: Error) {
        self.closure.fail(error);
    }
}

impl<I, T, E, W> Job for Queued<I, T, E, W>
where
    Self: Work,
    E: From<Error>,
{
    fn answer(self: Box<Self>, failure: Option<Error>) {
        let (result, input) = self.closure.end(failure);
        // What it was given is free when the caller goes on.
        drop(input);
        // The caller may have gone away, which takes nothing back.
        let _ = self.caller.send(result);
    }

    fn home(&self) -> Option<&Handle> {
        self.home.as_ref()
    }

    fn is_awaited(&self) -> bool {
        !self.caller.is_closed()
    }
}

/// A closure whose caller waits already.
pub(crate) fn queued<I, T, E, W>(input: I, work: W, caller: oneshot::Sender<Result<T, E>>) -> Box<dyn Job>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    W: for<'a> Fn(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>> + Send + Sync + 'static,
{
    Box::new(Queued { closure: Closure::new(input, work), caller, home: Handle::try_current().ok() })
}

/// Answers the callers of jobs that were kept, on the runtime where each waits: waking a task from outside is a system call for each.
pub(crate) fn answer_at_home(jobs: Vec<Box<dyn Job>>) {
    let mut homes: Vec<(Handle, Vec<Box<dyn Job>>)> = Vec::new();
    for job in jobs {
        let Some(home) = job.home() else {
            job.answer(None);
            continue;
        };
        match homes.iter_mut().find(|(known, _)| known.id() == home.id()) {
            Some((_, jobs)) => jobs.push(job),
            None => homes.push((home.clone(), vec![job])),
        }
    }
    for (home, jobs) in homes {
        home.spawn(async { jobs.into_iter().for_each(|job| job.answer(None)) });
    }
}

/// Puts a job into a queue; if that is full or closed it is answered so.
pub(crate) fn send(queue: &mpsc::Sender<Message>, job: Box<dyn Job>) {
    let (error, message) = match queue.try_send(Message::Run(job)) {
        Ok(()) => return,
        Err(mpsc::error::TrySendError::Full(message)) => (Error::Busy, message),
        Err(mpsc::error::TrySendError::Closed(message)) => (stopped(), message),
    };
    if let Message::Run(job) = message {
        job.answer(Some(error));
    }
}

/// The error of whoever comes after the end.
pub(crate) fn stopped() -> Error {
    Error::Unavailable("the database has been closed".to_owned())
}

/// Does the work on this thread, by one poll; true if it is to be kept.
pub(crate) fn run_at_once(work: &mut dyn Work, tx: &Tx) -> bool {
    let running = &mut *work;
    poll_once(move || running.run(tx)).unwrap_or_else(|error| {
        work.fail(error);
        false
    })
}

/// Polls a future once; a second poll could only mean that it awaited something else than the database.
pub(crate) fn poll_once<'a, R>(start: impl FnOnce() -> BoxFuture<'a, R>) -> Result<R, Error> {
    let polled = catch_unwind(AssertUnwindSafe(|| {
        let mut future = start();
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }));
    match polled {
        Ok(Poll::Ready(result)) => Ok(result),
        Ok(Poll::Pending) => Err(Error::Awaited),
        Err(_) => Err(Error::Panicked),
    }
}

/// Something to do after the commit.
pub(crate) type Action = Box<dyn FnOnce() + Send>;

/// Runs what was to be done after the commit; a panic there can neither undo the commit nor stop the others.
pub(crate) fn run_actions(actions: impl IntoIterator<Item = Action>) {
    for action in actions {
        if catch_unwind(AssertUnwindSafe(action)).is_err() {
            tracing::error!("an after-commit action panicked");
        }
    }
}
