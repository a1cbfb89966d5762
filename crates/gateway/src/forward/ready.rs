//! How the services behind the routes are, for whoever asks, however often: nobody loads a service by asking.

use std::collections::BTreeMap;
use std::iter::repeat;
use std::time::Duration;

use futures_util::future::join_all;
use kit::service::Service;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::{Upstream, local};
use crate::routes::Table;

/// How long a service may take to say that it is ready, and how long what it said is told.
const SECOND: Duration = Duration::from_secs(1);

/// What the services of this process said last. Those elsewhere are watched anyway.
#[derive(Default)]
pub(crate) struct Ready(Mutex<Said>);

#[derive(Default)]
struct Said {
    asked: Option<Instant>,
    /// Whether each is ready, in the table's order; empty if whoever asked first left.
    ready: Vec<bool>,
}

impl Ready {
    /// Whether each route's service takes work, by the route's path.
    pub(crate) async fn of<'a>(&self, table: &'a Table<Upstream>) -> BTreeMap<&'a str, bool> {
        let locals = || table.iter().filter_map(|route| Some((&*route.path, local_of(&route.upstream)?)));
        let mut said = self.0.lock().await;
        if said.asked.is_none_or(|asked| asked.elapsed() >= SECOND) {
            // Before they answer, so that a client that leaves meanwhile has asked too.
            said.asked = Some(Instant::now());
            said.ready = join_all(locals().map(|(_, service)| is_ready(service))).await;
        }
        let local = locals()
            .zip(said.ready.iter().copied().chain(repeat(false)))
            .map(|((path, _), ready)| (path, ready));
        let elsewhere = table.iter().filter_map(|route| match &route.upstream {
            Upstream::Http(backends) => Some((&*route.path, backends.any_ready())),
            Upstream::Local(_) => None,
        });
        local.chain(elsewhere).collect()
    }
}

fn local_of(upstream: &Upstream) -> Option<&Service> {
    match upstream {
        Upstream::Local(service) => Some(service),
        Upstream::Http(_) => None,
    }
}

async fn is_ready(service: &Service) -> bool {
    timeout(SECOND, local::is_ready(service)).await.unwrap_or(false)
}
