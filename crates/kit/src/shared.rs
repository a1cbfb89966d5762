//! What every service of a process holds.

use std::sync::Arc;

use db::Db;

use crate::client::ClientKey;
use crate::clock::Clock;
use crate::identity::Sessions;
use crate::money::Currency;
use crate::refusals::Refusals;
use crate::secret::Secret;
use crate::token::{SigningKey, Tokens};

/// What every service of a process holds.
pub struct Shared {
    /// The one database.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// Makes and checks access tokens.
    pub tokens: Arc<Tokens>,
    /// Knows which sessions live.
    pub sessions: Arc<dyn Sessions>,
    /// Binds a cursor to its list.
    pub cursor_key: SigningKey,
    /// Believes what a gateway in another process says of the client.
    pub client_key: ClientKey,
    /// What was refused, to be written down.
    pub refusals: Arc<Refusals>,
    /// Tells one request from another without keeping its body.
    pub fingerprint_key: SigningKey,
    /// The currency of an amount that names none.
    pub currency: Currency,
}

impl Shared {
    /// With keys derived from the shared secret.
    pub fn new(
        db: Db,
        clock: Clock,
        secret: &Secret,
        sessions: Arc<dyn Sessions>,
        currency: Currency,
    ) -> Self {
        let client_key = ClientKey::new(secret);
        Self {
            db,
            tokens: Arc::new(Tokens::new(secret, clock.clone())),
            refusals: Arc::new(Refusals::new(clock.clone(), client_key.clone())),
            clock,
            sessions,
            cursor_key: SigningKey::derive(secret, "cursor"),
            client_key,
            fingerprint_key: SigningKey::derive(secret, "fingerprint"),
            currency,
        }
    }
}
