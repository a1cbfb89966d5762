//! Health checks: each backend is asked again and again whether it takes work.

use futures_util::future::join_all;
use http::Request;
use tokio::time::{sleep, timeout};

use super::Limits;
use super::backends::{Backend, Backends};
use super::http::{self as over_http, HttpClient, full_text, is_own_fault, uri_at};
use super::upload::UploadBody;

/// So often in a row a backend may give no answer. Once may be a moment of load, or a connection that it ended
/// just then.
const PATIENCE: u32 = 2;

/// What a check found out.
enum Found {
    /// It takes work. It may be a stranger without such a path: any answer below 500 shows that.
    Ready,
    /// It says that it takes no work.
    Unready(String),
    /// It can't be reached.
    Down(String),
    /// No answer came over a connection that did; or we couldn't ask.
    Silent(String),
}

/// Checks all of them for ever. The connections are its own: those that serve requests belong to the workers.
pub(super) async fn watch(limits: &Limits, backends: &Backends) {
    // Shorter than a check, which so tells who can't be reached from who doesn't answer.
    let connect_timeout = limits.connect_timeout.min(backends.check.timeout / 2);
    let client = over_http::client(&Limits { connect_timeout, ..*limits });
    join_all(backends.iter().map(|backend| watch_one(&client, backends, backend))).await;
}

async fn watch_one(client: &HttpClient, backends: &Backends, backend: &Backend) {
    let mut silent = 0;
    loop {
        let found = ask(client, backends, backend).await;
        silent = if matches!(found, Found::Silent(_)) { silent + 1 } else { 0 };
        match found {
            Found::Ready => backend.set_ready(),
            Found::Down(cause) => backend.set_down(cause),
            Found::Unready(cause) => backend.set_unready(cause),
            Found::Silent(cause) if silent >= PATIENCE => backend.set_unready(cause),
            Found::Silent(_) => {}
        }
        sleep(backends.check.interval).await;
    }
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
            Found::Unready(format!("{} answered {}", check.path, response.status()))
        }
        Ok(Ok(_)) => Found::Ready,
        Ok(Err(error)) if error.is_connect() && !is_own_fault(&error) => Found::Down(full_text(&error)),
        Ok(Err(error)) => Found::Silent(full_text(&error)),
        Err(_) => Found::Silent(format!("{} gave no answer in the check's time", check.path)),
    }
}
