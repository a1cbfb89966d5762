//! Health checks: each host is asked again and again whether it takes work.

use std::io::ErrorKind;
use std::time::Duration;

use futures_util::future::join_all;
use http::{Request, Uri};
use tokio::time::{sleep, timeout};

use super::Limits;
use super::host::{Host, Hosts, State};
use super::pool::{Pool, Unanswered, is_own_fault};
use super::upload::UploadBody;
use crate::routes::HealthCheck;

/// So often in a row a backend may give no answer. Once may be a moment of load, or a connection that it ended
/// just then.
const PATIENCE: u32 = 2;

/// After so many in a row, while requests wait and none was answered either, it hangs: whoever else asked it would only wait.
const HANGS: u32 = 7;

/// What a check found out.
enum Found {
    /// It takes work. It may be a stranger without such a path: any answer below 500 shows that.
    Ready,
    /// It says that it takes no work.
    Unready(String),
    /// It can't be reached.
    Down(String),
    /// No answer came in time, or no connection, as where a packet was lost; or one that came broke.
    Silent(String),
    /// We couldn't ask, which says nothing of it.
    Unasked,
}

/// Checks all of them for ever.
pub(super) async fn watch(limits: &Limits, hosts: &Hosts) {
    join_all(hosts.iter().map(|host| watch_one(limits, host))).await;
}

async fn watch_one(limits: &Limits, host: &Host) {
    // Shorter than a check, which so says whether the connection or the answer didn't come.
    let connect_timeout = limits.connect_timeout.min(host.check.timeout / 2);
    // A check tries no connection that a request could take.
    let pool = Pool::new(host.authority.clone());
    let mut silence = Silence::default();
    loop {
        let found = ask(&pool, &host.check, connect_timeout).await;
        let was_heard = host.was_heard();
        silence.go_on(matches!(found, Found::Silent(_)), host.is_awaited(), was_heard);
        match found {
            Found::Ready => host.set_ready(),
            Found::Down(cause) => host.set_down(cause),
            Found::Unready(cause) => host.set_unready(cause),
            Found::Silent(cause) if silence.unheard >= HANGS => host.set_down(cause),
            // Of one that is down silence is no sign of life; an answer to a request is.
            Found::Silent(cause)
                if silence.checks >= PATIENCE && (was_heard || host.state() != State::Down) =>
            {
                host.set_unready(cause);
            }
            Found::Silent(_) | Found::Unasked => {}
        }
        host.pool.sweep();
        sleep(host.check.interval).await;
    }
}

/// How long there has been no answer.
#[derive(Default)]
struct Silence {
    /// To so many checks in a row.
    checks: u32,
    /// To so many of these, while requests waited, nor to any request. Where nobody waits the silence may be one of the checks alone.
    unheard: u32,
}

impl Silence {
    /// After a check, and what became of requests since the one before.
    fn go_on(&mut self, is_silent: bool, is_awaited: bool, was_heard: bool) {
        self.checks = if is_silent { self.checks + 1 } else { 0 };
        self.unheard = if is_silent && !was_heard { self.unheard + u32::from(is_awaited) } else { 0 };
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
            Unanswered::Unreached(_, error) if error.kind() == ErrorKind::TimedOut => {
                Found::Silent(unanswered.text())
            }
            Unanswered::Unreached(..) => Found::Down(unanswered.text()),
            Unanswered::Broken(_) => Found::Silent(unanswered.text()),
        },
        Err(_) => Found::Silent(format!("{} gave no answer in the check's time", check.path)),
    }
}
