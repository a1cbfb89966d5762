//! The work that nobody asks for: events of low stock become mails, and mails are sent, one after another.

use std::sync::Arc;
use std::time::Duration;

use db::{Error, Tx};
use futures_util::FutureExt;
use futures_util::future::join;
use kit::clock::Timestamp;
use kit::mail::{Letter, MailError};
use kit::work::ticks;
use tokio::time::sleep;
use tracing::warn;

use crate::Mails;
use crate::compose::compose;
use crate::low_stock::gather;
use crate::outcome::{Made, keep};
use crate::public_url::PublicUrl;
use crate::store::{self, Claimed};

/// How often it is looked for mails that are due.
const POLL: Duration = Duration::from_secs(1);
/// How long nothing is asked of a database that failed.
const REST: Duration = Duration::from_secs(2);
/// How often it is counted what waits.
const FIGURES_INTERVAL: Duration = Duration::from_secs(60);

/// How long a mail is nobody else's: longer than an attempt and the storing of its outcome can take.
const LEASE: Duration = Duration::from_secs(120);

/// How long what is under way may take when the process ends.
const ENDING: Duration = Duration::from_secs(20);

/// How often an outcome is offered to a database that doesn't take it; after that the mail is sent again.
const KEEPING: usize = 5;

/// What came of looking for a mail to send.
enum Next {
    /// There is none.
    Nothing,
    /// It had nothing to tell any more, and is gone.
    Void,
    /// This one.
    Mail(Box<Claimed>, Letter),
}

impl Mails {
    /// Sends mails, for ever.
    pub async fn work(&self) {
        join(self.keep_sending(), self.keep_counting()).await;
    }

    /// Begins nothing more, and resolves once what is under way has ended, so that it isn't sent again after a restart; or when that takes too long.
    /// The work must go on meanwhile.
    pub async fn finish(&self) {
        self.ending.ask(ENDING).await;
    }

    /// Counts what waits, before its time.
    pub async fn refresh_figures(&self) -> Result<(), Error> {
        let waiting: i64 = self.db.read((), |tx, ()| store::count_waiting(tx).boxed()).await?;
        self.counts.set_waiting(waiting);
        Ok(())
    }

    async fn keep_sending(&self) {
        let mut ticks = ticks(POLL);
        loop {
            tokio::select! {
                () = self.ending.asked() => break,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.send_due().await {
                warn!(cause = %error, "it can't be seen which mails are due");
                sleep(REST).await;
            }
        }
        self.ending.reach().await;
    }

    async fn send_due(&self) -> Result<(), Error> {
        if !self.low_stock_to.is_empty() {
            gather(&self.db, &self.low_stock_to, self.clock.now()).await?;
        }
        while !self.ending.is_asked() {
            match self.next().await? {
                Next::Nothing => break,
                Next::Void => {}
                Next::Mail(claimed, letter) => {
                    // Where one can't be sent now, the next can't either.
                    if self
                        .send(*claimed, &letter)
                        .await
                        .is_err_and(|error| matches!(error, MailError::NotSent(_)))
                    {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    async fn next(&self) -> Result<Next, Error> {
        let now = self.clock.now();
        // Mostly there is nothing to send, and so nothing to write.
        if !self.db.lookup(now, |tx, now| store::is_any_due(tx, *now).boxed()).await? {
            return Ok(Next::Nothing);
        }
        let input = (now, self.public_url.clone());
        self.db.write(input, |tx, (now, public_url)| claim(tx, public_url.as_ref(), *now).boxed()).await
    }

    async fn send(&self, claimed: Claimed, letter: &Letter) -> Result<(), MailError> {
        let result = self.way.send(letter).await;
        let (now, counts) = (self.clock.now(), Arc::clone(&self.counts));
        let made = Arc::new(Made { claimed, result: result.clone(), now, counts });
        made.log();
        for _ in 0..KEEPING {
            match keep(&self.db, &made).await {
                Ok(()) => break,
                Err(error) => warn!(cause = %error, "what became of a mail can't be stored"),
            }
            sleep(REST).await;
        }
        result
    }

    async fn keep_counting(&self) {
        let mut ticks = ticks(FIGURES_INTERVAL);
        loop {
            ticks.tick().await;
            if let Err(error) = self.refresh_figures().await {
                warn!(cause = %error, "the mails that wait can't be counted");
            }
        }
    }
}

async fn claim(tx: &Tx, public_url: Option<&PublicUrl>, now: Timestamp) -> Result<Next, Error> {
    let Some(claimed) = store::claim(tx, now, now.plus(LEASE)).await? else { return Ok(Next::Nothing) };
    match compose(tx, &claimed, public_url, now).await? {
        Some(letter) => Ok(Next::Mail(Box::new(claimed), letter)),
        None => {
            store::end(tx, &claimed).await?;
            Ok(Next::Void)
        }
    }
}
