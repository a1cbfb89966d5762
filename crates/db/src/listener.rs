//! Hearing of changes that another process made.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A hint that there may be something new; the caller looks in its table after each one.
pub struct Listener {
    longest: Duration,
    ear: Option<Ear>,
}

/// The task that keeps a PostgreSQL connection listening; it ends with the listener.
pub(crate) struct Ear {
    pub(crate) heard: Arc<Notify>,
    pub(crate) task: JoinHandle<()>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// SQLite has no notifications, and a poll of a file is cheap.
    pub(crate) fn polling() -> Self {
        Self { longest: Duration::from_millis(250), ear: None }
    }

    /// A notification can be lost with its connection, so even here a poll follows after a second.
    pub(crate) fn hearing(ear: Ear) -> Self {
        Self { longest: Duration::from_secs(1), ear: Some(ear) }
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
