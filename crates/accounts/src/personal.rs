//! All that is kept of a person, for that person. Each crate that keeps something of people tells it in sections of its own.

use db::{Error, Tx};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kit::clock::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::store;

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
