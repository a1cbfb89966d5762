//! How a caller's closure is run on SQLite: its future is polled once, since there is nothing to wait for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::{Error, Tx};

/// A queued closure, with its types forgotten.
pub(crate) trait Job: Send {
    /// Runs the closure; true if its work is to be kept.
    fn run(&mut self, tx: &Tx) -> bool;
    /// How many callers' writes it is.
    fn writes(&self) -> u64 {
        1
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

struct Call<I, T, E, W> {
    input: I,
    work: W,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
    home: Option<Handle>,
}

impl<I, T, E, W> Job for Call<I, T, E, W>
where
    I: Send + Sync,
    T: Send,
    E: From<Error> + Send,
    W: for<'a> Fn(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>> + Send,
{
    fn run(&mut self, tx: &Tx) -> bool {
        let result = tx.judge(poll_once(|| (self.work)(tx, &self.input)));
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn answer(self: Box<Self>, failure: Option<Error>) {
        let Self { input, result, reply, .. } = *self;
        // What it holds is free when the caller goes on.
        drop(input);
        let result = match (failure, result) {
            // What a closure saw in a transaction that came to nothing is no answer, be it a success or a refusal.
            (Some(error), _) => Err(error.into()),
            (None, Some(result)) => result,
            (None, None) => return,
        };
        // The caller may have gone away, which takes nothing back.
        let _ = reply.send(result);
    }

    fn home(&self) -> Option<&Handle> {
        self.home.as_ref()
    }
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

/// Queues a closure and waits for its answer. A full queue refuses at once.
pub(crate) async fn submit<I, T, E, W>(queue: &mpsc::Sender<Message>, input: I, work: W) -> Result<T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    W: for<'a> Fn(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    enqueue(queue, input, work, reply);
    answer.await.unwrap_or_else(|_| Err(stopped().into()))
}

/// Queues a closure whose caller waits already. A full queue refuses at once.
pub(crate) fn enqueue<I, T, E, W>(
    queue: &mpsc::Sender<Message>,
    input: I,
    work: W,
    reply: oneshot::Sender<Result<T, E>>,
) where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    W: for<'a> Fn(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
{
    let call = Call { input, work, result: None, reply, home: Handle::try_current().ok() };
    send(queue, Box::new(call));
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

/// Polls a closure's future once; a second poll could only mean that it awaited something else than the database.
pub(crate) fn poll_once<'a, T, E: From<Error>>(
    start: impl FnOnce() -> BoxFuture<'a, Result<T, E>>,
) -> Result<T, E> {
    let polled = catch_unwind(AssertUnwindSafe(|| {
        let mut future = start();
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }));
    match polled {
        Ok(Poll::Ready(result)) => result,
        Ok(Poll::Pending) => Err(Error::Awaited.into()),
        Err(_) => Err(Error::Panicked.into()),
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
