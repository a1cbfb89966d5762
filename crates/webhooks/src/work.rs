//! The work that nobody asks for: events become deliveries, deliveries are sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use db::Error;
use futures_util::FutureExt;
use futures_util::future::{join3, pending};
use kit::work::{Ending, ticks};
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio::time::sleep;
use tracing::warn;
use uuid::Uuid;

use crate::Webhooks;
use crate::claim::{Work, claim_due};
use crate::fan_out::fan_out;
use crate::model::Webhook;
use crate::outcome::{Made, keep};
use crate::store::{self, Claimed};

/// How often it is looked for events, and for deliveries that are due.
const POLL: Duration = Duration::from_millis(500);
/// How long nothing is asked of a database that failed.
const REST: Duration = Duration::from_secs(2);
/// How often it is counted what waits.
const FIGURES_INTERVAL: Duration = Duration::from_secs(60);

/// How many deliveries a process sends at once, to one webhook and to all.
const AT_ONCE: usize = 8;
const AT_ONCE_IN_ALL: usize = 64;

/// How long what is under way may take when the process ends. Most receivers answer sooner; who doesn't is asked again by whoever takes the delivery next.
const ENDING: Duration = Duration::from_secs(3);

/// How often an outcome is offered to a database that doesn't take it; after that the delivery is sent again.
const KEEPING: usize = 5;

/// How far the work of this process is.
#[derive(Default)]
pub(crate) struct Progress {
    /// There is something new to send.
    news: Notify,
    ending: Ending,
}

/// Deliveries under way, by task.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    webhooks: HashMap<Id, Uuid>,
}

impl UnderWay {
    /// How many more may be sent to a webhook.
    fn room(&self, webhook: Uuid) -> usize {
        let used = self.webhooks.values().filter(|other| **other == webhook).count();
        AT_ONCE.saturating_sub(used).min(AT_ONCE_IN_ALL.saturating_sub(self.webhooks.len()))
    }

    fn begin(&mut self, webhook: Uuid, sending: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(sending).id();
        self.webhooks.insert(task, webhook);
    }

    /// Resolves when one has ended; never if there is none.
    async fn one_ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((task, ()))) => drop(self.webhooks.remove(&task)),
            Some(Err(error)) => drop(self.webhooks.remove(&error.id())),
            None => pending().await,
        }
    }
}

impl Webhooks {
    /// Makes deliveries of events and sends them, for ever.
    pub async fn work(self: &Arc<Self>) {
        join3(self.keep_fanning_out(), self.keep_sending(), self.keep_counting()).await;
    }

    /// Begins nothing more, and resolves once what is under way has ended, so that none of it is sent again after a restart; or after three seconds.
    /// The work must go on meanwhile.
    pub async fn finish(&self) {
        self.progress.ending.ask(ENDING).await;
    }

    /// Counts what waits, before its time.
    pub async fn refresh_figures(&self) -> Result<(), Error> {
        let counted = self.db.read((), |tx, ()| store::oldest_pending(tx).boxed());
        let (pending, oldest): (i64, Option<_>) = counted.await?;
        self.counts.set_pending(pending, oldest);
        Ok(())
    }

    async fn keep_fanning_out(&self) {
        let mut ticks = ticks(POLL);
        loop {
            ticks.tick().await;
            if let Err(error) = self.fan_out().await {
                warn!(cause = %error, "events can't be made deliveries");
                sleep(REST).await;
            }
        }
    }

    async fn fan_out(&self) -> Result<(), Error> {
        while fan_out(&self.db, self.clock.now(), &self.progress.news).await? {}
        Ok(())
    }

    async fn keep_sending(self: &Arc<Self>) {
        let mut ticks = ticks(POLL);
        let mut under_way = UnderWay::default();
        loop {
            tokio::select! {
                () = self.progress.ending.asked() => break,
                _ = ticks.tick() => {}
                () = self.progress.news.notified() => {}
                () = under_way.one_ended() => {}
            }
            if let Err(error) = self.send_due(&mut under_way).await {
                warn!(cause = %error, "it can't be seen which deliveries are due");
                sleep(REST).await;
            }
        }
        while under_way.tasks.join_next().await.is_some() {}
        self.progress.ending.reach().await;
    }

    /// Begins what is due, as far as there is room.
    async fn send_due(self: &Arc<Self>, under_way: &mut UnderWay) -> Result<(), Error> {
        let now = self.clock.now();
        let due: Vec<Uuid> = self.db.read(now, |tx, now| store::list_due(tx, *now).boxed()).await?;
        for webhook in due {
            let Some(room) = i64::try_from(under_way.room(webhook)).ok().filter(|room| *room > 0) else {
                continue;
            };
            let Some(Work { webhook, claimed }) = claim_due(&self.db, webhook, now, room).await? else {
                continue;
            };
            let webhook = Arc::new(webhook);
            for claimed in claimed {
                under_way.begin(webhook.id, Arc::clone(self).send(Arc::clone(&webhook), claimed));
            }
        }
        Ok(())
    }

    async fn send(self: Arc<Self>, webhook: Arc<Webhook>, claimed: Claimed) {
        let attempt = self.attempt(&webhook, claimed.id, &claimed.body).await;
        let (now, counts) = (self.clock.now(), Arc::clone(&self.counts));
        let made = Arc::new(Made { webhook: webhook.id, claimed, attempt, now, counts });
        made.log();
        for _ in 0..KEEPING {
            match keep(&self.db, &made).await {
                Ok(()) => return,
                Err(error) => warn!(cause = %error, "what became of a delivery can't be stored"),
            }
            sleep(REST).await;
        }
    }

    async fn keep_counting(&self) {
        let mut ticks = ticks(FIGURES_INTERVAL);
        loop {
            ticks.tick().await;
            if let Err(error) = self.refresh_figures().await {
                warn!(cause = %error, "what waits for webhooks can't be counted");
            }
        }
    }
}
