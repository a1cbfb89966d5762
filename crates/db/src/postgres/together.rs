//! Calls of one kind that wait, in one transaction; and each alone if that came to nothing.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use super::connection::PATIENCE;
use super::transaction::Transactions;
use crate::shared_write::{Call, Results, SharedWrite};
use crate::tx::Access;
use crate::{Error, Tx};

type Kind<I, T, E> = Arc<SharedWrite<I, T, E>>;

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
        let (inputs, callers): (Vec<_>, Vec<_>) = calls.into_iter().map(Call::split).unzip();
        let results = write(transactions, kind, inputs).await;
        for (caller, result) in callers.into_iter().zip(results) {
            // The caller may have gone away, which takes nothing back.
            let _ = caller.send(result);
        }
    }
}

async fn write<I, T, E>(
    transactions: &Transactions,
    kind: &Kind<I, T, E>,
    inputs: Vec<I>,
) -> Vec<Result<T, E>>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    if inputs.len() < 2 {
        return alone(transactions, kind, inputs).await;
    }
    let input = (Arc::clone(kind), inputs);
    let failure = match transactions.run(Access::Write, &input, &run_all).await {
        Ok(results) => return results,
        Err(failure) => failure,
    };
    match failure.common() {
        Some(error) => input.1.iter().map(|_| Err(error.clone().into())).collect(),
        None => alone(transactions, kind, input.1).await,
    }
}

/// Each in a transaction of its own, side by side.
async fn alone<I, T, E>(
    transactions: &Transactions,
    kind: &Kind<I, T, E>,
    inputs: Vec<I>,
) -> Vec<Result<T, E>>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let write = |input| async move {
        let input = (Arc::clone(kind), input);
        transactions.run(Access::Write, &input, &run_one).await
    };
    join_all(inputs.into_iter().map(|input| write(input).boxed())).await
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

fn run_one<'a, I, T, E>(tx: &'a Tx, (kind, input): &'a (Kind<I, T, E>, I)) -> BoxFuture<'a, Result<T, E>>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    kind.run_one(tx, input)
}
