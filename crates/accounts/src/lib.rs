//! Accounts, their credentials and their sessions: what auth and users share.
//!
//! It is not a service: it has no endpoints. Whatever becomes of an account has its event and its entry in the audit log, written here, and the mails that its holder gets are asked for here. Its functions work on a transaction that the caller holds; its
//! pieces of state are [`Passwords`], the bounded pool that hashes, [`LoginLimits`], which counts wrong guesses, and
//! [`LiveSessions`], the cache of sessions.
//!
//! Tables: `accounts`, `sessions`, `session_feed`, `login_addresses`, `totp`, `recovery_codes`, `setup_token`, `erasures`, `api_keys`; the guard rows `admins`, `session_feed` and `api_keys`.
//!
//! Files in reading order: `unique` (what makes two names one), `model` (types that can only be valid), `store` (every statement), `create_account`,
//! `change_account`, `mailed_token`, `renew_keys`, `argon2id`, `guessable` (which passwords are refused), `passwords`, `login_limits`, `known_addresses`, `second_factor`, `set_up` (the first admin in production), `refresh_token`, `session` (start, refresh, end), `api_keys`, `session_feed` (what was seen of the feed), `live_sessions` (the cache
//! and the feed that keeps it true in every process), `personal` (what is kept of a person), `digest`, `error`.

use std::sync::Arc;

use kit::author::Author;
use kit::problem::Problem;
use kit::refusals::{Refusal, Refusals, Refused};
use kit::secret::Secret;
use uuid::Uuid;

mod api_keys;
mod argon2id;
mod change_account;
mod create_account;
mod digest;
mod error;
mod guessable;
mod known_addresses;
mod live_sessions;
mod login_limits;
mod mailed_token;
mod model;
mod passwords;
pub mod personal;
mod refresh_token;
mod renew_keys;
mod second_factor;
mod session;
mod session_feed;
mod set_up;
pub mod store;
mod unique;

pub use api_keys::{StoredKey, add_key, revoke_key};
pub use change_account::{AccountChange, change_account, change_password, delete_account};

pub use create_account::{FirstAdmin, NewAccount, create_account};
pub use error::Error;
pub use known_addresses::{AddressMark, KnownAddresses};
pub use live_sessions::LiveSessions;
pub use login_limits::{Attempt, Guesser, LoginLimits};
pub use mailed_token::{confirm_email, reset_password};
pub use model::{
    Account, Credentials, Email, LoginPassword, Password, Preferences, Session, Username, parse_role,
};
pub use passwords::{PasswordHash, Passwords, Verdict};
pub use refresh_token::RefreshTokens;
pub use renew_keys::renew_keys;
pub use second_factor::{
    NewFactor, Proof, Proven, RecoveryCode, RecoveryCodes, SecondFactors, TOTP_REQUIRED, TotpCode,
    begin_factor, factor_changed, remove_factor, renew_codes,
};
pub use session::{
    Lifetime, NewSession, Refreshed, SessionLimits, end_all_sessions, end_session, refresh_session,
    start_session,
};

pub use set_up::{SETUP_LIFETIME, is_setup_token, offer_setup, set_up};

/// The state that auth and users share in a process.
#[derive(Clone)]
pub struct Accounts {
    /// The pool that hashes.
    pub passwords: Arc<Passwords>,
    /// Counts guesses, logins and registrations.
    pub login_limits: Arc<LoginLimits>,
    /// The sessions that are known to live.
    pub live: Arc<LiveSessions>,
    /// Makes and reads refresh tokens.
    pub refresh_tokens: Arc<RefreshTokens>,
    /// Knows from where somebody has logged in.
    pub addresses: Arc<KnownAddresses>,
    /// Makes and compares second factors.
    pub factors: Arc<SecondFactors>,
    /// Counts wrong passwords for the audit log.
    pub refusals: Arc<Refusals>,
}

impl Accounts {
    /// With keys derived from the shared secret.
    pub fn new(
        secret: &Secret,
        passwords: Passwords,
        login_limits: LoginLimits,
        live: Arc<LiveSessions>,
        refusals: Arc<Refusals>,
    ) -> Self {
        Self {
            passwords: Arc::new(passwords),
            login_limits: Arc::new(login_limits),
            live,
            refresh_tokens: Arc::new(RefreshTokens::new(secret)),
            addresses: Arc::new(KnownAddresses::new(secret)),
            factors: Arc::new(SecondFactors::new(secret)),
            refusals,
        }
    }

    /// Whether somebody with these names may take this new password: else 422 that names the field and says why.
    pub fn check_new_password(
        &self,
        field: &str,
        password: &Password,
        email: &str,
        username: &str,
    ) -> Result<(), Problem> {
        let checked = self.passwords.check(password, email, username);
        checked.map_err(|invalid| Problem::invalid_field(field, invalid.code, invalid.message))
    }

    /// Compares the password of somebody who is logged in, and gives the hash that it fits: 401 if it is wrong, 429
    /// if it was too often.
    pub async fn confirm_password(
        &self,
        found: &Credentials,
        password: LoginPassword,
        author: &Author,
    ) -> Result<Secret, Problem> {
        let compared = match self.login_limits.begin(&found.account.email, author.address, Guesser::LoggedIn)
        {
            Ok(attempt) => attempt.settle(self.compare(found, password).await),
            Err(refusal) => Err(refusal),
        };
        compared.inspect_err(|problem| {
            self.count_refused(problem, Refusal::WrongPassword, Some(found.account.id), author);
        })
    }

    /// Counts a wrong password, or a guess that came too soon, for the audit log. A failure of ours doesn't count.
    pub fn count_refused(
        &self,
        problem: &Problem,
        wrong: Refusal,
        account_id: Option<Uuid>,
        author: &Author,
    ) {
        let refusal = match problem.status().as_u16() {
            401 => wrong,
            429 => Refusal::TooManyGuesses,
            _ => return,
        };
        let Author { address, actor_id, key_id, .. } = *author;
        let refused = Refused { refusal, address, actor_id, key_id, account_id };
        self.refusals.count(refused, author.request_id.clone(), None);
    }

    async fn compare(&self, found: &Credentials, password: LoginPassword) -> Result<Secret, Problem> {
        let verdict = self.passwords.verify(password.0, found.password_hash.clone()).await?;
        match &found.password_hash {
            Some(hash) if verdict != Verdict::Wrong => Ok(hash.clone()),
            _ => Err(Problem::invalid_credentials("The current password is wrong.")),
        }
    }
}
