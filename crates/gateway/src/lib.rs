//! The front door: one address in front of all services.
//!
//! It is not a service: it has no table and no word of the business, and no service trusts it with more than
//! the bearer token, which each verifies itself.
//!
//! Files in reading order: `pipeline` (a request's way, once, in order); then one file for each step:
//! `own` (what the gateway answers itself), `path`, `routes` and `routes/file`, `cors`, `authenticate`,
//! `client_address`, `headers`, `forward` with `forward/local` and `forward/http`.

mod authenticate;
mod client_address;
mod cors;
mod forward;
mod headers;
mod own;
mod path;
mod pipeline;
mod routes;

use std::sync::Arc;

use axum::Router;
use ipnet::IpNet;
use kit::identity::Sessions;
use kit::metrics::{Metrics, RequestCounts};
use kit::secret::Secret;
use kit::service::{Readiness, Service};
use kit::token::Tokens;

pub use cors::Cors;
pub use forward::Limits;
pub use routes::file::RoutesError;
pub use routes::{Ports, Routes};

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
    pub router: Router,
}

/// What the gateway shares with the rest of its process.
pub struct Surroundings {
    /// Checks access tokens.
    pub tokens: Arc<Tokens>,
    /// Knows which sessions live.
    pub sessions: Arc<dyn Sessions>,
    /// Whether the process takes work.
    pub readiness: Readiness,
    /// What the process counts and measures.
    pub metrics: Arc<Metrics>,
    /// `/openapi.json` and `/docs`, where they are on.
    pub docs: Option<Router>,
}

/// The gateway. A route whose backend is a local service calls that service's router directly.
pub fn gateway(config: GatewayConfig, locals: &[Local], surroundings: Surroundings) -> Service {
    let table = routes::Table::new(&config.routes, locals);
    let configured = table.iter().map(|(_, route)| route.path.to_string());
    let routes = configured.chain(own::paths().map(str::to_owned));
    let counts = RequestCounts::new(&surroundings.metrics, NAME, routes);
    let gateway = pipeline::Gateway {
        table,
        metrics: surroundings.metrics,
        metrics_access: config.metrics_access,
        docs: surroundings.docs,
        readiness: surroundings.readiness,
        trusted_proxies: config.trusted_proxies,
        cors: config.cors,
        tokens: surroundings.tokens,
        sessions: surroundings.sessions,
        forward: forward::Forward::new(config.limits),
    };
    Service { name: NAME, router: pipeline::router(gateway, Arc::clone(&counts)), counts }
}
