//! A transaction, as the closures see it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Labelled;
use rusqlite::Connection;
use uuid::Uuid;

use crate::closure::Action;
use crate::error::Failure;
use crate::postgres::Session;
use crate::value::{Row, Value};
use crate::{Error, LogSql, Migration, log, postgres, sqlite};

/// A transaction. After its first failed statement it is spent: nothing more is run, and it is rolled back whatever the closure returns.
pub struct Tx {
    link: Link,
    access: Access,
    failure: Mutex<Option<Failure>>,
    actions: Mutex<Vec<Action>>,
    /// None where nothing is written.
    tally: Option<Arc<Tally>>,
}

/// What committed transactions have written, and what wasn't so that must be so, by words of a fixed list; words beyond its places share one.
pub(crate) type Tally = Labelled<&'static str, 64>;

/// The connection, shared with the code that begins and ends the transaction.
///
/// What is awaited on PostgreSQL is boxed wherever the two part: it takes kilobytes, which the future of every handler would
/// have inside and copy on its way, on SQLite too.
pub(crate) enum Link {
    Sqlite(Arc<Mutex<Connection>>),
    Postgres(Arc<Session>),
}

/// What is done with each row of an answer.
pub(crate) type TakeRow<'a> = &'a mut (dyn FnMut(&Row<'_>) -> Result<(), Error> + Send);

/// A transaction takes no more locks by id than this.
const MOST_LOCKS: usize = 128;

/// How PostgreSQL is to plan statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planning {
    /// For the tables as they are, for whoever fills them to ask again and again: it would go on with the plan that it made of a statement when a table was
    /// still empty, which reads all of it. To have each statement planned by itself would do as well, but each foreign key of each row is looked for by a
    /// statement too.
    Anew,
    /// For the arguments of each, to the end of the transaction: without them it takes a word that all have for one that few have.
    ForArguments,
    /// Without looking up each row of a table in another: that is meant to be done early, and takes the longest where nothing is found.
    WithoutLookups,
    /// With that again.
    WithLookups,
}

impl Planning {
    fn sql(self) -> &'static str {
        match self {
            Self::Anew => "DISCARD PLANS",
            Self::ForArguments => "SET LOCAL plan_cache_mode = force_custom_plan",
            Self::WithoutLookups => "SET LOCAL enable_nestloop = off",
            Self::WithLookups => "SET LOCAL enable_nestloop = on",
        }
    }
}

/// What a closure may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Write,
    Read,
}

impl Tx {
    pub(crate) fn new(link: Link, access: Access) -> Self {
        Self { link, access, failure: Mutex::default(), actions: Mutex::default(), tally: None }
    }

    pub(crate) fn writing(link: Link, tally: &Arc<Tally>) -> Self {
        Self { tally: Some(Arc::clone(tally)), ..Self::new(link, Access::Write) }
    }

