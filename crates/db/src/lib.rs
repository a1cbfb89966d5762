//! One `Db`, two engines: SQLite in a file, or a PostgreSQL server.
//!
//! What it is: transactions as closures (`write`, `write_shared`, `read`, `lookup`), statements in one portable dialect, errors in the words that callers act
//! on, migrations, and news of changes (`listen`). An acknowledged write has reached the disk.
//!
//! What it is not: it knows no table but `schema_migrations` and `guards`, builds no SQL, and has no clock. It is the only crate that names an engine.
//!
//! The portable dialect:
//!
//! 1. Placeholders are `$1` to `$n`, in any order, as often as needed; one argument for each number. No literal holds a `$`.
//! 2. Types are UUID, BIGINT, TEXT, BOOLEAN and BLOB, in capitals. An id is never CAST.
//! 3. Times are BIGINT microseconds, money BIGINT minor units, JSON is TEXT; there are no floating-point numbers.
//! 4. TEXT holds no NUL and is compared byte by byte, on PostgreSQL too.
//! 5. `INSERT … ON CONFLICT`, `RETURNING`, row-value keysets, CTEs, windows and partial indexes may be used.
//! 6. A sum is `CAST(SUM(x) AS BIGINT)`.
//! 7. No `$1 IS NULL OR …`: build the list of filters.
//! 8. No `FOR UPDATE`, `ANY`, `ILIKE`, data-modifying CTEs, or deferred constraints. A closure changes rows, never the schema.
//! 9. Every constraint is named `table_column`, the primary key too (`id UUID CONSTRAINT orders_id PRIMARY KEY`); all foreign keys are reported as `foreign_key`.
//! 10. A rule over several rows first takes its guard row (`Tx::guard`).
//!
//! A closure has no effect outside its transaction, may be run more than once, and awaits nothing but the database. A lookup has no snapshot:
//! each of its statements sees the last commit. Connections to PostgreSQL are encrypted where its address says `sslmode=require`.
//!
//! In reading order: `url`, `error`, `value`, `tx`, `closure`, `shared_write`, `migration`, `listener`, `log`; what is done with a database as a whole: `dump` (into a file),
//! `draft` (a new one that is refused until it is whole), `transfer` (from SQLite to PostgreSQL); then an engine: `sqlite` (`connection`, `statement`,
//! `failure`, `measures`, `batch`, `writer`, `syncer`, `checkpointer`, `readers`, `migrate`, `dump`, `draft`, `source`), `postgres` (`server`, `connection`, `failure`, `session`,
//! `transaction`, `together`, `migrate`, `tools`, `dump`, `draft`, `transfer`).

mod closure;
mod draft;
mod dump;
mod error;
mod listener;
mod log;
mod migration;
mod postgres;
mod shared_write;
mod sqlite;
mod transfer;
mod tx;
mod url;
mod value;

use std::sync::Arc;

use futures_util::future::{BoxFuture, pending};
use metrics::Text;
use tokio::sync::oneshot;

use self::closure::Closure;
pub use self::draft::Draft;
pub use self::dump::{Dumped, dump};
pub use self::error::Error;
pub use self::listener::Listener;
pub use self::log::LogSql;
pub use self::migration::Migration;
use self::postgres::Postgres;
pub use self::postgres::Server;
use self::shared_write::Call;
pub use self::shared_write::SharedWrite;
pub use self::sqlite::WRITER_SETTINGS as SQLITE_WRITER_SETTINGS;
use self::sqlite::{Durability, Sqlite};
pub use self::transfer::{Movable, Moved, transfer};
pub use self::tx::{Planning, Tx};
pub use self::url::DatabaseUrl;
pub use self::value::{Column, Row, Value};

const COMMIT_HELP: &str = "How long a commit took until it was durable, in seconds.";

/// Told of how far something is: what is done, how much of it, and how much there is; nothing if that isn't known.
pub type Progress = Arc<dyn Fn(&str, u64, Option<u64>) + Send + Sync>;

/// The database. Clones share it.
#[derive(Clone)]
pub struct Db {
    engine: Arc<Engine>,
}

enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Db {
    /// Opens the database; a SQLite file and its folder are created, readable by nobody else. One with another program's tables is refused and left
    /// as it is.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, Error> {
        let engine = match url {
            DatabaseUrl::Sqlite(path) => Engine::Sqlite(Sqlite::open(path, Durability::EachCommit).await?),
            DatabaseUrl::Postgres(server) => Engine::Postgres(Postgres::open(server).await?),
        };
        Ok(Self { engine: Arc::new(engine) })
    }

    /// Applies the migrations that the database does not have yet, behind a lock, and counts them.
    pub async fn migrate(&self, migrations: &[Migration]) -> Result<usize, Error> {
        match &*self.engine {
            Engine::Sqlite(sqlite) => sqlite.migrate(migrations).await,
            Engine::Postgres(postgres) => postgres.migrate(migrations).await,
        }
    }

    /// Runs the closure as a transaction; resolves once it is durable. An error rolls it back. Once begun it is run to its end even if the caller goes away.
    pub async fn write<I, T, E, W>(&self, input: I, work: W) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: for<'a> Fn(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>> + Send + Sync + 'static,
    {
        let (caller, result) = oneshot::channel();
        let job = closure::queued(input, work, caller);
        match &*self.engine {
            Engine::Sqlite(sqlite) => sqlite.write(job),
            Engine::Postgres(postgres) => postgres.write(job),
        }
        result.await.unwrap_or_else(|_| Err(self.unanswered().into()))
    }

    /// Writes as [`Db::write`] does; calls that wait share a transaction and its statements.
    pub async fn write_shared<I, T, E>(&self, kind: &Arc<SharedWrite<I, T, E>>, input: I) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (caller, result) = oneshot::channel();
        let call = Call::new(input, caller);
        match &*self.engine {
            Engine::Sqlite(sqlite) => sqlite.write_shared(kind, call),
            Engine::Postgres(postgres) => postgres.write_shared(kind, call),
        }
        result.await.unwrap_or_else(|_| Err(self.unanswered().into()))
    }

    /// Why a write was let go without an answer.
    fn unanswered(&self) -> Error {
        match &*self.engine {
            Engine::Sqlite(_) => closure::stopped(),
            // Its task ends like that only with the runtime that drives it.
            Engine::Postgres(_) => Error::OutcomeUnknown,
        }
    }

    /// Runs the closure over one snapshot of the last commit: for lists and reports.
    pub async fn read<I, T, E, W>(&self, input: I, work: W) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: for<'a> Fn(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>> + Send + Sync + 'static,
    {
        match &*self.engine {
            Engine::Sqlite(sqlite) => {
                let (caller, result) = oneshot::channel();
                sqlite.read(closure::queued(input, work, caller));
                result.await.unwrap_or_else(|_| Err(closure::stopped().into()))
            }
            // Here, and not by a task: whoever goes away ends it.
            Engine::Postgres(postgres) => {
                let mut closure = Closure::new(input, work);
                let failure = Box::pin(postgres.read(&mut closure)).await.err();
                closure.end(failure).0
            }
        }
    }

    /// Runs a read by key: on SQLite right here, in a few microseconds, so nothing longer belongs in it.
    pub async fn lookup<I, T, E, W>(&self, input: I, work: W) -> Result<T, E>
    where
        I: Send + Sync,
        E: From<Error> + Send,
        W: for<'a> FnOnce(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>> + Send,
    {
        match &*self.engine {
            Engine::Sqlite(sqlite) => sqlite.lookup(&input, work),
            Engine::Postgres(postgres) => Box::pin(postgres.lookup(&input, work)).await,
        }
    }

    /// Resolves once all that a read has seen so far is on the disk: before it is told to somebody who keeps it for himself, since on SQLite a read may
    /// see a write some hundred microseconds earlier (decision 0009).
    pub async fn settle(&self) -> Result<(), Error> {
        match &*self.engine {
            Engine::Sqlite(sqlite) => sqlite.ping().await,
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Can writes be made? A full disk shows only at a write itself, so that reads go on meanwhile.
    pub async fn ping(&self) -> Result<(), Error> {
        match &*self.engine {
            Engine::Sqlite(sqlite) => sqlite.ping().await,
            Engine::Postgres(postgres) => postgres.ping().await,
        }
    }

    /// Has tables counted that were filled, so that PostgreSQL plans for what they hold and not, for a minute or so, for what they held before. What keeps it
    /// from that is only logged. Nothing on SQLite.
    pub async fn analyze(&self, tables: &'static str) {
        if let Engine::Postgres(postgres) = &*self.engine
            && let Err(error) = postgres.analyze(tables).await
        {
            tracing::warn!(%error, tables, "filled tables can't be counted; queries may be slow for a minute");
        }
    }

    /// Resolves, with the reason, when the writer has given up for good; then the process must end.
    pub async fn failed(&self) -> String {
        match &*self.engine {
            Engine::Sqlite(sqlite) => sqlite.failed().await,
            Engine::Postgres(_) => pending().await,
        }
    }

    /// Listens for the notifications of a channel; the caller looks in its table after each `changed`.
    pub async fn listen(&self, channel: &'static str) -> Result<Listener, Error> {
        Ok(match &*self.engine {
            Engine::Sqlite(_) => Listener::polling(self.clone()),
            Engine::Postgres(postgres) => Listener::hearing(self.clone(), postgres.listen(channel)?),
        })
    }

    /// Finishes the writes that wait and lets the database go. Whatever comes later is refused.
    pub async fn close(&self) {
        match &*self.engine {
            Engine::Sqlite(sqlite) => sqlite.close().await,
            Engine::Postgres(postgres) => postgres.close().await,
        }
    }

    /// Writes what the database measures: its queues or its connections, its commits, its size.
    pub fn write_metrics(&self, text: &mut Text) {
        match &*self.engine {
            Engine::Sqlite(sqlite) => sqlite.write_metrics(text),
            Engine::Postgres(postgres) => postgres.write_metrics(text),
        }
    }

    /// What the transactions of this process have told of ([`Tx::tally`], [`Tx::require`]), by word; no word stands for those that found no place.
    pub fn tally(&self) -> impl Iterator<Item = (Option<&'static str>, u64)> {
        let tally = match &*self.engine {
            Engine::Sqlite(sqlite) => sqlite.tally(),
            Engine::Postgres(postgres) => postgres.tally(),
        };
        tally.counts()
    }

    /// The engine and where the data lives, without a secret.
    pub fn describe(&self) -> String {
        match &*self.engine {
            Engine::Sqlite(sqlite) => sqlite.describe(),
            Engine::Postgres(postgres) => postgres.describe(),
        }
    }
}
