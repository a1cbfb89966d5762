//! Which sessions live, known without a query: a bounded cache, kept true by the feed.
//!
//! Every change that ends a session or its tokens writes a feed row in its transaction. The process that wrote it
//! applies it as an after-commit action, before it answers; others follow the feed. Without a sign of the feed for
//! five seconds nobody is let in, since a revocation may have been missed.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use db::{Db, Listener};
use futures_util::FutureExt;
use kit::api_key::{ApiKey, KeyHash};
use kit::clock::{Clock, Timestamp};
use kit::identity::{Check, Role, Sessions};
use kit::problem::Problem;
use kit::token::Claims;
use quick_cache::sync::Cache;
use tokio::time::Instant;
use tracing::warn;
use uuid::Uuid;

use crate::api_keys::{EXPIRED_KEPT, KeyUses, KnownKey};
use crate::session::SessionLimits;
use crate::session_feed::{FeedRow, Look};
use crate::store;

/// How many sessions are kept in mind; each takes about 100 bytes.
const CAPACITY: usize = 100_000;

/// How many API keys are kept in mind: more than there may be.
const KEY_CAPACITY: usize = 2_000;

/// How often it is stored when keys were used.
const USES_INTERVAL: Duration = Duration::from_secs(10);

/// Without a sign of the feed for so long, nobody is let in.
const FEED_TIMEOUT: Duration = Duration::from_secs(5);

/// One poll of the feed may take so long: longer than the listener waits for an answer, which finds a silent
/// connection out, and short enough for a second poll before nobody is let in.
const POLL_TIMEOUT: Duration = Duration::from_secs(3);

/// The feed's rows are kept for so long.
const FEED_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The sessions that this process knows to live.
pub struct LiveSessions {
    db: Db,
    clock: Clock,
    limits: SessionLimits,
    known: Cache<Uuid, Known>,
    keys: Cache<KeyHash, Arc<KnownKey>>,
    key_uses: KeyUses,
    /// Counts revocations, so that a session read before one isn't remembered after it. Held while the cache is
    /// changed, so that no request finds there what is about to be forgotten.
    revocations: Mutex<u64>,
    started: Instant,
    /// When the feed was last seen, in milliseconds after `started`.
    feed_seen: AtomicI64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    account_id: Uuid,
    role: Role,
    ends_at: Timestamp,
}

impl LiveSessions {
    /// Knows nothing yet. Run [`LiveSessions::follow_feed`] beside it.
    pub fn new(db: Db, clock: Clock, limits: SessionLimits) -> Arc<Self> {
        Arc::new(Self {
            db,
            clock,
            limits,
            known: Cache::new(CAPACITY),
            keys: Cache::new(KEY_CAPACITY),
            key_uses: KeyUses::default(),
            revocations: Mutex::new(0),
            started: Instant::now(),
            feed_seen: AtomicI64::new(0),
        })
    }

    /// How long sessions live.
    pub fn limits(&self) -> SessionLimits {
        self.limits
    }

    /// Forgets one session, or one API key: its next request looks it up.
    pub fn forget_session(&self, id: Uuid) {
        let mut revocations = self.lock_revocations();
        *revocations += 1;
        self.known.remove(&id);
        self.keys.retain(|_, known| known.key.id != id);
    }

    /// Forgets all sessions and API keys of an account.
    pub fn forget_account(&self, account_id: Uuid) {
        let mut revocations = self.lock_revocations();
        *revocations += 1;
        self.known.retain(|_, known| known.account_id != account_id);
        self.keys.retain(|_, known| known.key.account != account_id);
    }

    fn forget_all(&self) {
        let mut revocations = self.lock_revocations();
        *revocations += 1;
        self.known.clear();
        self.keys.clear();
    }

    async fn look_up(&self, claims: &Claims) -> Result<(), Problem> {
        let before = *self.lock_revocations();
        let known = self.read(claims.sid).await?.ok_or_else(Problem::invalid_token)?;
        self.remember(claims.sid, known, before);
        Self::judge(claims, known, self.clock.now())
    }

    fn remember(&self, id: Uuid, known: Known, before: u64) {
        let revocations = self.lock_revocations();
        if *revocations == before {
            self.known.insert(id, known);
        }
    }

    async fn look_up_key(&self, hash: KeyHash) -> Result<Arc<ApiKey>, Problem> {
        let before = *self.lock_revocations();
        let found = self.db.lookup(hash, |tx, hash| store::find_key_and_maker(tx, hash).boxed()).await?;
        let now = self.clock.now();
        let known =
            found.and_then(|found| KnownKey::of(found, hash, now)).ok_or_else(Problem::invalid_token)?;
        let (known, revocations) = (Arc::new(known), self.lock_revocations());
        if *revocations == before {
            self.keys.insert(hash, Arc::clone(&known));
        }
        self.key_uses.note(&known, now);
        Ok(Arc::clone(&known.key))
    }

