//! Accounts, their credentials and their sessions: what auth and users share.
//!
//! It is not a service: it has no endpoints. Its functions work on a transaction that the caller holds; its two
//! pieces of state are [`Passwords`], the bounded pool that hashes, and [`LiveSessions`], the cache of sessions.
//!
//! Tables: `accounts`, `sessions`, `session_feed`; the guard rows `admins` and `session_feed`.
//!
//! Files in reading order: `model` (types that can only be valid), `store` (every statement), `create_account`,
//! `change_account`, `passwords`, `refresh_token`, `session` (start, refresh, end), `live_sessions` (the cache
//! and the feed that keeps it true in every process), `error`.

use std::sync::Arc;

use kit::secret::Secret;

mod change_account;
mod create_account;
mod error;
mod live_sessions;
mod model;
mod passwords;
mod refresh_token;
mod session;
pub mod store;

pub use change_account::{AccountChange, change_account, change_password, delete_account};
pub use create_account::{FirstAdmin, NewAccount, create_account};
pub use error::Error;
pub use live_sessions::LiveSessions;
pub use model::{
    Account, Credentials, Email, LoginPassword, Password, Preferences, Session, Username, parse_role,
};
pub use passwords::{PasswordHash, Passwords, Verdict};
pub use refresh_token::RefreshTokens;
pub use session::{NewSession, Refreshed, end_all_sessions, end_session, refresh_session, start_session};

/// The state that auth and users share in a process.
#[derive(Clone)]
pub struct Accounts {
    /// The pool that hashes.
    pub passwords: Arc<Passwords>,
    /// The sessions that are known to live.
    pub live: Arc<LiveSessions>,
    /// Makes and reads refresh tokens.
    pub refresh_tokens: Arc<RefreshTokens>,
}

impl Accounts {
    /// With keys derived from the shared secret.
    pub fn new(secret: &Secret, passwords: Passwords, live: Arc<LiveSessions>) -> Self {
        Self { passwords: Arc::new(passwords), live, refresh_tokens: Arc::new(RefreshTokens::new(secret)) }
    }
}
