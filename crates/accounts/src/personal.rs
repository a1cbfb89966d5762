//! All that is kept of a person, for that person. Each crate that keeps something of people tells it in sections of its own.

use audit::{OwnEntry, entries_of};
use db::{Error, Tx};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kit::clock::Timestamp;
use mails::mails_of;
use serde::Serialize;
use uuid::Uuid;

use crate::api_keys::StoredKey;
use crate::store;
use crate::unique::email_key;

/// Where a section goes on: behind this item. Nil at its beginning.
pub type Cursor = (Uuid, Uuid);

/// An item of a section as JSON, and where it stands.
pub type Item = (Cursor, String);

/// Reads the items of a person behind a cursor.
pub type ReadPage = for<'a> fn(&'a Tx, Uuid, Cursor) -> Items<'a>;

/// Items that are being read.
pub type Items<'a> = BoxFuture<'a, Result<Vec<Item>, Error>>;

/// One kind of what is kept of people.
#[derive(Clone, Copy)]
pub struct Section {
    /// The member of the file.
    pub name: &'static str,
    /// The items of a person behind a cursor: some, or none after the last.
    pub page: ReadPage,
}

/// An item as JSON.
pub fn item(cursor: Cursor, item: &impl Serialize) -> Result<Item, Error> {
    let text = serde_json::to_string(item);
    Ok((cursor, text.map_err(|error| Error::Internal(format!("a personal item as JSON: {error}")))?))
}

/// A person's sessions.
pub const SESSIONS: Section = Section { name: "sessions", page: sessions };

/// What else is kept for a person's logging in.
pub const LOGIN: Section = Section { name: "login", page: login };

/// The API keys that a person has made; of the key itself only a hash is kept.
pub const API_KEYS: Section = Section { name: "api_keys", page: api_keys };

/// The mails that wait to be sent to a person.
pub const MAILS: Section = Section { name: "mails", page: mails };

/// What the audit log says of a person, and of what they did.
pub const AUDIT: Section = Section { name: "audit", page: audit };

const AT_ONCE: i64 = 200;

#[derive(Serialize)]
struct SessionItem {
    id: Uuid,
    device: Option<String>,
    ip: Option<String>,
    created_at: Timestamp,
    last_used_at: Timestamp,
}

#[derive(Serialize)]
struct LoginItem {
    has_password: bool,
    two_factor_since: Option<Timestamp>,
    recovery_codes_left: i64,
    /// Only their marks are kept, not the addresses.
    known_addresses: i64,
}

#[derive(Serialize)]
struct KeyItem {
    id: Uuid,
    name: String,
    scopes: Vec<String>,
    created_at: Timestamp,
    expires_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

fn sessions(tx: &Tx, person: Uuid, after: Cursor) -> Items<'_> {
    async move {
        let sessions = store::sessions_of(tx, person, after.0, AT_ONCE).await?;
        let view = |session: crate::Session| {
            let crate::Session { id, device, ip, created_at, last_used_at, .. } = session;
            item((id, Uuid::nil()), &SessionItem { id, device, ip, created_at, last_used_at })
        };
        sessions.into_iter().map(view).collect()
    }
    .boxed()
}

fn login(tx: &Tx, person: Uuid, after: Cursor) -> Items<'_> {
    async move {
        if after.0 == person {
            return Ok(Vec::new());
        }
        let credentials = store::find_credentials(tx, person).await?;
        let (two_factor_since, recovery_codes_left) = store::factor_state(tx, person).await?;
        let login = LoginItem {
            has_password: credentials.is_some_and(|found| found.password_hash.is_some()),
            two_factor_since,
            recovery_codes_left,
            known_addresses: store::count_addresses(tx, person).await?,
        };
        Ok(vec![item((person, Uuid::nil()), &login)?])
    }
    .boxed()
}

fn api_keys(tx: &Tx, person: Uuid, after: Cursor) -> Items<'_> {
    async move {
        let keys = store::keys_of(tx, person, after.0, AT_ONCE).await?;
        let view = |key: StoredKey| {
            let StoredKey { id, name, scopes, created_at, expires_at, last_used_at, .. } = key;
            item((id, Uuid::nil()), &KeyItem { id, name, scopes, created_at, expires_at, last_used_at })
        };
        keys.into_iter().map(view).collect()
    }
    .boxed()
}

fn mails(tx: &Tx, person: Uuid, after: Cursor) -> Items<'_> {
    async move {
        let Some(account) = store::find_account(tx, person).await? else { return Ok(Vec::new()) };
        let mails = mails_of(tx, person, &email_key(&account.email), after.0, AT_ONCE).await?;
        mails.into_iter().map(|mail| item((mail.id, Uuid::nil()), &mail)).collect()
    }
    .boxed()
}

/// An entry stands behind a moment and an id; a moment is no id, and yet has room in one.
fn audit(tx: &Tx, person: Uuid, after: Cursor) -> Items<'_> {
    async move {
        let moment = Timestamp(i64::try_from(after.0.as_u128()).unwrap_or(i64::MAX));
        let entries = entries_of(tx, person, (moment, after.1), AT_ONCE).await?;
        let cursor = |entry: &OwnEntry| {
            let moment = u128::try_from(entry.created_at.0).unwrap_or(0);
            (Uuid::from_u128(moment), entry.id)
        };
        entries.into_iter().map(|entry| item(cursor(&entry), &entry)).collect()
    }
    .boxed()
}
