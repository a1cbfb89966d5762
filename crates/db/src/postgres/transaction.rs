//! One piece of work as a transaction, done again if it lost a conflict.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::Pool;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use metrics::{Histogram, Text};
use tokio::time::{Instant, sleep};

use super::session::Session;
use crate::Error;
use crate::closure::{Job, Work, run_actions};
use crate::error::{Cause, Failure};
use crate::tx::{Access, Link, Tally, Tx};

const RETRIES: u32 = 5;

/// What transactions are made of.
pub(super) struct Transactions {
    pub(super) pool: Pool,
    /// Counts retries; also so that two losers of one conflict do not wait equally long.
    retries: AtomicU64,
    /// How long a commit took.
    commit_time: Histogram,
    /// What the commits held, as the closures tell it.
    pub(super) tally: Arc<Tally>,
}

impl Transactions {
    pub(super) fn new(pool: Pool) -> Self {
        let (retries, commit_time) = (AtomicU64::new(0), Histogram::of_times());
        Self { pool, retries, commit_time, tally: Arc::default() }
    }

    pub(super) fn write_metrics(&self, text: &mut Text) {
        let help = "Transactions that were run again, since another one was in their way.";
        text.counter("storehouse_db_retries_total", help, &[], self.retries.load(Ordering::Relaxed));
        text.histogram("storehouse_db_commit_seconds", crate::COMMIT_HELP, &[], &self.commit_time);
    }

    /// Does the work and answers whoever waits for it.
    pub(super) async fn write(&self, mut job: Box<dyn Job>) {
        let failure = self.run(Access::Write, &mut *job).await.err();
        job.answer(failure);
    }

    /// Does the work, up to five times more if another transaction was in its way. An error is one of the transaction, and outranks what the work came to.
    pub(super) async fn run(&self, access: Access, work: &mut dyn Work) -> Result<(), Error> {
        let mut attempt = 0;
        while let Err(failure) = self.attempt(access, work).await {
            if failure.cause != Cause::Conflict || attempt == RETRIES {
                return Err(failure.error);
            }
            attempt += 1;
            sleep(self.pause(attempt)).await;
        }
        Ok(())
    }

    /// Twice as long each time, and a few milliseconds that differ from one retry to the next.
    fn pause(&self, attempt: u32) -> Duration {
        let spread = self.retries.fetch_add(1, Ordering::Relaxed).wrapping_mul(7) % 19;
        Duration::from_millis((2 << attempt) + spread)
    }

    async fn attempt(&self, access: Access, work: &mut dyn Work) -> Result<(), Failure> {
        let (session, tx) = self.begin(access).await?;
        // Inside the async block, so that a panic before the first await is caught as well.
        let done = AssertUnwindSafe(async { work.run(&tx).await }).catch_unwind().await;
        let keep = done.unwrap_or_else(|_| {
            work.fail(Error::Panicked);
            false
        });
        self.end(&session, tx, access == Access::Write && keep).await
    }

    async fn begin(&self, access: Access) -> Result<(Arc<Session>, Tx), Error> {
        let session = Arc::new(Session::begin(&self.pool, begin(access)).await?);
        let link = Link::Postgres(Arc::clone(&session));
        let tx = match access {
            Access::Write => Tx::writing(link, &self.tally),
            Access::Read => Tx::new(link, access),
        };
        Ok((session, tx))
    }

    /// Commits what is to be kept unless another transaction was in its way, and rolls back anything else.
    async fn end(&self, session: &Session, tx: Tx, keep: bool) -> Result<(), Failure> {
        let (failure, actions) = tx.end();
        let conflict = failure.filter(|failure| failure.cause == Cause::Conflict);
        if keep && conflict.is_none() {
            let begun = Instant::now();
            session.commit().await?;
            self.commit_time.observe_time(begun.elapsed());
            run_actions(actions);
            return Ok(());
        }
        session.roll_back().await;
        conflict.map_or(Ok(()), Err)
    }
}

fn begin(access: Access) -> &'static str {
    match access {
        Access::Write => "BEGIN ISOLATION LEVEL READ COMMITTED",
        Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    }
}

/// Runs a closure of point reads, without a transaction around it, each answered within `limit`.
pub(crate) async fn lookup<I, T, E, W>(pool: &Pool, limit: Duration, input: &I, work: W) -> Result<T, E>
where
    I: Send + Sync,
    E: From<Error> + Send,
    W: for<'a> FnOnce(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>> + Send,
{
    let session = Arc::new(Session::take(pool, limit).await?);
    let tx = Tx::new(Link::Postgres(session), Access::Read);
    let result = AssertUnwindSafe(async { work(&tx, input).await }).catch_unwind().await;
    tx.judge(result.unwrap_or_else(|_| Err(Error::Panicked.into())))
}
