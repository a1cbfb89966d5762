//! A session's life: started by a login, kept by refreshing, ended by its owner, an admin, or misuse.

use std::sync::Arc;
use std::time::Duration;

use audit::{Act, Action};
use db::Tx;
use kit::author::Author;
use kit::client::Client;
use kit::clock::{Timestamp, new_id};
use kit::identity::Role;
use uuid::Uuid;

use crate::error::Error;
use crate::live_sessions::LiveSessions;
use crate::model::{Account, Session};
use crate::store;

/// How long a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Without being refreshed.
    pub idle: Duration,
    /// In all, however often it is refreshed.
    pub absolute: Duration,
}

/// How long whose sessions live. What an admin can do is worth stealing, so theirs should be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Customers' and staff's.
    pub people: Lifetime,
    /// Admins'.
    pub admins: Lifetime,
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for SessionLimits {
    /// Admins' as NIST SP 800-63B-4 has it for its second level of assurance.
    fn default() -> Self {
        Self {
            people: Lifetime { idle: DAY * 7, absolute: DAY * 30 },
            admins: Lifetime { idle: HOUR, absolute: DAY },
        }
    }
}

impl SessionLimits {
    /// How long the sessions of somebody with this role live.
    pub fn of(&self, role: Role) -> Lifetime {
        if role == Role::Admin { self.admins } else { self.people }
    }

    /// After so long without being refreshed nobody's session lives.
    pub(crate) fn longest_idle(&self) -> Duration {
        self.people.idle.max(self.admins.idle)
    }
}

impl Lifetime {
    /// When a session is over unless it is refreshed.
    pub fn end_of(&self, session: &Session) -> Timestamp {
        session.created_at.plus(self.absolute).min(session.last_used_at.plus(self.idle))
    }
}

/// For so long the token before the present one gets the same successor: a client whose answer was lost, or whose
/// windows refresh at once, is no thief.
const REFRESH_GRACE: Duration = Duration::from_secs(5);

/// From where a session is started.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// What the client calls itself.
    pub device: Option<String>,
    /// Its address.
    pub ip: Option<String>,
}

impl From<&Client> for NewSession {
    fn from(client: &Client) -> Self {
        Self { device: client.device.clone(), ip: client.address.map(|address| address.to_string()) }
    }
}

/// Starts a session.
pub async fn start_session(
    tx: &Tx,
    account_id: Uuid,
    new: &NewSession,
    now: Timestamp,
) -> Result<Session, Error> {
    let session = Session {
        id: new_id(),
        account_id,
        generation: 1,
        rotated_at: now,
        device: new.device.clone(),
        ip: new.ip.clone(),
        created_at: now,
        last_used_at: now,
    };
    store::insert_session(tx, &session).await?;
    Ok(session)
}

/// What came of presenting a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    /// The session goes on, in this generation.
    Continued(Account, i64),
    /// Nothing to go on with. If an old token was presented, somebody stole one: the session has ended.
    Refused,
}

/// Moves a session on by one generation.
pub async fn refresh_session(
    tx: &Tx,
    id: Uuid,
    generation: i64,
    live: &Arc<LiveSessions>,
    author: &Author,
) -> Result<Refreshed, Error> {
    let (now, limits) = (author.now, live.limits());
    let rotated = store::rotate_session(tx, id, generation, now, limits).await?;
    let Some(session) = store::find_session(tx, id).await? else { return Ok(Refreshed::Refused) };
    let account = store::find_account(tx, session.account_id).await?;
    let is_alive = |role| limits.of(role).end_of(&session) > now;
    let Some(account) = account.filter(|account| !account.disabled && is_alive(account.role)) else {
        return Ok(Refreshed::Refused);
    };
    // A clock that was set back meanwhile must not make the grace longer.
    let is_recent = session.rotated_at.distance(now) < REFRESH_GRACE;
    let is_predecessor = session.generation == generation + 1 && is_recent;
    if rotated || is_predecessor {
        return Ok(Refreshed::Continued(account, session.generation));
    }
    // Of two that present an old token at once, one finds the session ended.
    if remove_session(tx, live, id, session.account_id, now).await? {
        let reused = Act::new(Action::SessionReused, id);
        audit::record(tx, &author.by(session.account_id), reused).await?;
    }
    Ok(Refreshed::Refused)
}

/// Ends one session of an account.
pub async fn end_session(
    tx: &Tx,
    live: &Arc<LiveSessions>,
    id: Uuid,
    account_id: Uuid,
    author: &Author,
) -> Result<(), Error> {
    if !remove_session(tx, live, id, account_id, author.now).await? {
        return Err(Error::NotFound);
    }
    Ok(audit::record(tx, author, Act::new(Action::SessionEnded, id)).await?)
}

/// Whether there was one to remove.
async fn remove_session(
    tx: &Tx,
    live: &Arc<LiveSessions>,
    id: Uuid,
    account_id: Uuid,
    now: Timestamp,
) -> Result<bool, Error> {
    if !store::delete_session(tx, id, account_id).await? {
        return Ok(false);
    }
    store::insert_feed_row(tx, account_id, Some(id), now).await?;
    let live = Arc::clone(live);
    tx.after_commit(move || live.forget_session(id));
    Ok(true)
}

/// Ends an account's sessions, all but `keep`.
pub async fn end_all_sessions(
    tx: &Tx,
    live: &Arc<LiveSessions>,
    account_id: Uuid,
    keep: Option<Uuid>,
    now: Timestamp,
) -> Result<(), Error> {
    store::delete_sessions(tx, account_id, keep).await?;
    forget_account(tx, live, account_id, now).await
}

/// Makes every process look again at an account's sessions.
pub(crate) async fn forget_account(
    tx: &Tx,
    live: &Arc<LiveSessions>,
    account_id: Uuid,
    now: Timestamp,
) -> Result<(), Error> {
    store::insert_feed_row(tx, account_id, None, now).await?;
    let live = Arc::clone(live);
    tx.after_commit(move || live.forget_account(account_id));
    Ok(())
}
