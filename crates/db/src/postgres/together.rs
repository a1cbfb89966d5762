//! Calls of one kind that wait, in one transaction; and each alone if that came to nothing.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};

use super::connection::PATIENCE;
use super::transaction::Transactions;
use crate::closure::{Closure, queued};
use crate::shared_write::{Call, Caller, Results, SharedWrite, run_one, tell};
use crate::tx::Access;
use crate::{Error, Tx};

type Kind<I, T, E> = Arc<SharedWrite<I, T, E>>;

/// How many transactions of one kind run at a time, so that what comes meanwhile has something to wait for.
pub(super) const AT_A_TIME: usize = 2;
const ALONE_AT_A_TIME: usize = 4;

/// Takes what waits, until nothing does.
pub(super) async fn serve<I, T, E>(transactions: &Transactions, kind: &Kind<I, T, E>)
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    while let Some(calls) = kind.take() {
        let (late, calls): (Vec<_>, Vec<_>) =
            calls.into_iter().partition(|call| call.since.elapsed() > PATIENCE);
        late.into_iter().for_each(|call| call.answer(Err(Error::Busy.into())));
        let (inputs, callers) = calls.into_iter().map(Call::split).unzip();
        write(transactions, kind, inputs, callers).await;
    }
}

/// Writes them together, and each alone if that came to nothing.
async fn write<I, T, E>(
    transactions: &Transactions,
    kind: &Kind<I, T, E>,
    inputs: Vec<I>,
    callers: Vec<Caller<T, E>>,
) where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    if inputs.len() < 2 {
        return alone(transactions, kind, inputs, callers).await;
    }
    let mut closure = Closure::new((Arc::clone(kind), inputs), run_all);
    let failure = transactions.run(Access::Write, &mut closure).await.err();
    let (results, (_, inputs)) = closure.end(failure);
    let failure = match results {
        Ok(results) => {
            return callers.into_iter().zip(results).for_each(|(caller, result)| tell(caller, result));
        }
        Err(failure) => failure,
    };
    match failure.common() {
        Some(error) => callers.into_iter().for_each(|caller| tell(caller, Err(error.clone().into()))),
        None => alone(transactions, kind, inputs, callers).await,
    }
}

/// Each in a transaction of its own, a few side by side, so that others find connections too; each is answered at once.
async fn alone<I, T, E>(
    transactions: &Transactions,
    kind: &Kind<I, T, E>,
    inputs: Vec<I>,
    callers: Vec<Caller<T, E>>,
) where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let write =
        |(input, caller)| transactions.write(queued((Arc::clone(kind), input), run_one, caller)).boxed();
    stream::iter(inputs.into_iter().zip(callers)).for_each_concurrent(ALONE_AT_A_TIME, write).await;
}

fn run_all<'a, I, T, E>(
    tx: &'a Tx,
    (kind, inputs): &'a (Kind<I, T, E>, Vec<I>),
) -> BoxFuture<'a, Results<T, E>>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    kind.run_all(tx, inputs)
}
