//! The auth service (8083): register, log in, refresh, log out, sessions, changing a password.
//!
//! It is not the place where accounts are changed (users), nor where tokens are checked (every service, by `kit`).
//! It has no table of its own: `accounts`, `sessions` and `api_keys` belong to the kernel `accounts`.
//!
//! Files in reading order: `model` (what requests may say, what answers show), `api` (handlers), then an operation each: `register`,
//! `set_up` (the first admin), `log_in`, `refresh`, `change_password`, `two_factor`, `reset_password`, `verify_email`; API keys: `key_model`, `api/keys`; `audit_log` (what admins see of that log); last
//! `mail_limits` (how often mails may be asked for) and `counts` (what is counted).

mod api;
mod audit_log;
mod change_password;
mod counts;
mod key_model;
mod log_in;
mod mail_limits;
mod model;
mod refresh;
mod register;
mod reset_password;
mod set_up;
mod two_factor;
mod verify_email;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use accounts::{Accounts, FirstAdmin};
use aide::openapi::OpenApi;
use counts::AuthCounts;
use kit::limit::Counting;
use kit::service::{Service, Surroundings};
use kit::shared::Shared;
use mail_limits::MailLimits;

/// The service's state.
pub struct Auth {
    shared: Arc<Shared>,
    accounts: Accounts,
    first_admin: FirstAdmin,
    mail_limits: Arc<MailLimits>,
    counts: Arc<AuthCounts>,
    /// What API keys can be made for; put together when first asked for.
    scopes: LazyLock<BTreeSet<String>>,
}

impl Auth {
    /// With what every service holds, what auth and users share, whether the first account of all becomes an admin, how it is counted how often mails may be
    /// asked for (if it is limited), and what API keys can be made for.
    pub fn new(
        shared: Arc<Shared>,
        accounts: Accounts,
        first_admin: FirstAdmin,
        counting: Option<&Counting>,
        scopes: fn() -> BTreeSet<String>,
    ) -> Arc<Self> {
        let (mail_limits, scopes) = (Arc::new(MailLimits::new(counting)), LazyLock::new(scopes));
        Arc::new(Self { shared, accounts, first_admin, mail_limits, counts: Arc::default(), scopes })
    }
}

impl AsRef<Shared> for Auth {
    fn as_ref(&self) -> &Shared {
        &self.shared
    }
}

/// The service, complete.
pub fn service(auth: Arc<Auth>, surroundings: &Surroundings) -> Service {
    let (counts, limits) = (Arc::clone(&auth.counts), Arc::clone(&auth.mail_limits));
    surroundings.metrics.add(move |text| {
        counts.write(text);
        limits.write(text);
    });
    kit::service::service("auth", surroundings, auth, api::endpoints)
}

/// Its part of the OpenAPI document.
pub fn document() -> OpenApi {
    kit::service::document("auth", api::endpoints)
}
