//! Hearing of changes that another process made.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::{Db, Error, Tx, postgres};

/// How long the server may take to answer a look. It is shorter than callers wait, so that a connection gone silent is
/// found out and given up, and the next look gets another: the pool has no second one to try.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// A hint that there may be something new; the caller looks in its table after each one.
pub struct Listener {
    db: Db,
    longest: Duration,
    ear: Option<Ear>,
}

/// The task that keeps a PostgreSQL connection listening, which ends with the listener, and a pool of one connection
/// to look with, so that slow statements of others are never in the way.
pub(crate) struct Ear {
    pub(crate) heard: Arc<Notify>,
    pub(crate) task: JoinHandle<()>,
    pub(crate) pool: Pool,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// SQLite has no notifications, and a poll of a file is cheap.
    pub(crate) fn polling(db: Db) -> Self {
        Self { db, longest: Duration::from_millis(250), ear: None }
    }

    /// A notification can be lost with its connection, so even here a poll follows after a second.
    pub(crate) fn hearing(db: Db, ear: Ear) -> Self {
        Self { db, longest: Duration::from_secs(1), ear: Some(ear) }
    }

    /// Runs a read by key, as [`Db::lookup`] does, on a connection of the listener's own. On PostgreSQL a statement that isn't
    /// answered within 2 s fails as unavailable, and its connection is given up.
    pub async fn lookup<I, T, E, W>(&self, input: I, work: W) -> Result<T, E>
    where
        I: Send + Sync,
        E: From<Error> + Send,
        W: for<'a> FnOnce(&'a Tx, &'a I) -> BoxFuture<'a, Result<T, E>> + Send,
    {
        match &self.ear {
            Some(ear) => postgres::lookup(&ear.pool, LOOK_LIMIT, &input, work).await,
            None => self.db.lookup(input, work).await,
        }
    }

    /// Returns after a notification, or when it is time to look anyway.
    pub async fn changed(&mut self) {
        match &self.ear {
            // Which of the two it was makes no difference to the caller.
            Some(ear) => drop(timeout(self.longest, ear.heard.notified()).await),
            None => sleep(self.longest).await,
        }
    }
}
