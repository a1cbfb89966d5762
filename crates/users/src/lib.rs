//! The users service (8081): accounts as people and admins see and change them.
//!
//! It is not the place for logging in or passwords (auth). It has no table of its own: `accounts` belongs to the
//! kernel `accounts`.
//!
//! Files in reading order: `model` (what a body may say), `api` (handlers), then an operation each: `create_user`,
//! `change_user`, `delete_user`, `end_sessions` (and the second factor with them), `export` (all that is kept of a person).

mod api;
mod change_user;
mod create_user;
mod delete_user;
mod end_sessions;
mod export;
mod model;

use std::sync::Arc;

use accounts::Accounts;
use accounts::personal::Section;
use aide::openapi::OpenApi;
use kit::service::{Service, Surroundings};
use kit::shared::Shared;

/// The service's state.
pub struct Users {
    /// What every service holds.
    pub shared: Arc<Shared>,
    /// What auth and users share.
    pub accounts: Accounts,
    /// What is kept of people besides their accounts.
    pub sections: &'static [Section],
}

impl AsRef<Shared> for Users {
    fn as_ref(&self) -> &Shared {
        &self.shared
    }
}

/// The service, complete.
pub fn service(users: Arc<Users>, surroundings: &Surroundings) -> Service {
    kit::service::service("users", surroundings, users, api::endpoints)
}

/// Its part of the OpenAPI document.
pub fn document() -> OpenApi {
    kit::service::document("users", api::endpoints)
}
