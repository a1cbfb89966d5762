//! A borrowed connection: its transaction and its statements.
//!
//! A round trip costs more than most statements, so BEGIN goes with the first query, and what was kept for later with the next statement
//! or with COMMIT.

use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use futures_util::future::{join, join_all};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::failure::{failure, ordinary, pool_failure, too_slow};
use crate::Error;
use crate::error::Failure;
use crate::tx::{TakeRow, lock, reads};
use crate::value::{Kept, Row, Source, Value};

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
    /// What is to be sent before the next statement, at most `PIPELINED` of them.
    waiting: Mutex<Vec<Waiting>>,
}

type Answer = Result<(), tokio_postgres::Error>;

enum Waiting {
    Begin(&'static str),
    Statement(Statement, Vec<Kept>),
}

impl Session {
    pub(super) async fn take(pool: &Pool, limit: Duration) -> Result<Self, Error> {
        let client = pool.get().await.map_err(pool_failure)?;
        let (open, unseen, lost, waiting) = Default::default();
        Ok(Self { client: Some(client), limit, open, unseen, lost, waiting })
    }

    /// A session whose first statement begins a transaction.
    pub(super) async fn begin(pool: &Pool, sql: &'static str) -> Result<Self, Error> {
        let session = Self::take(pool, LIMIT).await?;
        lock(&session.waiting).push(Waiting::Begin(sql));
        Ok(session)
    }

    /// Commits, and sends what waits along with it. Only a refusal by the server itself says for certain that nothing was kept.
    pub(super) async fn commit(&self) -> Result<(), Failure> {
        self.begun("COMMIT").await?;
        let client = self.client()?;
        // Its error, which nobody has seen, would turn COMMIT into a rollback that looks like a success.
        if self.unseen.load(Ordering::Relaxed) > 0 {
            self.roll_back().await;
            return Err(Error::Internal("a statement was dropped before its answer came".to_owned()).into());
        }
        if client.is_closed() {
            return Err(Error::Unavailable("the connection was lost before the commit".to_owned()).into());
        }
        let last = std::mem::take(&mut *lock(&self.waiting));
        let unsent = AtomicBool::new(false);
        let commit = async {
            // What the driver itself refuses is never sent, so the server would commit the rest.
            if unsent.load(Ordering::Relaxed) { None } else { Some(self.send_commit(client).await) }
        };
        let statements = last.iter().map(|waiting| self.send_last(waiting, &unsent));
        match join(join_all(statements), commit).await {
            (answers, Some(committed)) => answers.into_iter().try_for_each(before_commit).and(committed),
            (answers, None) => {
                self.roll_back().await;
                let refused = answers.into_iter().flatten().find_map(Result::err);
                Err(refused.map_or_else(|| too_slow().into(), |error| failure(&error)))
            }
        }
    }

    async fn send_last(&self, waiting: &Waiting, failed: &AtomicBool) -> Option<Answer> {
        let answer = self.answer(self.send(waiting)).await;
        failed.fetch_or(matches!(answer, Some(Err(_))), Ordering::Relaxed);
        answer
    }

    async fn send_commit(&self, client: &Object) -> Result<(), Failure> {
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
        if self.lost.load(Ordering::Relaxed) || !self.open.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(Ok(())) = timeout(self.limit, client.batch_execute("ROLLBACK")).await {
            self.open.store(false, Ordering::Relaxed);
        }
    }

    fn client(&self) -> Result<&Object, Error> {
        self.client.as_ref().ok_or(Error::Spent)
    }

    /// Sends what waits just before the question, and awaits all answers. The first failure is the answer.
    async fn ask<T>(
        &self,
        sql: &str,
        question: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        self.begun(sql).await?;
        // Both are sent before either is answered, in this order.
        let (before, answer) = join(self.settle(), self.seen(question)).await;
        before.and(answer)
    }

    /// Nothing but a query is sent before BEGIN was answered: had BEGIN failed, a change would be a transaction of its own.
    async fn begun(&self, sql: &str) -> Result<(), Failure> {
        let begins = matches!(lock(&self.waiting).first(), Some(Waiting::Begin(_)));
        if begins && !reads(sql) { self.settle().await } else { Ok(()) }
    }

    /// Sends what waits and awaits the answers.
    async fn settle(&self) -> Result<(), Failure> {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        let answers = join_all(waiting.iter().map(|waiting| self.seen(self.send(waiting)))).await;
        answers.into_iter().collect()
    }

