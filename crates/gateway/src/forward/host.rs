//! What is known of one address: every route that leads there shares its connections, its load and what checks found out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use http::uri::Authority;
use tracing::{info, warn};

use super::pool::Pool;
use crate::routes::HealthCheck;

/// What is known of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It takes work; or nobody has asked yet.
    Ready,
    /// It lives, but says that it takes no work, or nothing. All may say so at once, where they share what is slow:
    /// it gets requests while none is ready.
    Unready,
    /// It can't be reached, or hangs.
    Down,
}

const READY: u8 = State::Ready as u8;
const UNREADY: u8 = State::Unready as u8;

/// An address where a service is, asked in one way whether it takes work.
pub(crate) struct Host {
    pub(super) authority: Authority,
    pub(super) check: HealthCheck,
    pub(super) pool: Pool,
    in_flight: AtomicU64,
    state: AtomicU8,
    /// Requests that wait for their answer's head.
    waiting: AtomicU64,
    /// Whether it answered a request since a check last asked.
    was_heard: AtomicBool,
}

impl Host {
    pub(super) fn new(authority: Authority, check: HealthCheck) -> Self {
        // Ready until somebody knows better: a start must not refuse what the first check has yet to find out.
        Self {
            pool: Pool::new(authority.clone()),
            authority,
            check,
            in_flight: AtomicU64::new(0),
            state: AtomicU8::new(READY),
            waiting: AtomicU64::new(0),
            was_heard: AtomicBool::new(false),
        }
    }

    pub(super) fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            READY => State::Ready,
            UNREADY => State::Unready,
            _ => State::Down,
        }
    }

    /// Requests by all routes whose answer hasn't ended.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes that it answered a request.
    pub(super) fn hear(&self) {
        // Mostly noted already, and what is only read no thread has to wait for.
        if !self.was_heard.load(Ordering::Relaxed) {
            self.was_heard.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn begin_waiting(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_waiting(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether somebody waits for an answer.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Whether it answered a request since this was last asked.
    pub(super) fn was_heard(&self) -> bool {
        self.was_heard.swap(false, Ordering::Relaxed)
    }

    pub(super) fn set_ready(&self) {
        if self.set(State::Ready) {
            info!(backend = %self.authority, "the backend is ready again");
        }
    }

    pub(super) fn set_unready(&self, cause: impl std::fmt::Display) {
        if self.set(State::Unready) {
            warn!(backend = %self.authority, %cause, "the backend is not ready");
        }
    }

    /// From now on it gets no requests, until a check finds it alive.
    pub(super) fn set_down(&self, cause: impl std::fmt::Display) {
        if self.set(State::Down) {
            warn!(backend = %self.authority, %cause, "the backend is down");
        }
    }

    /// Whether it was in another state.
    fn set(&self, state: State) -> bool {
        self.state.swap(state as u8, Ordering::Relaxed) != state as u8
    }
}

/// Every host that some route leads to, once for each way to ask whether it takes work.
#[derive(Default)]
pub(crate) struct Hosts(Vec<Arc<Host>>);

impl Hosts {
    /// The one of this address and check, which is made if no route before had it.
    pub(super) fn of(&mut self, authority: &Authority, check: &HealthCheck) -> Arc<Host> {
        let is_it = |host: &&Arc<Host>| host.authority == *authority && host.check == *check;
        if let Some(known) = self.0.iter().find(is_it) {
            return Arc::clone(known);
        }
        let host = Arc::new(Host::new(authority.clone(), check.clone()));
        self.0.push(Arc::clone(&host));
        host
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Host> {
        self.0.iter().map(|host| &**host)
    }
}

#[cfg(test)]
mod tests {
    use crate::routes::Terms;

    use super::*;

    #[test]
    fn routes_to_one_address_share_a_host_unless_they_ask_it_otherwise() {
        let (mut hosts, check) = (Hosts::default(), Terms::default().health_check);
        let other_check = HealthCheck { path: "/ping".parse().unwrap(), ..check.clone() };
        let (a, b): (Authority, Authority) = ("a:1".parse().unwrap(), "b:1".parse().unwrap());
        let first = hosts.of(&a, &check);
        assert!(Arc::ptr_eq(&first, &hosts.of(&a, &check)));
        assert!(!Arc::ptr_eq(&first, &hosts.of(&b, &check)));
        assert!(!Arc::ptr_eq(&first, &hosts.of(&a, &other_check)));
        assert_eq!(hosts.iter().count(), 3);
    }
}
