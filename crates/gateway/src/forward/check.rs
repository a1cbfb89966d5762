//! Health checks: each host is asked again and again whether it takes work.

use std::time::Duration;

use futures_util::future::join_all;
use http::{Request, Uri};
use tokio::time::{sleep, timeout};

use super::Limits;
use super::host::{Host, Hosts};
use super::pool::{Pool, Unanswered, is_own_fault};
use super::upload::UploadBody;
use crate::routes::HealthCheck;

/// So often in a row a backend may give no answer. Once may be a moment of load, or a connection that it ended
/// just then.
const PATIENCE: u32 = 2;

/// After so many in a row, in which no request was answered either, it hangs: whoever asked it would only wait.
const HANGS: u32 = 7;

/// What a check found out.
enum Found {
    /// It takes work. It may be a stranger without such a path: any answer below 500 shows that.
    Ready,
    /// It says that it takes no work.
    Unready(String),
    /// It can't be reached.
    Down(String),
    /// No answer came over a connection that did.
    Silent(String),
    /// We couldn't ask, which says nothing of it.
    Unasked,
}

/// Checks all of them for ever.
pub(super) async fn watch(limits: &Limits, hosts: &Hosts) {
    join_all(hosts.iter().map(|host| watch_one(limits, host))).await;
}

async fn watch_one(limits: &Limits, host: &Host) {
    // Shorter than a check, which so tells who can't be reached from who doesn't answer.
    let connect_timeout = limits.connect_timeout.min(host.check.timeout / 2);
    // A check tries no connection that a request could take.
    let pool = Pool::new(host.authority.clone());
    let (mut silent, mut unheard) = (0, 0);
    loop {
        let found = ask(&pool, &host.check, connect_timeout).await;
        let (is_silent, was_heard) = (matches!(found, Found::Silent(_)), host.was_heard());
        silent = if is_silent { silent + 1 } else { 0 };
        unheard = if is_silent && !was_heard { unheard + 1 } else { 0 };
        match found {
            Found::Ready => host.set_ready(),
            Found::Down(cause) => host.set_down(cause),
            Found::Unready(cause) => host.set_unready(cause),
            Found::Silent(cause) if unheard >= HANGS => host.set_down(cause),
            Found::Silent(cause) if silent >= PATIENCE => host.set_unready(cause),
            Found::Silent(_) | Found::Unasked => {}
        }
        host.pool.sweep();
        sleep(host.check.interval).await;
    }
}

async fn ask(pool: &Pool, check: &HealthCheck, connect_timeout: Duration) -> Found {
    let mut request = Request::new(UploadBody::empty());
    *request.uri_mut() = Uri::from(check.path.clone());
    match timeout(check.timeout, pool.send(request, connect_timeout)).await {
        Ok(Ok((response, connection))) => {
            let status = response.status();
            drop(response);
            pool.put(connection);
            if status.is_server_error() {
                return Found::Unready(format!("{} answered {status}", check.path));
            }
            Found::Ready
        }
        Ok(Err(unanswered)) => match &unanswered {
            Unanswered::Unreached(_, error) if is_own_fault(error) => Found::Unasked,
            Unanswered::Unreached(..) => Found::Down(unanswered.text()),
            Unanswered::Broken(_) => Found::Silent(unanswered.text()),
        },
        Err(_) => Found::Silent(format!("{} gave no answer in the check's time", check.path)),
    }
}
