//! The front door: one address in front of all services.
//!
//! It is not a service: it has no table and no word of the business, and no service trusts it with more than
//! the bearer token, which each verifies itself.
//!
//! Files in reading order: `pipeline` (a request's way, once, in order); then one file for each step:
//! `own` (what the gateway answers itself), `path`, `routes` (with `routes/file` and what it reads with), `cors`,
//! `authenticate`, `limit`, `client_address`, `headers`, `forward` with `forward/local`, a service of this process, and
//! `forward/http`, one elsewhere: `backends` (which is next), `upload`, `download`, `check`.

mod authenticate;
mod client_address;
mod cors;
mod forward;
mod headers;
mod limit;
mod own;
mod path;
mod pipeline;
mod routes;

use std::sync::Arc;

use axum::Router;
use futures_util::future::{join_all, pending};
use ipnet::IpNet;
use kit::client::ClientKey;
use kit::clock::Clock;
use kit::identity::Sessions;
use kit::service::Readiness;
use kit::token::Tokens;

pub use cors::Cors;
pub use forward::{Counters, Limits};
pub use routes::{Fault, Ports, Routes, RoutesError, SCHEMA};

/// What a gateway is told.
pub struct GatewayConfig {
    /// Which service answers which paths.
    pub routes: Routes,
    /// Proxies whose word on the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Which pages of other origins may call.
    pub cors: Cors,
    /// Whether clients are limited in how often they may ask.
    pub rate_limit: bool,
    /// Sizes and times on the way to a service.
    pub limits: Limits,
}

/// A service of this very process.
pub struct Local {
    /// The port that it is served on.
    pub port: u16,
    /// What answers there.
    pub router: Router,
}

/// What the gateway shares with the rest of its process.
pub struct Surroundings {
    /// Checks access tokens.
    pub tokens: Arc<Tokens>,
    /// Knows which sessions live.
    pub sessions: Arc<dyn Sessions>,
    /// Tells services in other processes who the client is.
    pub client_key: ClientKey,
    /// The time, for the rate limits.
    pub clock: Clock,
    /// Whether the process takes work.
    pub readiness: Readiness,
    /// `/openapi.json` and `/docs`, where they are on.
    pub docs: Option<Router>,
}

/// The gateway, ready to be served.
pub struct Gateway {
    /// Answers every request.
    pub router: Router,
    inner: Arc<pipeline::Gateway>,
}

/// Puts the gateway together. A route whose backend is a local service calls that service's router directly.
pub fn gateway(config: GatewayConfig, locals: &[Local], surroundings: Surroundings) -> Gateway {
    let table = routes::Table::new(&config.routes, locals);
    let own_rates = table.iter().filter_map(|(path, route)| Some((path, route.rate_limit?)));
    let inner = Arc::new(pipeline::Gateway {
        limits: config.rate_limit.then(|| limit::RateLimits::new(own_rates, &surroundings.clock)),
        table,
        docs: surroundings.docs,
        readiness: surroundings.readiness,
        trusted_proxies: config.trusted_proxies,
        cors: config.cors,
        tokens: surroundings.tokens,
        sessions: surroundings.sessions,
        client_key: surroundings.client_key,
        forward: forward::Forward::new(config.limits),
    });
    Gateway { router: pipeline::router(inner.clone()), inner }
}

impl Gateway {
    /// Does the work that nobody asks for, until it is dropped: watches the backends elsewhere. Without it one
    /// that went down never comes back.
    pub async fn work(&self) {
        join_all(self.inner.table.iter().map(|(_, route)| self.inner.forward.watch(&route.upstream))).await;
        pending::<()>().await;
    }

    /// Every backend elsewhere with its route's path, its address, and what happened there.
    pub fn upstreams(&self) -> impl Iterator<Item = (&str, &str, &Counters)> {
        self.inner.table.iter().flat_map(|(path, route)| {
            let backends = match &route.upstream {
                forward::Upstream::Http(backends) => Some(backends),
                forward::Upstream::Local(_) => None,
            };
            let counters = backends.into_iter().flat_map(forward::Backends::counters);
            counters.map(move |(address, counters)| (path, address, counters))
        })
    }
}
