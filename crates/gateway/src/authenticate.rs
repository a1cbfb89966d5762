//! Who calls: a valid token, on every route that isn't public.

use http::HeaderMap;
use kit::identity::{self, Verified};
use kit::problem::Problem;

use crate::forward::Upstream;
use crate::pipeline::Gateway;
use crate::routes::Route;

/// What nobody can have a token for yet, or any more.
const ALWAYS_PUBLIC: [&str; 7] = [
    "/auth/register",
    "/auth/login",
    "/auth/refresh",
    "/auth/setup",
    "/auth/email/verify",
    "/auth/password/forgot",
    "/auth/password/reset",
];

/// The caller; `None` where none is asked for, or an API key was sent that only the services can check.
pub(crate) async fn caller(
    gateway: &Gateway,
    route: &Route<Upstream>,
    path: &str,
    headers: &HeaderMap,
) -> Result<Option<Verified>, Problem> {
    if route.public || ALWAYS_PUBLIC.contains(&path) {
        return Ok(None);
    }
    match gateway.sessions.as_deref() {
        Some(sessions) => identity::authenticate(&gateway.tokens, sessions, headers).await.map(Some),
        None => identity::authenticate_alone(&gateway.tokens, headers),
    }
}