    /// Runs a statement and counts the rows that it changed.
    pub async fn execute(&self, sql: &str, args: &[Value<'_>]) -> Result<u64, Error> {
        self.check(sql)?;
        let counted = match &self.link {
            Link::Sqlite(connection) => sqlite::execute(&lock(connection), sql, args),
            Link::Postgres(session) => Box::pin(postgres::execute(session, sql, args)).await,
        };
        self.note(counted)
    }

    /// Runs a statement and maps each row of its answer.
    pub async fn rows<T: Send>(
        &self,
        sql: &str,
        args: &[Value<'_>],
        mut map: impl FnMut(&Row<'_>) -> Result<T, Error> + Send,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        let mut take = |row: &Row<'_>| {
            found.push(map(row)?);
            Ok(())
        };
        self.each_row(sql, args, &mut take).await?;
        Ok(found)
    }

    /// Compiled once, and not for each kind of row.
    async fn each_row(&self, sql: &str, args: &[Value<'_>], take: TakeRow<'_>) -> Result<(), Error> {
        self.check(sql)?;
        let done = match &self.link {
            Link::Sqlite(connection) => sqlite::each_row(&lock(connection), sql, args, take),
            Link::Postgres(session) => Box::pin(postgres::each_row(session, sql, args, take)).await,
        };
        self.note(done)
    }

    /// Runs a statement that answers with at most one row.
    pub async fn optional<T: Send>(
        &self,
        sql: &str,
        args: &[Value<'_>],
        map: impl FnOnce(&Row<'_>) -> Result<T, Error> + Send,
    ) -> Result<Option<T>, Error> {
        let mut map = Some(map);
        let only = |row: &Row<'_>| match map.take() {
            Some(map) => map(row),
            None => Err(Error::Internal(format!("more than one row: {sql}"))),
        };
        Ok(self.rows(sql, args, only).await?.pop())
    }

    /// Runs a statement that answers with exactly one row.
    pub async fn one<T: Send>(
        &self,
        sql: &str,
        args: &[Value<'_>],
        map: impl FnOnce(&Row<'_>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        match self.optional(sql, args, map).await? {
            Some(found) => Ok(found),
            None => self.note(Err(Error::Internal(format!("no row: {sql}")).into())),
        }
    }

    /// Runs statements that do not depend on each other: one round trip on PostgreSQL, a loop on SQLite.
    pub async fn all(&self, statements: &[(&str, &[Value<'_>])]) -> Result<Vec<u64>, Error> {
        for (sql, _) in statements {
            self.check(sql)?;
        }
        let counted = match &self.link {
            Link::Sqlite(connection) => {
                let connection = lock(connection);
                statements.iter().map(|(sql, args)| sqlite::execute(&connection, sql, args)).collect()
            }
            Link::Postgres(session) => Box::pin(postgres::all(session, statements)).await,
        };
        self.note(counted)
    }

    /// Runs statements whose counts nobody needs, in their order: on PostgreSQL they are sent with the closure's next statement, or with COMMIT if none
    /// follows, which saves their round trip; so one's failure may be told by the write alone. On SQLite they are run at once.
    pub async fn later(&self, statements: &[(&str, &[Value<'_>])]) -> Result<(), Error> {
        match &self.link {
            Link::Sqlite(_) => self.all(statements).await.map(drop),
            Link::Postgres(session) => {
                for (sql, _) in statements {
                    self.check(sql)?;
                }
                self.note(Box::pin(postgres::keep(session, statements)).await)
            }
        }
    }

    /// Has the write itself run an action after its COMMIT, before the caller is answered and even if the caller has gone; never after a rollback.
    pub fn after_commit(&self, action: impl FnOnce() + Send + 'static) {
        lock(&self.actions).push(Box::new(action));
    }

    /// Counts what the closure has written, under a word of a fixed list, once it is committed; [`crate::Db::tally`] tells how much.
    pub fn tally(&self, word: &'static str, count: u64) {
        if let Some(tally) = self.tally.clone() {
            self.after_commit(move || tally.add(word, count));
        }
    }

    /// An assertion that stays on: unless it is so, the transaction is spent, and [`crate::Db::tally`] counts the violation, each time that the work is run.
    pub fn require(
        &self,
        invariant: &'static str,
        is_so: bool,
        found: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        if is_so {
            return Ok(());
        }
        if let Some(tally) = &self.tally {
            tally.increment(invariant);
        }
        self.note(Err(Error::Violated(invariant, found()).into()))
    }

    /// Takes the guard row of a rule over several rows, until the end of the transaction. A guard that no migration made is an error.
    pub async fn guard(&self, name: &str) -> Result<i64, Error> {
        const SQL: &str = "UPDATE guards SET n = n + 1 WHERE name = $1 RETURNING n";
        self.one(SQL, &[name.into()], |row| row.get(0)).await
    }

    /// The next numbers of a series, so many: unique and rising, with gaps where a transaction failed. A guard row of that name on SQLite, where
    /// writers go one by one anyway; a sequence on PostgreSQL, where a row would make them.
    pub async fn next_numbers(&self, series: &'static str, count: usize) -> Result<Vec<i64>, Error> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        match &self.link {
            Link::Sqlite(_) => {
                let sql = "UPDATE guards SET n = n + $2 WHERE name = $1 RETURNING n";
                let last: i64 = self.one(sql, &[series.into(), count.into()], |row| row.get(0)).await?;
                Ok((last - count + 1..=last).collect())
            }
            Link::Postgres(_) => {
                let sql = "SELECT nextval(CAST(CAST($1 AS TEXT) AS regclass)) FROM generate_series(1, $2)";
                self.rows(sql, &[series.into(), count.into()], |row| row.get(0)).await
            }
        }
    }

    /// Makes transactions that name the same id among others of a kind go one by one, until the end of each. Who names several names them in the order
    /// that all keep to, or two would wait for each other; who names very many goes alone among all of the kind, since the server has room for only
    /// so many locks. Nothing on SQLite, where all go one by one.
    pub async fn exclude_others(&self, among: &'static str, ids: &[Uuid]) -> Result<(), Error> {
        const BESIDE: &str = "SELECT pg_advisory_xact_lock_shared(hashtext($1), 0) IS NULL";
        const EACH: &str = "SELECT pg_advisory_xact_lock(CAST(key AS BIGINT)) IS NULL FROM unnest(string_to_array($1, ' ')) AS key";
        match &self.link {
            Link::Postgres(_) if ids.len() > MOST_LOCKS => self.exclude_all(among).await,
            Link::Postgres(_) if !ids.is_empty() => {
                let keys: Vec<String> =
                    ids.iter().map(|id| id.as_u64_pair().1.cast_signed().to_string()).collect();
                self.later(&[(BESIDE, &[among.into()]), (EACH, &[keys.join(" ").as_str().into()])]).await
            }
            Link::Sqlite(_) | Link::Postgres(_) => Ok(()),
        }
    }

    /// Makes a transaction go alone among all of a kind, whatever ids they name. Nothing on SQLite.
    pub async fn exclude_all(&self, among: &'static str) -> Result<(), Error> {
        const ALONE: &str = "SELECT pg_advisory_xact_lock(hashtext($1), 0) IS NULL";
        match &self.link {
            Link::Sqlite(_) => Ok(()),
            Link::Postgres(_) => self.later(&[(ALONE, &[among.into()])]).await,
        }
    }

    /// How statements are planned from here on. Nothing on SQLite.
    pub async fn plan(&self, how: Planning) -> Result<(), Error> {
        match &self.link {
            Link::Sqlite(_) => Ok(()),
            Link::Postgres(session) => {
                self.note(Box::pin(postgres::keep(session, &[(how.sql(), &[])])).await)
            }
        }
    }

    /// Whether tables can be joined by going through each of them once (PostgreSQL), and not only by looking up each row of the first in the others (SQLite).
    pub fn merges_joins(&self) -> bool {
        matches!(self.link, Link::Postgres(_))
    }

    /// An id as this engine writes it in a statement. Where a partial index leaves out an id, only a query that names it in the same words can use it.
    pub fn id_literal(&self, id: Uuid) -> String {
        match &self.link {
            Link::Sqlite(_) => format!("X'{:X}'", id.simple()),
            Link::Postgres(_) => format!("'{id}'"),
        }
    }

    /// How a log is read here so that no row is ever skipped.
    pub fn log_sql(&self) -> &'static LogSql {
        match &self.link {
            Link::Sqlite(_) => &log::SQLITE,
            Link::Postgres(_) => &log::POSTGRES,
        }
    }

    /// What is damaged in the file, each in a line: pages and indexes, and rows that name one of another table which isn't there. Only on SQLite, whose
    /// file anybody may have written to; PostgreSQL looks after its own.
    pub async fn damage(&self) -> Result<Vec<String>, Error> {
        const PAGES: &str =
            "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
        const KEYS: &str = "SELECT \"table\", parent, COUNT(*) FROM pragma_foreign_key_check GROUP BY 1, 2";
        if let Link::Postgres(_) = self.link {
            return Ok(Vec::new());
        }
        let mut found = self.rows(PAGES, &[], |row| row.get(0)).await?;
        let nameless = |row: &Row<'_>| {
            let (table, parent, count): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(format!("{count} rows of {table} name one of {parent} that isn't there"))
        };
        found.extend(self.rows(KEYS, &[], nameless).await?);
        Ok(found)
    }

    /// The triggers of these migrations that the database doesn't have, or has turned off.
    pub async fn missing_triggers(&self, migrations: &[Migration]) -> Result<Vec<&'static str>, Error> {
        const SQLITE: &str = "SELECT name FROM sqlite_master WHERE type = 'trigger'";
        const POSTGRES: &str = "SELECT tgname::text FROM pg_trigger
            WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') AND pg_table_is_visible(tgrelid)";
        let (sql, text): (_, fn(&Migration) -> &'static str) = match &self.link {
            Link::Sqlite(_) => (SQLITE, |migration| migration.sqlite),
            Link::Postgres(_) => (POSTGRES, |migration| migration.postgres),
        };
        let there: Vec<String> = self.rows(sql, &[], |row| row.get(0)).await?;
        let made = migrations.iter().flat_map(|migration| Migration::triggers(text(migration)));
        Ok(made.filter(|name| !there.iter().any(|found| found == name)).collect())
    }

    /// Wakes those who listen to the channel, after the commit. Nothing on SQLite, where they poll.
    pub async fn notify(&self, channel: &'static str) -> Result<(), Error> {
        match &self.link {
            Link::Sqlite(_) => Ok(()),
            Link::Postgres(_) => self.later(&[("SELECT pg_notify($1, '') IS NULL", &[channel.into()])]).await,
        }
    }

    /// The closure's result, or the failure of a statement that the closure let pass.
    pub(crate) fn judge<T, E: From<Error>>(&self, result: Result<T, E>) -> Result<T, E> {
        match lock(&self.failure).as_ref() {
            Some(failure) if result.is_ok() => Err(failure.error.clone().into()),
            _ => result,
        }
    }

    /// Ends the closure's use: the first failure, and what is to be done after the commit.
    pub(crate) fn end(self) -> (Option<Failure>, Vec<Action>) {
        let failure = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        let actions = self.actions.into_inner().unwrap_or_else(PoisonError::into_inner);
        (failure, actions)
    }

    fn check(&self, sql: &str) -> Result<(), Error> {
        if lock(&self.failure).is_some() {
            return Err(Error::Spent);
        }
        // PostgreSQL would run it in a lookup, which has no transaction; SQLite refuses it by itself.
        if self.access == Access::Read && !reads(sql) {
            let refused = Error::Internal(format!("only a query may be run here: {sql}"));
            return self.note(Err(refused.into()));
        }
        Ok(())
    }

    /// Remembers the first failure.
    fn note<T>(&self, result: Result<T, Failure>) -> Result<T, Error> {
        result.map_err(|failure| {
            let error = failure.error.clone();
            lock(&self.failure).get_or_insert(failure);
            error
        })
    }
}

/// Is it a query?
pub(crate) fn reads(sql: &str) -> bool {
    let word = sql.split_whitespace().next().unwrap_or_default();
    word.eq_ignore_ascii_case("SELECT") || word.eq_ignore_ascii_case("WITH")
}

/// Locks what only one thread uses at a time; a closure's panic leaves nothing half-done behind such a lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
