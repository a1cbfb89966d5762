//! The front door: one address in front of all services.
//!
//! It is not a service: it has no table and no word of the business, and no service trusts it with more than
//! the bearer token, which each verifies itself.
//!
//! Files in reading order: `pipeline` (a request's way, once, in order); then one file for each step:
//! `own` (what the gateway answers itself), `path`, `routes` (with `routes/file` and what it reads with), `cors`,
//! `authenticate`, `limit`, `client_address`, `headers`, `forward` with `forward/local`, a service of this process, and
//! `forward/http`, one elsewhere: `backends` (which is next), `host` (what is known of an address), `pool` (its connections), `upload`, `download`, `check`;
//! `forward/ready` (how the services are); and `measures`.

mod authenticate;
mod client_address;
mod cors;
mod forward;
mod headers;
mod limit;
mod measures;
mod own;
mod path;
mod pipeline;
mod routes;

use std::sync::Arc;

use axum::Router;
use futures_util::future::pending;
use ipnet::IpNet;
use kit::client::ClientKey;
use kit::identity::Sessions;
use kit::limit::Counting;
use kit::metrics::{Metrics, RequestCounts};
use kit::secret::Secret;
use kit::service::{Readiness, Service};
use kit::token::Tokens;

pub use cors::Cors;
pub use forward::{Backend, Counters, Limits};
pub use routes::{Fault, Ports, Routes, RoutesError, SCHEMA};

const NAME: &str = "gateway";

/// What a gateway is told.
pub struct GatewayConfig {
    /// Which service answers which paths.
    pub routes: Routes,
    /// Proxies whose word on the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Which pages of other origins may call.
    pub cors: Cors,
    /// Sizes and times on the way to a service.
    pub limits: Limits,
    /// Who may read `/metrics`.
    pub metrics_access: MetricsAccess,
}

/// Who may read the gateway's `/metrics`.
#[derive(Clone, Debug)]
pub enum MetricsAccess {
    /// Everybody.
    Open,
    /// Who sends this as a bearer token.
    Token(Secret),
    /// Nobody, until a token is set.
    Closed,
}

/// A service of this very process.
pub struct Local {
    /// The port that it is served on.
    pub port: u16,
    /// What answers there.
    pub service: Service,
}

/// What the gateway shares with the rest of its process.
pub struct Surroundings {
    /// Checks access tokens.
    pub tokens: Arc<Tokens>,
    /// Knows which sessions live; without it that is left to the services.
    pub sessions: Option<Arc<dyn Sessions>>,
    /// Tells services in other processes who the client is.
    pub client_key: ClientKey,
    /// How it is counted how often clients ask, if that is limited.
    pub counting: Option<Counting>,
    /// Whether the process takes work.
    pub readiness: Readiness,
    /// What the process counts and measures.
    pub metrics: Arc<Metrics>,
    /// `/openapi.json` and `/docs`, where they are on.
    pub docs: Option<Router>,
}

/// The gateway, ready to be served.
pub struct Gateway {
    /// Answers every request.
    pub service: Service,
    inner: Arc<pipeline::Gateway>,
}

/// Puts the gateway together. A route whose backend is a local service calls that service directly.
pub fn gateway(config: GatewayConfig, locals: &[Local], surroundings: Surroundings) -> Gateway {
    let counting = surroundings.counting.as_ref();
    let mut hosts = forward::Hosts::default();
    let mut table = routes::Table::new(&config.routes, locals, counting, &mut hosts);
    let configured = table.iter().map(|route| route.path.to_string());
    let routes = configured.chain(own::paths().map(str::to_owned));
    let counts = RequestCounts::of_gateway(&surroundings.metrics, NAME, routes);
    table.count_in(&counts);
    let inner = Arc::new(pipeline::Gateway {
        default_policy: counting.map(limit::default_policy),
        table,
        counts: Arc::clone(&counts),
        metrics: surroundings.metrics,
        metrics_access: config.metrics_access,
        docs: surroundings.docs,
        readiness: surroundings.readiness.clone(),
        trusted_proxies: config.trusted_proxies,
        cors: config.cors,
        tokens: surroundings.tokens,
        sessions: surroundings.sessions,
        client_key: surroundings.client_key,
        forward: forward::Forward::new(config.limits, surroundings.readiness),
        hosts,
        ready: forward::Ready::default(),
    });
    let service = Service::new(NAME, pipeline::Pipeline(Arc::clone(&inner)), counts);
    let watched = Arc::downgrade(&inner);
    inner
        .metrics
        .add(move |text| watched.upgrade().iter().for_each(|gateway| measures::write(gateway, text)));
    Gateway { service, inner }
}

impl Gateway {
    /// Does the work that nobody asks for, until it is dropped: watches the backends elsewhere. Without it one
    /// that went down never comes back.
    pub async fn work(&self) {
        self.inner.forward.watch(&self.inner.hosts).await;
        pending::<()>().await;
    }

    /// Every backend elsewhere with its route's path.
    pub fn upstreams(&self) -> impl Iterator<Item = (&str, &Backend)> {
        self.inner.upstreams()
    }
}
