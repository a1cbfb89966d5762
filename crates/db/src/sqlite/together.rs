//! Calls of one kind that wait when the writer comes to them, as one write; and each alone if that came to nothing.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::WRITES_QUEUED;
use crate::closure::{self, Job, Message, poll_once, stopped};
use crate::shared_write::{Call, Caller, Results, SharedWrite, TOGETHER, tell};
use crate::{Error, Tx};

/// What the writer finds in its queue in place of the calls: it takes them from their own.
struct Group<I, T, E> {
    kind: Arc<SharedWrite<I, T, E>>,
    queue: mpsc::Sender<Message>,
    home: Option<Handle>,
    inputs: Vec<I>,
    callers: Vec<Caller<T, E>>,
    results: Option<Results<T, E>>,
}

/// Adds a call to those that wait, and puts the group into the writer's queue if it isn't there.
pub(super) fn add<I, T, E>(
    queue: &mpsc::Sender<Message>,
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
    if !kind.add(call, 1) {
        return;
    }
    let (home, kind) = (Handle::try_current().ok(), Arc::clone(kind));
    let group = Group { kind, queue: queue.clone(), home, inputs: vec![], callers: vec![], results: None };
    closure::send(queue, Box::new(group));
}

impl<I, T, E> Group<I, T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    /// What waits now; what comes later needs a group of its own. Run again, it keeps what it has.
    fn fill(&mut self) {
        if self.callers.is_empty() {
            (self.inputs, self.callers) = self.kind.take_all().into_iter().map(Call::split).unzip();
        }
    }

    /// Each as a write of its own, answered by itself.
    fn alone(self) {
        for (input, caller) in self.inputs.into_iter().zip(self.callers) {
            closure::enqueue(&self.queue, (Arc::clone(&self.kind), input), run_one, caller);
        }
    }
}

impl<I, T, E> Job for Group<I, T, E>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    fn run(&mut self, tx: &Tx) -> bool {
        self.fill();
        let results = tx.judge(poll_once(|| run_all(&self.kind, tx, &self.inputs)));
        let keep = results.is_ok();
        self.results = Some(results);
        keep
    }

    fn writes(&self) -> u64 {
        self.callers.len() as u64
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

fn run_all<'a, I, T, E>(
    kind: &'a SharedWrite<I, T, E>,
    tx: &'a Tx,
    inputs: &'a [I],
) -> BoxFuture<'a, Results<T, E>>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    async move {
        let mut results = Vec::with_capacity(inputs.len());
        for some in inputs.chunks(TOGETHER) {
            results.extend(kind.run_all(tx, some).await?);
        }
        Ok(results)
    }
    .boxed()
}

fn run_one<'a, I, T, E>(
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
