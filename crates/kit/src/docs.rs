//! The API reference page.
use axum::Router;

/// Placeholder until the page's asset lands.
pub fn router() -> Router {
    Router::new()
}
