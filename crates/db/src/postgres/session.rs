//! A borrowed connection: its transaction and its statements.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use futures_util::future::join_all;
use tokio::time::timeout;
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::failure::{failure, ordinary, pool_failure, too_slow};
use crate::Error;
use crate::error::Failure;
use crate::value::{Row, Source, Value};

/// How long the server may take to answer in general: longer than its own limit on a statement, so that only one that
/// has stopped or can't be reached any more is given up.
pub(super) const LIMIT: Duration = Duration::from_secs(12);
/// Lists have many shapes, and each kept statement holds memory here and on the server.
const STATEMENTS_KEPT: usize = 200;
/// Futures are known to be polled in order, and so statements sent in order, in lists up to this long.
const PIPELINED: usize = 16;

/// A connection of the pool, in or out of a transaction.
pub(crate) struct Session {
    client: Option<Object>,
    /// How long the server may take to answer.
    limit: Duration,
    /// In a transaction, so that the connection must not go back to the pool.
    open: AtomicBool,
    /// Statements that were sent and whose answer nobody has seen.
    unseen: AtomicUsize,
    /// The server did not answer in time, so that nothing more is to be asked here.
    lost: AtomicBool,
}

impl Session {
    pub(super) async fn take(pool: &Pool, limit: Duration) -> Result<Self, Error> {
        let client = pool.get().await.map_err(pool_failure)?;
        let (open, unseen, lost) = Default::default();
        Ok(Self { client: Some(client), limit, open, unseen, lost })
    }

    pub(super) async fn begin(pool: &Pool, sql: &str) -> Result<Self, Error> {
        let session = Self::take(pool, LIMIT).await?;
        session.open.store(true, Ordering::Relaxed);
        session.seen(session.client()?.batch_execute(sql)).await?;
        Ok(session)
    }

    /// Commits. Only a refusal by the server itself says for certain that nothing was kept.
    pub(super) async fn commit(&self) -> Result<(), Failure> {
        let client = self.client()?;
        // Its error, which nobody has seen, would turn COMMIT into a rollback that looks like a success.
        if self.unseen.load(Ordering::Relaxed) > 0 {
            self.roll_back().await;
            return Err(Error::Internal("a statement was dropped before its answer came".to_owned()).into());
        }
        if client.is_closed() {
            return Err(Error::Unavailable("the connection was lost before the commit".to_owned()).into());
        }
        let Ok(answer) = timeout(self.limit, client.batch_execute("COMMIT")).await else {
            return Err(Error::OutcomeUnknown.into());
        };
        let certain = match &answer {
            Ok(()) => true,
            Err(error) => error.as_db_error().is_some_and(ordinary),
        };
        if !certain {
            return Err(Error::OutcomeUnknown.into());
        }
        self.open.store(false, Ordering::Relaxed);
        answer.map_err(|error| failure(&error))
    }

    /// Rolls back; if that fails the connection is given up, and the server rolls back by itself.
    pub(super) async fn roll_back(&self) {
        let Ok(client) = self.client() else { return };
        if self.lost.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(Ok(())) = timeout(self.limit, client.batch_execute("ROLLBACK")).await {
            self.open.store(false, Ordering::Relaxed);
        }
    }

    fn client(&self) -> Result<&Object, Error> {
        self.client.as_ref().ok_or(Error::Spent)
    }

    async fn prepare(&self, sql: &str, args: &[Value<'_>]) -> Result<Statement, Failure> {
        let client = self.client()?;
        if client.statement_cache.size() >= STATEMENTS_KEPT {
            client.statement_cache.clear();
        }
        let prepared = client.prepare_cached(sql);
        let statement = self.seen(prepared).await?;
        let (count, given) = (statement.params().len(), args.len());
        if count == given {
            return Ok(statement);
        }
        Err(Error::Internal(format!("{count} placeholders, {given} arguments: {sql}")).into())
    }

    /// Awaits an answer, but not for ever, and keeps count of those that are dropped before they come.
    async fn seen<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        self.unseen.fetch_add(1, Ordering::Relaxed);
        let Ok(answer) = timeout(self.limit, answer).await else {
            self.lost.store(true, Ordering::Relaxed);
            return Err(too_slow().into());
        };
        self.unseen.fetch_sub(1, Ordering::Relaxed);
        answer.map_err(|error| failure(&error))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if (*self.open.get_mut() || *self.lost.get_mut())
            && let Some(client) = self.client.take()
        {
            // Taken from the pool for good, so that nobody else finds an open transaction or no answer there.
            drop(Object::take(client));
        }
    }
}

/// Runs a statement and counts the rows that it changed.
pub(crate) async fn execute(session: &Session, sql: &str, args: &[Value<'_>]) -> Result<u64, Failure> {
    let statement = session.prepare(sql, args).await?;
    session.seen(session.client()?.execute(&statement, &parameters(args))).await
}

/// Runs a statement and maps its rows.
pub(crate) async fn rows<T>(
    session: &Session,
    sql: &str,
    args: &[Value<'_>],
    mut map: impl FnMut(&Row<'_>) -> Result<T, Error> + Send,
) -> Result<Vec<T>, Failure> {
    let statement = session.prepare(sql, args).await?;
    let found = session.seen(session.client()?.query(&statement, &parameters(args))).await?;
    let mapped: Result<Vec<T>, Error> = found.iter().map(|row| map(&Row(Source::Postgres(row)))).collect();
    Ok(mapped?)
}

/// Sends all statements before it awaits the first answer.
pub(crate) async fn all(session: &Session, statements: &[(&str, &[Value<'_>])]) -> Result<Vec<u64>, Failure> {
    let mut counted = Vec::with_capacity(statements.len());
    for statements in statements.chunks(PIPELINED) {
        for (sql, args) in statements {
            session.prepare(sql, args).await?;
        }
        let sent = statements.iter().map(|(sql, args)| execute(session, sql, args));
        // All answers are awaited, since the first failure makes the others fail too.
        for answer in join_all(sent).await {
            counted.push(answer?);
        }
    }
    Ok(counted)
}

fn parameters<'a>(args: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    args.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}