    async fn send(&self, waiting: &Waiting) -> Answer {
        let Ok(client) = self.client() else { return Ok(()) };
        match waiting {
            Waiting::Begin(sql) => {
                self.open.store(true, Ordering::Relaxed);
                client.batch_execute(sql).await
            }
            Waiting::Statement(statement, args) => {
                let args: Vec<Value<'_>> = args.iter().map(Kept::value).collect();
                client.execute(statement, &parameters(&args)).await.map(drop)
            }
        }
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

    async fn seen<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        let answer = self.answer(answer).await.ok_or_else(too_slow)?;
        answer.map_err(|error| failure(&error))
    }

    /// Awaits an answer, but not for ever, and keeps count of those that are dropped before they come.
    async fn answer<A>(&self, answer: impl Future<Output = A>) -> Option<A> {
        self.unseen.fetch_add(1, Ordering::Relaxed);
        let Ok(answer) = timeout(self.limit, answer).await else {
            self.lost.store(true, Ordering::Relaxed);
            return None;
        };
        self.unseen.fetch_sub(1, Ordering::Relaxed);
        Some(answer)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if (*self.open.get_mut() || *self.lost.get_mut())
            && let Some(client) = self.client.take()
        {
            let is_lost = *self.lost.get_mut();
            match Handle::try_current() {
                Ok(runtime) if !is_lost => drop(runtime.spawn(Abandoned(Some(client)).end(self.limit))),
                // Taken from the pool for good, so that nobody else finds an open transaction or no answer there.
                _ => drop(Object::take(client)),
            }
        }
    }
}

/// Whoever asked has gone away, but the server goes on with the statement. Until it is done the connection keeps its place in the pool: otherwise those who ask
/// and leave would have more of the server's connections than the pool has. One that isn't known to be done is taken from the pool for good.
struct Abandoned(Option<Object>);

impl Abandoned {
    async fn end(mut self, limit: Duration) {
        if let Some(client) = &self.0
            && matches!(timeout(limit, client.batch_execute("ROLLBACK")).await, Ok(Ok(())))
        {
            drop(self.0.take());
        }
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.take().map(Object::take);
    }
}

/// The answer to a statement that COMMIT followed: where the server refused one it committed nothing, and says nothing of it at COMMIT.
fn before_commit(answer: Option<Answer>) -> Result<(), Failure> {
    match answer {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) if error.as_db_error().is_some() => Err(failure(&error)),
        _ => Err(Error::OutcomeUnknown.into()),
    }
}

/// Runs a statement and counts the rows that it changed.
pub(crate) async fn execute(session: &Session, sql: &str, args: &[Value<'_>]) -> Result<u64, Failure> {
    let statement = session.prepare(sql, args).await?;
    session.ask(sql, session.client()?.execute(&statement, &parameters(args))).await
}

/// Runs a statement and hands over each row of its answer.
pub(crate) async fn each_row(
    session: &Session,
    sql: &str,
    args: &[Value<'_>],
    take: TakeRow<'_>,
) -> Result<(), Failure> {
    let statement = session.prepare(sql, args).await?;
    let found = session.ask(sql, session.client()?.query(&statement, &parameters(args))).await?;
    Ok(found.iter().try_for_each(|row| take(&Row(Source::Postgres(row))))?)
}

/// Sends all statements before it awaits the first answer.
pub(crate) async fn all(session: &Session, statements: &[(&str, &[Value<'_>])]) -> Result<Vec<u64>, Failure> {
    let mut counted = Vec::with_capacity(statements.len());
    for statements in statements.chunks(PIPELINED) {
        for (sql, args) in statements {
            session.prepare(sql, args).await?;
            session.begun(sql).await?;
        }
        let sent = statements.iter().map(|(sql, args)| execute(session, sql, args));
        // All answers are awaited, since the first failure makes the others fail too.
        for answer in join_all(sent).await {
            counted.push(answer?);
        }
    }
    Ok(counted)
}

/// Keeps statements until the next one, or COMMIT, is sent.
pub(crate) async fn keep(session: &Session, statements: &[(&str, &[Value<'_>])]) -> Result<(), Failure> {
    for (sql, args) in statements {
        let statement = session.prepare(sql, args).await?;
        session.begun(sql).await?;
        if lock(&session.waiting).len() == PIPELINED {
            session.settle().await?;
        }
        let args = args.iter().map(|value| Kept::from(*value)).collect();
        lock(&session.waiting).push(Waiting::Statement(statement, args));
    }
    Ok(())
}

fn parameters<'a>(args: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    args.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}
