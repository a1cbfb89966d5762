//! The auth service (8083): register, log in, refresh, log out, sessions, changing a password.
//!
//! It is not the place where accounts are changed (users), nor where tokens are checked (every service, by `kit`).
//! It has no table of its own: `accounts` and `sessions` belong to the kernel `accounts`.
//!
//! Files in reading order: `model` (what requests may say, what answers show), `api` (handlers), then an operation each: `register`,
//! `log_in`, `refresh`, `change_password`, `reset_password`, `verify_email`; last `mail_limits` (how often mails may be asked for) and `counts` (what is counted).

mod api;
mod change_password;
mod counts;
mod log_in;
mod mail_limits;
mod model;
mod refresh;
mod register;
mod reset_password;
mod verify_email;

use std::sync::Arc;

use accounts::{Accounts, FirstAdmin};
use aide::openapi::OpenApi;
use axum::extract::FromRef;
use counts::AuthCounts;
use kit::service::{Service, Surroundings};
use kit::shared::Shared;
use mail_limits::MailLimits;

/// The service's state.
#[derive(Clone)]
pub struct Auth {
    shared: Arc<Shared>,
    accounts: Accounts,
    first_admin: FirstAdmin,
    mail_limits: Arc<MailLimits>,
    counts: Arc<AuthCounts>,
}

impl Auth {
    /// With what every service holds, what auth and users share, whether the first account of all becomes an admin, and whether it is limited how often mails may be
    /// asked for.
    pub fn new(shared: Arc<Shared>, accounts: Accounts, first_admin: FirstAdmin, rate_limit: bool) -> Self {
        let limits = if rate_limit { MailLimits::new(&shared.clock) } else { MailLimits::off() };
        Self { shared, accounts, first_admin, mail_limits: Arc::new(limits), counts: Arc::default() }
    }
}

impl FromRef<Auth> for Arc<Shared> {
    fn from_ref(auth: &Auth) -> Self {
        Self::clone(&auth.shared)
    }
}

/// The service, complete.
pub fn service(auth: Auth, surroundings: &Surroundings) -> Service {
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
