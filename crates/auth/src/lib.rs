//! The auth service (8083): register, log in, refresh, log out, sessions, changing a password.
//!
//! It is not the place where accounts are changed (users), nor where tokens are checked (every service, by `kit`).
//! It has no table of its own: `accounts` and `sessions` belong to the kernel `accounts`.
//!
//! Files in reading order: `model` (what requests may say, what answers show), `api` (handlers), then an operation each: `register`,
//! `log_in`, `refresh`, `change_password`; last `counts` (what is counted).

mod api;
mod change_password;
mod counts;
mod log_in;
mod model;
mod refresh;
mod register;

use std::sync::Arc;

use accounts::{Accounts, FirstAdmin};
use aide::openapi::OpenApi;
use axum::extract::FromRef;
use counts::AuthCounts;
use kit::service::{Service, Surroundings};
use kit::shared::Shared;

/// The service's state.
#[derive(Clone)]
pub struct Auth {
    shared: Arc<Shared>,
    accounts: Accounts,
    first_admin: FirstAdmin,
    counts: Arc<AuthCounts>,
}

impl Auth {
    /// With what every service holds, what auth and users share, and whether the first account of all becomes an admin.
    pub fn new(shared: Arc<Shared>, accounts: Accounts, first_admin: FirstAdmin) -> Self {
        Self { shared, accounts, first_admin, counts: Arc::default() }
    }
}

impl FromRef<Auth> for Arc<Shared> {
    fn from_ref(auth: &Auth) -> Self {
        Self::clone(&auth.shared)
    }
}

/// The service, complete.
pub fn service(auth: Auth, surroundings: &Surroundings) -> Service {
    let counts = Arc::clone(&auth.counts);
    surroundings.metrics.add(move |text| counts.write(text));
    kit::service::service("auth", surroundings, auth, api::endpoints)
}

/// Its part of the OpenAPI document.
pub fn document() -> OpenApi {
    kit::service::document("auth", api::endpoints)
}
