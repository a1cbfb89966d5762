//! Calls of one kind that wait when the writer comes to them, as one write; and each alone if that came to nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::WRITES_QUEUED;
use super::measures::Measures;
use crate::closure::{self, Job, Message, Work, stopped};
use crate::shared_write::{Call, Caller, Results, SharedWrite, run_one, tell};
use crate::{Error, Tx};

/// What the writer finds in its queue in place of the calls: it takes them from their own.
struct Group<I, T, E> {
    kind: Arc<SharedWrite<I, T, E>>,
    queue: mpsc::Sender<Message>,
    measures: Arc<Measures>,
    home: Option<Handle>,
    inputs: Vec<I>,
    callers: Vec<Caller<T, E>>,
    results: Option<Results<T, E>>,
}

/// Adds a call to those that wait, and puts the group into the writer's queue if it isn't there.
pub(super) fn add<I, T, E>(
    queue: &mpsc::Sender<Message>,
    measures: &Arc<Measures>,
    kind: &Arc<SharedWrite<I, T, E>>,
    call: Call<I, T, E>,
) where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    if kind.waiting() >= WRITES_QUEUED {
        return call.answer(Err(Error::Busy.into()));
    }
    measures.waiting.fetch_add(1, Ordering::Relaxed);
    if kind.add(call, 1) {
        let (kind, home) = (Arc::clone(kind), Handle::try_current().ok());
        Group::new(kind, queue.clone(), Arc::clone(measures), home).queue();
    }
}

impl<I, T, E> Group<I, T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    fn new(
        kind: Arc<SharedWrite<I, T, E>>,
        queue: mpsc::Sender<Message>,
        measures: Arc<Measures>,
        home: Option<Handle>,
    ) -> Self {
        Self { kind, queue, measures, home, inputs: Vec::new(), callers: Vec::new(), results: None }
    }

    fn queue(self) {
        let queue = self.queue.clone();
        closure::send(&queue, Box::new(self));
    }

    /// Takes what waits now; what is too much, or comes later, needs a group of its own. Run again, it keeps what it has.
    fn fill(&mut self) {
        if !self.callers.is_empty() {
            return;
        }
        let (calls, are_left) = self.kind.take_once();
        self.measures.waiting.fetch_sub(calls.len(), Ordering::Relaxed);
        (self.inputs, self.callers) = calls.into_iter().map(Call::split).unzip();
        if are_left {
            let (kind, measures) = (Arc::clone(&self.kind), Arc::clone(&self.measures));
            Self::new(kind, self.queue.clone(), measures, self.home.clone()).queue();
        }
    }

    /// Each as a write of its own, answered by itself.
    fn alone(self) {
        for (input, caller) in self.inputs.into_iter().zip(self.callers) {
            let job = closure::queued((Arc::clone(&self.kind), input), run_one, caller);
            closure::send(&self.queue, job);
        }
    }
}

impl<I, T, E> Work for Group<I, T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    fn run<'a>(&'a mut self, tx: &'a Tx) -> BoxFuture<'a, bool> {
        self.fill();
        let done = async {
            let results = tx.judge(self.kind.run_all(tx, &self.inputs).await);
            let keep = results.is_ok();
            self.results = Some(results);
            keep
        };
        done.boxed()
    }

    fn fail(&mut self, error: Error) {
        self.results = Some(Err(error.into()));
    }
}

impl<I, T, E> Job for Group<I, T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    fn writes(&self) -> u64 {
        let kept = |results: &Vec<Result<T, E>>| results.iter().filter(|result| result.is_ok()).count();
        self.results.as_ref().and_then(|results| results.as_ref().ok()).map_or(0, kept) as u64
    }

    fn answer(mut self: Box<Self>, failure: Option<Error>) {
        self.fill();
        let common = match (failure, self.results.take()) {
            (Some(error), _) => Some(error),
            (None, Some(Ok(results))) => {
                return self
                    .callers
                    .into_iter()
                    .zip(results)
                    .for_each(|(caller, result)| tell(caller, result));
            }
            (None, Some(Err(together))) => together.common(),
            (None, None) => Some(stopped()),
        };
        match common {
            Some(error) => {
                self.callers.into_iter().for_each(|caller| tell(caller, Err(error.clone().into())));
            }
            None => self.alone(),
        }
    }

    fn home(&self) -> Option<&Handle> {
        self.home.as_ref()
    }
}