    /// Stores every few seconds which keys were used.
    pub async fn keep_key_uses(&self) {
        let mut ticks = kit::work::ticks(USES_INTERVAL);
        loop {
            ticks.tick().await;
            if let Err(error) = self.store_key_uses().await {
                warn!(cause = %error, "when API keys were used can't be stored");
            }
        }
    }

    /// Stores which keys were used since that was last stored.
    pub async fn store_key_uses(&self) -> Result<(), db::Error> {
        self.key_uses.store(&self.db).await
    }

    fn lock_revocations(&self) -> MutexGuard<'_, u64> {
        // A panic while it is held leaves a count that is as good as any.
        self.revocations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, id: Uuid) -> Result<Option<Known>, db::Error> {
        let found = self.db.lookup(id, |tx, id| store::find_session_and_account(tx, *id).boxed()).await?;
        let known = found.filter(|(_, _, is_disabled)| !is_disabled).map(|(session, role, _)| Known {
            account_id: session.account_id,
            role,
            ends_at: self.limits.of(role).end_of(&session),
        });
        Ok(known.filter(|known| known.ends_at > self.clock.now()))
    }

    fn judge(claims: &Claims, known: Known, now: Timestamp) -> Result<(), Problem> {
        let is_good = known.account_id == claims.sub && known.role == claims.role && known.ends_at > now;
        if is_good { Ok(()) } else { Err(Problem::invalid_token()) }
    }

    fn milliseconds(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Applies what other processes write to the feed, for as long as it is polled.
    pub async fn follow_feed(self: Arc<Self>) {
        let mut listener = self.listen().await;
        let mut seen = Look::default();
        loop {
            let asked = self.milliseconds();
            match self.catch_up_soon(&listener, &mut seen).await {
                Ok(()) => self.feed_seen.store(asked, Ordering::Relaxed),
                Err(error) => warn!(cause = %error, "the session feed can't be read"),
            }
            listener.changed().await;
        }
    }

    async fn listen(&self) -> Listener {
        loop {
            match self.db.listen("session_feed").await {
                Ok(listener) => return listener,
                Err(error) => warn!(cause = %error, "the session feed can't be listened to"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// A poll that hangs, as on a server that comes back, gives way to the next.
    async fn catch_up_soon(&self, feed: &Listener, seen: &mut Look) -> Result<(), db::Error> {
        let late = |_| Err(db::Error::Unavailable("the feed's poll took too long".to_owned()));
        tokio::time::timeout(POLL_TIMEOUT, self.catch_up(feed, seen)).await.unwrap_or_else(late)
    }

    async fn catch_up(&self, feed: &Listener, seen: &mut Look) -> Result<(), db::Error> {
        let look = feed.lookup(seen.number, |tx, id| store::look_at_feed(tx, *id).boxed()).await?;
        match look.news_since(seen) {
            Some(news) => news.iter().for_each(|row| self.apply(row)),
            None => self.forget_all(),
        }
        *seen = look;
        Ok(())
    }

    fn apply(&self, row: &FeedRow) {
        match row.session_id {
            Some(session_id) => self.forget_session(session_id),
            None => self.forget_account(row.account_id),
        }
    }

    /// Removes feed rows, keys that expired long ago, and at most `limit` sessions that are past their time; says how many sessions went.
    pub async fn sweep(&self, limit: i64) -> Result<u64, db::Error> {
        self.db
            .write((self.clock.now(), self.limits.longest_idle(), limit), |tx, (now, idle, limit)| {
                async move {
                    store::delete_feed_before(tx, now.minus(FEED_LIFETIME)).await?;
                    store::delete_expired_keys(tx, now.minus(EXPIRED_KEPT), *limit).await?;
                    store::delete_idle_sessions(tx, now.minus(*idle), *limit).await
                }
                .boxed()
            })
            .await
    }
}

impl Sessions for LiveSessions {
    fn hears_feed(&self) -> bool {
        let silence = self.milliseconds() - self.feed_seen.load(Ordering::Relaxed);
        !u128::try_from(silence).is_ok_and(|silence| silence > FEED_TIMEOUT.as_millis())
    }

    fn check<'a>(&'a self, claims: &'a Claims) -> Check<'a, ()> {
        if !self.hears_feed() {
            return Check::Known(Err(nothing_heard()));
        }
        let now = self.clock.now();
        match self.known.get(&claims.sid) {
            Some(known) if known.ends_at > now => Check::Known(Self::judge(claims, known, now)),
            _ => Check::Ask(self.look_up(claims).boxed()),
        }
    }

    fn check_key(&self, hash: KeyHash) -> Check<'_, Arc<ApiKey>> {
        if !self.hears_feed() {
            return Check::Known(Err(nothing_heard()));
        }
        let now = self.clock.now();
        match self.keys.get(&hash) {
            Some(known) if known.key.expires_at > now => {
                self.key_uses.note(&known, now);
                Check::Known(Ok(Arc::clone(&known.key)))
            }
            _ => Check::Ask(self.look_up_key(hash).boxed()),
        }
    }
}

fn nothing_heard() -> Problem {
    Problem::unavailable(1, "Whether you are still logged in can't be told right now.")
}
