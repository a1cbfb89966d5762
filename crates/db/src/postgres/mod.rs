//! PostgreSQL: a pool of connections, and each write a task of its own.

mod connection;
mod draft;
mod dump;
mod failure;
mod migrate;
mod server;
mod session;
mod together;
mod tools;
mod transaction;
mod transfer;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use metrics::Text;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

pub(crate) use self::draft::Draft;
pub(crate) use self::dump::dump;
use self::failure::{failure, pool_failure, too_slow};
pub use self::server::Server;
pub(crate) use self::session::{Session, all, each_row, execute, keep};
use self::transaction::Transactions;
pub(crate) use self::transaction::lookup;
pub(crate) use self::transfer::fill;
use crate::Error;
use crate::closure::{Job, Work, stopped};
use crate::listener::Ear;
use crate::migration::Migration;
use crate::shared_write::{Call, SharedWrite};
use crate::tx::{Access, Tally, Tx};
use crate::url::place;

/// More writes than could ever run at a time.
const PERMITS: u32 = 1 << 20;

/// Whoever asks whether the server is there wants to know soon.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// A PostgreSQL database.
pub(crate) struct Postgres {
    server: Server,
    transactions: Arc<Transactions>,
    /// Each write that runs holds one permit; the end takes them all.
    permits: Arc<Semaphore>,
}

impl Postgres {
    /// Makes the pool and its first connection, so that a wrong address is known at the start.
    pub(crate) async fn open(server: &Server) -> Result<Self, Error> {
        let opened = Self::open_draft(server).await?;
        let (pool, described) = (&opened.transactions.pool, opened.describe());
        draft::refuse_unfinished(pool, &described).await?;
        migrate::refuse_others(pool, &described).await?;
        Ok(opened)
    }

    /// The same of one that may still be unfinished.
    pub(crate) async fn open_draft(server: &Server) -> Result<Self, Error> {
        let server = connection::watchful(server);
        let pool = connection::pool(&server, server.connections)?;
        connection::check_encoding(&pool).await?;
        tokio::spawn(connection::let_go_of_idle(pool.clone()));
        let transactions = Arc::new(Transactions::new(pool));
        Ok(Self { server, transactions, permits: Arc::new(Semaphore::new(PERMITS as usize)) })
    }

    pub(crate) async fn migrate(&self, migrations: &[Migration]) -> Result<usize, Error> {
        migrate::migrate(&self.server, migrations).await
    }

    /// Runs to its end as a task of its own, whatever becomes of the caller.
    pub(crate) fn write(&self, job: Box<dyn Job>) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            return job.answer(Some(stopped()));
        };
        let transactions = Arc::clone(&self.transactions);
        tokio::spawn(async move {
            transactions.write(job).await;
            drop(permit);
        });
    }

    /// Adds a call to those that wait. A task of its own writes them, whatever becomes of the caller.
    pub(crate) fn write_shared<I, T, E>(&self, kind: &Arc<SharedWrite<I, T, E>>, call: Call<I, T, E>)
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            return call.answer(Err(stopped().into()));
        };
        if kind.add(call, together::AT_A_TIME) {
            let (transactions, kind) = (Arc::clone(&self.transactions), Arc::clone(kind));
            tokio::spawn(async move {
                together::serve(&transactions, &kind).await;
                drop(permit);
            });
        }
    }

    pub(crate) async fn read(&self, work: &mut dyn Work) -> Result<(), Error> {
        self.transactions.run(Access::Read, work).await
    }

    pub(crate) async fn lookup<I, T, E, W>(&self, input: &I, work: W) -> Result<T, E>
    where
        I: Send + Sync,
        E: From<Error> + Send,
        W: for<'a> FnOnce(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>> + Send,
    {
        lookup(&self.transactions.pool, session::LIMIT, input, work).await
    }

    /// A server that is a stand-by, or was set to refuse writes, is not ready.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        timeout(PING_LIMIT, self.takes_writes()).await.unwrap_or_else(|_| Err(too_slow()))
    }

    async fn takes_writes(&self) -> Result<(), Error> {
        let client = self.transactions.pool.get().await.map_err(pool_failure)?;
        let answer = client.query_one("SHOW transaction_read_only", &[]).await;
        let row = answer.map_err(|error| failure(&error).error)?;
        match row.try_get(0) {
            Ok("off") => Ok(()),
            _ => Err(Error::Unavailable("the server takes no writes".to_owned())),
        }
    }

    pub(crate) async fn analyze(&self, tables: &str) -> Result<(), Error> {
        let client = self.transactions.pool.get().await.map_err(pool_failure)?;
        let done = client.batch_execute(&format!("ANALYZE {tables}")).await;
        done.map_err(|error| failure(&error).error)
    }

    pub(crate) fn listen(&self, channel: &'static str) -> Result<Ear, Error> {
        let heard = Arc::new(Notify::new());
        let pool = connection::pool(&self.server, 1)?;
        let task = tokio::spawn(connection::listen(self.server.clone(), channel, Arc::clone(&heard)));
        Ok(Ear { heard, task, pool })
    }

    /// Waits for the writes that run, then lets the connections go.
    pub(crate) async fn close(&self) {
        // An error means that it has been closed before.
        let _ = self.permits.acquire_many(PERMITS).await;
        self.permits.close();
        self.transactions.pool.close();
    }

    pub(crate) fn write_metrics(&self, text: &mut Text) {
        let pool = self.transactions.pool.status();
        let help = "Connections to the database, in use and not.";
        let busy = pool.size.saturating_sub(pool.available);
        for (state, count) in [("busy", busy), ("idle", pool.available)] {
            text.gauge("storehouse_db_pool_connections", help, &[("state", state)], count as f64);
        }
        let help = "Transactions that wait for a connection.";
        text.gauge("storehouse_db_pool_waiting", help, &[], pool.waiting as f64);
        self.transactions.write_metrics(text);
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.transactions.tally
    }

    pub(crate) fn describe(&self) -> String {
        format!("PostgreSQL {}", place(&self.server.config))
    }
}
