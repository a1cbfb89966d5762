//! A kind of write whose calls may share a transaction: whoever waits while others are written joins the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::tx::lock;
use crate::{Error, Tx};

/// How many calls share a transaction at most.
const TOGETHER: usize = 64;

type Whole<I, T, E> =
    dyn for<'a> Fn(&'a Tx, &'a [I]) -> BoxFuture<'a, Result<Vec<Result<T, E>>, E>> + Send + Sync;

/// A kind of write, with the calls of it that wait.
pub struct SharedWrite<I, T, E> {
    work: Box<Whole<I, T, E>>,
    queue: Mutex<Queue<Call<I, T, E>>>,
}

struct Queue<C> {
    calls: VecDeque<C>,
    /// How many take from the queue.
    takers: usize,
}

/// An input, and who waits for its result since when.
pub(crate) struct Call<I, T, E> {
    input: I,
    caller: Caller<T, E>,
    pub(crate) since: Instant,
}

/// Where a call's result goes.
pub(crate) type Caller<T, E> = oneshot::Sender<Result<T, E>>;

/// Answers a caller.
pub(crate) fn tell<T, E>(caller: Caller<T, E>, result: Result<T, E>) {
    // The caller may have gone away, which takes nothing back.
    let _ = caller.send(result);
}

impl<I, T, E> Call<I, T, E> {
    pub(crate) fn new(input: I, caller: Caller<T, E>) -> Self {
        Self { input, caller, since: Instant::now() }
    }

    pub(crate) fn split(self) -> (I, Caller<T, E>) {
        (self.input, self.caller)
    }

    pub(crate) fn answer(self, result: Result<T, E>) {
        tell(self.caller, result);
    }
}

impl<I, T, E> SharedWrite<I, T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    /// The closure gives each input its result. It may refuse one by itself as long as it has changed nothing for it; where it fails as a
    /// whole, each input is given to it alone.
    pub fn new<W>(work: W) -> Self
    where
        W: for<'a> Fn(&'a Tx, &'a [I]) -> BoxFuture<'a, Result<Vec<Result<T, E>>, E>> + Send + Sync + 'static,
    {
        let queue = Queue { calls: VecDeque::new(), takers: 0 };
        Self { work: Box::new(work), queue: Mutex::new(queue) }
    }

    /// Runs the closure over one input.
    pub(crate) fn run_one<'a>(&'a self, tx: &'a Tx, input: &'a I) -> BoxFuture<'a, Result<T, E>> {
        let results = (self.work)(tx, std::slice::from_ref(input));
        async { results.await?.pop().unwrap_or_else(|| Err(missing().into())) }.boxed()
    }

    /// Runs the closure over several inputs.
    pub(crate) fn run_all<'a>(&'a self, tx: &'a Tx, inputs: &'a [I]) -> BoxFuture<'a, Results<T, E>> {
        let results = (self.work)(tx, inputs);
        async {
            let results = results.await.map_err(Together::Refused)?;
            if results.len() == inputs.len() { Ok(results) } else { Err(missing().into()) }
        }
        .boxed()
    }

    /// Adds a call; true if the caller has to become one who takes from the queue, of whom there are to be so many.
    pub(crate) fn add(&self, call: Call<I, T, E>, takers: usize) -> bool {
        let mut queue = lock(&self.queue);
        queue.calls.push_back(call);
        let wanted = queue.takers < takers;
        queue.takers += usize::from(wanted);
        wanted
    }

    /// How many calls wait.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.queue).calls.len()
    }

    /// The calls that wait. Where there are none the taker has ended.
    pub(crate) fn take(&self) -> Option<Vec<Call<I, T, E>>> {
        let mut queue = lock(&self.queue);
        let count = queue.calls.len().min(TOGETHER);
        if count == 0 {
            queue.takers -= 1;
            return None;
        }
        Some(queue.calls.drain(..count).collect())
    }

    /// The first of the calls that wait, for a taker who ends with that; true if others wait, and so need another.
    pub(crate) fn take_once(&self) -> (Vec<Call<I, T, E>>, bool) {
        let mut queue = lock(&self.queue);
        let count = queue.calls.len().min(TOGETHER);
        let calls = queue.calls.drain(..count).collect();
        let are_left = !queue.calls.is_empty();
        queue.takers -= usize::from(!are_left);
        (calls, are_left)
    }
}

/// Runs the closure over one input, as a write of its own.
pub(crate) fn run_one<'a, I, T, E>(
    tx: &'a Tx,
    (kind, input): &'a (Arc<SharedWrite<I, T, E>>, I),
) -> BoxFuture<'a, Result<T, E>>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    kind.run_one(tx, input)
}

fn missing() -> Error {
    Error::Internal("a shared write has not given each input its result".to_owned())
}

pub(crate) type Results<T, E> = Result<Vec<Result<T, E>>, Together<E>>;

/// Why calls came to nothing together.
pub(crate) enum Together<E> {
    Database(Error),
    Refused(E),
}

impl<E> From<Error> for Together<E> {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl<E> Together<E> {
    /// The failure that each of them would have met, or must not try again after.
    pub(crate) fn common(self) -> Option<Error> {
        match self {
            Self::Database(error @ (Error::OutcomeUnknown | Error::Unavailable(_) | Error::Busy)) => {
                Some(error)
            }
            Self::Database(_) | Self::Refused(_) => None,
        }
    }
}
