//! What becomes of a mail after an attempt.

use std::sync::Arc;

use db::{Db, Error, Tx};
use futures_util::FutureExt;
use kit::clock::Timestamp;
use kit::mail::MailError;
use tracing::{info, warn};

use crate::counts::MailCounts;
use crate::schedule::next_attempt;
use crate::store::{self, Claimed};

/// An attempt that was made.
pub(crate) struct Made {
    pub(crate) claimed: Claimed,
    pub(crate) result: Result<(), MailError>,
    pub(crate) now: Timestamp,
    pub(crate) counts: Arc<MailCounts>,
}

/// Stores what came of an attempt, unless the mail is somebody else's by now.
pub(crate) async fn keep(db: &Db, made: &Arc<Made>) -> Result<(), Error> {
    db.write(Arc::clone(made), |tx, made| made.keep(tx).boxed()).await
}

impl Made {
    async fn keep(&self, tx: &Tx) -> Result<(), Error> {
        let (kept, outcome) = match (&self.result, self.next_attempt()) {
            (Ok(()), _) => (store::end(tx, &self.claimed).await?, "sent"),
            (Err(_), Some(due_at)) => (store::put_off(tx, &self.claimed, due_at).await?, "retried"),
            (Err(_), None) => (store::end(tx, &self.claimed).await?, "given_up"),
        };
        if kept {
            self.counts.ended(tx, outcome);
        }
        Ok(())
    }

    /// None if that is in vain, or would be too late.
    fn next_attempt(&self) -> Option<Timestamp> {
        match &self.result {
            Err(MailError::NotSent(_)) => {
                next_attempt(self.claimed.attempts, self.claimed.created_at, self.now)
            }
            Ok(()) | Err(MailError::NoSuchAddress(_)) => None,
        }
    }

    /// For the log, without the address.
    pub(crate) fn log(&self) {
        let (mail, kind, attempt) = (self.claimed.id, self.claimed.kind.as_str(), self.claimed.attempts);
        match (&self.result, self.next_attempt()) {
            (Ok(()), _) => info!(%mail, kind, attempt, "a mail was sent"),
            (Err(error), Some(_)) => {
                info!(%mail, kind, attempt, reason = error.reason(), "a mail was not sent yet");
            }
            (Err(error), None) => {
                warn!(%mail, kind, attempt, reason = error.reason(), "a mail was given up");
            }
        }
    }
}
