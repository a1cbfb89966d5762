mod change;
mod create;
mod delete;
mod list;
mod personal;

use crate::harness::Client;

/// Somebody's path.
fn path(client: &Client<'_>) -> String {
    format!("/users/{}", client.id)
}
