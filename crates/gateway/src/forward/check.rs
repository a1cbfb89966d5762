//! Health checks: each backend is asked again and again whether it takes work.

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use http::Request;
use tokio::time::{sleep, timeout};

use super::backends::{Backend, Backends};
use super::http::{HttpClient, full_text, uri_at};
use super::upload::UploadBody;

/// So often in a row a backend may give no answer. Once may be a moment of load, or a connection that it ended
/// just then.
const PATIENCE: u32 = 2;

/// What a check found out.
enum Found {
    /// It takes work. It may be a stranger without such a path: any answer below 500 shows that it lives.
    Alive,
    /// It refuses connections, or says that it takes no work.
    Down(String),
    /// No answer came.
    Silent(String),
}

/// Checks all of them for ever.
pub(super) async fn watch(client: &HttpClient, backends: &Backends) {
    join_all(backends.iter().map(|backend| watch_one(client, backends, backend))).await;
}

async fn watch_one(client: &HttpClient, backends: &Backends, backend: &Backend) {
    let mut silent = 0;
    loop {
        match ask(client, backends, backend).await {
            Found::Alive => {
                silent = 0;
                backend.set_healthy();
            }
            Found::Down(cause) => backend.set_down(cause),
            Found::Silent(cause) => {
                silent += 1;
                if silent >= PATIENCE {
                    backend.set_down(cause);
                }
            }
        }
        sleep(backends.check.interval).await;
    }
}

/// Whether any of them answers now.
pub(super) async fn any_alive(client: &HttpClient, backends: &Backends) -> bool {
    let asked: FuturesUnordered<_> = backends.iter().map(|backend| ask(client, backends, backend)).collect();
    // The first that does is enough: another may hang.
    asked.any(async |found| matches!(found, Found::Alive)).await
}

async fn ask(client: &HttpClient, backends: &Backends, backend: &Backend) -> Found {
    let check = &backends.check;
    let mut request = Request::new(UploadBody::empty());
    match uri_at(backend, check.path.clone()) {
        Ok(uri) => *request.uri_mut() = uri,
        Err(error) => return Found::Silent(error.to_string()),
    }
    match timeout(check.timeout, client.request(request)).await {
        Ok(Ok(response)) if response.status().is_server_error() => {
            Found::Down(format!("{} answered {}", check.path, response.status()))
        }
        Ok(Ok(_)) => Found::Alive,
        Ok(Err(error)) if error.is_connect() => Found::Down(full_text(&error)),
        Ok(Err(error)) => Found::Silent(full_text(&error)),
        Err(_) => Found::Silent(format!("{} gave no answer in the check's time", check.path)),
    }
}
