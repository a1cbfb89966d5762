//! API keys as they are kept: made and revoked by admins, and good while their maker is one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit::{Act, Action, Facts, KeyFacts};
use db::{Db, Tx};
use futures_util::FutureExt;
use kit::api_key::{ApiKey, KeyHash};
use kit::author::Author;
use kit::clock::Timestamp;
use kit::identity::Role;
use mails::Kind;
use uuid::Uuid;

use crate::error::Error;
use crate::live_sessions::LiveSessions;
use crate::store;

/// How many keys there may be.
const MOST_KEYS: i64 = 1_000;

/// How long a key that expired is still listed.
pub(crate) const EXPIRED_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A key's use is noted anew after so long.
const USE_INTERVAL: Duration = Duration::from_secs(60);

/// A key as it is stored; the key itself is nowhere.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// The id.
    pub id: Uuid,
    /// Who made it, and for whom it acts.
    pub account_id: Uuid,
    /// What it is for, in its maker's words.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// When it was last used, to within a minute or so.
    pub last_used_at: Option<Timestamp>,
}

/// Stores a new key, and lets its maker know.
///
/// # Errors
/// [`Error::TooManyKeys`], if there are as many as there may be.
pub async fn add_key(tx: &Tx, new: &StoredKey, hash: &KeyHash, author: &Author) -> Result<(), Error> {
    if store::count_keys_guarded(tx).await? >= MOST_KEYS {
        return Err(Error::TooManyKeys);
    }
    store::insert_key(tx, new, hash).await?;
    let facts = KeyFacts { scopes: new.scopes.clone(), expires_at: new.expires_at };
    audit::record(tx, author, Act::new(Action::KeyCreated, new.id).after(Facts::Key(facts))).await?;
    Ok(mails::ask(tx, Kind::ApiKeyMade, new.account_id, author.now).await?)
}

/// Revokes a key: the next request with it is refused, in every process within a second.
///
/// # Errors
/// [`Error::NotFound`], if there is no such key.
pub async fn revoke_key(tx: &Tx, live: &Arc<LiveSessions>, id: Uuid, author: &Author) -> Result<(), Error> {
    let account_id = store::delete_key(tx, id).await?.ok_or(Error::NotFound)?;
    store::insert_feed_row(tx, account_id, Some(id), author.now).await?;
    audit::record(tx, author, Act::new(Action::KeyRevoked, id)).await?;
    let live = Arc::clone(live);
    tx.after_commit(move || live.forget_session(id));
    Ok(())
}

/// A key that is known to be good, until the feed says otherwise.
pub(crate) struct KnownKey {
    pub(crate) key: Arc<ApiKey>,
    noted_at: AtomicI64,
}

impl KnownKey {
    /// The stored key, if it is good: not expired, and its maker is an admin who may log in.
    pub(crate) fn of(
        (stored, role, is_disabled): (StoredKey, Role, bool),
        hash: KeyHash,
        now: Timestamp,
    ) -> Option<Self> {
        let is_good = role == Role::Admin && !is_disabled && stored.expires_at > now;
        let StoredKey { id, account_id: account, scopes, expires_at, .. } = stored;
        let key = Arc::new(ApiKey { id, hash, account, scopes, expires_at });
        is_good.then(|| Self { key, noted_at: AtomicI64::new(0) })
    }
}

/// Which keys were used since that was last stored.
#[derive(Default)]
pub(crate) struct KeyUses(Mutex<HashMap<Uuid, Timestamp>>);

impl KeyUses {
    /// Notes that a key is used, if that is long ago.
    pub(crate) fn note(&self, known: &KnownKey, now: Timestamp) {
        let before = known.noted_at.load(Ordering::Relaxed);
        if now.minus(USE_INTERVAL).0 < before {
            return;
        }
        known.noted_at.store(now.0, Ordering::Relaxed);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(known.key.id, now);
    }

    /// Stores what was noted, all in one write.
    pub(crate) async fn store(&self, db: &Db) -> Result<(), db::Error> {
        let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if noted.is_empty() {
            return Ok(());
        }
        // In one order, or two processes could wait for each other.
        let mut noted: Vec<(Uuid, Timestamp)> = noted.into_iter().collect();
        noted.sort_unstable();
        let stored = db.write(noted, |tx, noted| {
            async move {
                for (id, moment) in noted {
                    store::keep_key_use(tx, *id, *moment).await?;
                }
                Ok::<_, db::Error>(())
            }
            .boxed()
        });
        stored.await
    }
}
