//! The front door: one address in front of all services.
//!
//! It is not a service: it has no table and no word of the business, and no service trusts it with more than
//! the bearer token, which each verifies itself.
//!
//! Files in reading order: `pipeline` (a request's way, once, in order); then one file for each step:
//! `own` (what the gateway answers itself), `path`, `routes` and `routes/file`, `cors`, `authenticate`,
//! `limit`, `client_address`, `headers`, `forward` with `forward/local` and `forward/http`.

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
use ipnet::IpNet;
use kit::clock::Clock;
use kit::identity::Sessions;
use kit::service::Readiness;
use kit::token::Tokens;

pub use cors::Cors;
pub use forward::Limits;
pub use routes::file::RoutesError;
pub use routes::{Ports, Routes};

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
    /// The time, for the rate limits.
    pub clock: Clock,
    /// Whether the process takes work.
    pub readiness: Readiness,
    /// `/openapi.json` and `/docs`, where they are on.
    pub docs: Option<Router>,
}

/// The gateway's router. A route whose backend is a local service calls that service's router directly.
pub fn gateway(config: GatewayConfig, locals: &[Local], surroundings: Surroundings) -> Router {
    let table = routes::Table::new(&config.routes, locals);
    let own_rates = table.iter().filter_map(|(path, route)| Some((path, route.rate_limit?)));
    let gateway = pipeline::Gateway {
        limits: config.rate_limit.then(|| limit::RateLimits::new(own_rates, &surroundings.clock)),
        table,
        docs: surroundings.docs,
        readiness: surroundings.readiness,
        trusted_proxies: config.trusted_proxies,
        cors: config.cors,
        tokens: surroundings.tokens,
        sessions: surroundings.sessions,
        forward: forward::Forward::new(config.limits),
    };
    pipeline::router(gateway)
}
