//! The whole system in one process, put together: the only place that knows every crate. It opens no port.

use std::sync::Arc;
use std::time::Duration;

use accounts::{Accounts, FirstAdmin, LiveSessions, LoginLimits, PasswordHash, Passwords};
use aide::openapi::OpenApi;
use auth::Auth;
use axum::Router;
use db::Db;
use gateway::{Cors, GatewayConfig, Local, Routes};
use ipnet::IpNet;
use kit::clock::Clock;
use kit::idempotency;
use kit::money::Currency;
use kit::secret::Secret;
use kit::service::{Readiness, Service, Surroundings};
use kit::shared::Shared;
use kit::token::Tokens;
use orders::Orders;
use tracing::warn;
use users::Users;

/// How often what is past its time is removed, and how much of it in one write.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10 * 60);
const SWEEP_LIMIT: i64 = 1000;

/// What the system is told.
pub struct Options {
    /// Signs tokens; every other key is derived from it.
    pub secret: Secret,
    /// What new passwords are hashed with.
    pub password_hash: PasswordHash,
    /// Whether common passwords are refused.
    pub password_denylist: bool,
    /// Whether the first account of all becomes an admin.
    pub first_admin: FirstAdmin,
    /// The currency of an amount that names none.
    pub currency: Currency,
    /// How many pending orders a customer may have.
    pub max_pending_orders: i64,
    /// Whether `/docs` and `/openapi.json` are served.
    pub docs: bool,
    /// Which service answers which paths.
    pub routes: Routes,
    /// Which pages of other origins may call.
    pub cors: Cors,
    /// Whether clients are limited in how often they may ask and log in.
    pub rate_limit: bool,
    /// Proxies whose word on the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The ports of auth, users and orders, by which the gateway knows them for its own.
    pub ports: [u16; 3],
}

/// The system, ready to be served.
pub struct System {
    /// The gateway, in front of all.
    pub gateway: Router,
    /// Auth, users and orders.
    pub services: Vec<Service>,
    /// Whether the process takes work.
    pub readiness: Readiness,
    /// The sessions that are known to live.
    pub live: Arc<LiveSessions>,
    db: Db,
    clock: Clock,
}

impl System {
    /// Puts the system together on a database that has its tables.
    pub fn new(db: Db, clock: Clock, options: Options) -> Self {
        let live = LiveSessions::new(db.clone(), clock.clone());
        let shared = Shared::new(db.clone(), clock.clone(), &options.secret, live.clone(), options.currency);
        let readiness = Readiness::default();
        let surroundings = Surroundings { db: db.clone(), readiness: readiness.clone(), docs: options.docs };
        let tokens = shared.tokens.clone();
        let services = services(Arc::new(shared), &live, &options, &surroundings);
        let gateway = gateway_router(&services, &live, &readiness, options, tokens, &clock);
        Self { gateway, services, readiness, live, db, clock }
    }

    /// Does the work that nobody asks for, until it is dropped: follows the session feed, sweeps what is past its time.
    pub async fn work(&self) {
        tokio::join!(self.live.clone().follow_feed(), self.sweep());
    }

    async fn sweep(&self) {
        let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            ticks.tick().await;
            if let Err(error) = self.sweep_all().await {
                warn!(cause = %error, "what is past its time can't be removed");
            }
        }
    }

    /// In small writes, so that nobody waits long for one.
    async fn sweep_all(&self) -> Result<(), db::Error> {
        while self.live.sweep(SWEEP_LIMIT).await? == SWEEP_LIMIT.unsigned_abs() {}
        while idempotency::sweep(&self.db, self.clock.now(), SWEEP_LIMIT).await? == SWEEP_LIMIT.unsigned_abs()
        {
        }
        Ok(())
    }
}

fn services(
    shared: Arc<Shared>,
    live: &Arc<LiveSessions>,
    options: &Options,
    surroundings: &Surroundings,
) -> Vec<Service> {
    let passwords = Passwords::new(options.password_hash, options.password_denylist);
    let login_limits =
        if options.rate_limit { LoginLimits::new(shared.clock.clone()) } else { LoginLimits::off() };
    let accounts = Accounts::new(&options.secret, passwords, login_limits, live.clone());
    let auth = Auth { shared: shared.clone(), accounts: accounts.clone(), first_admin: options.first_admin };
    let users = Users { shared: shared.clone(), accounts };
    let orders = Orders { shared, max_pending: options.max_pending_orders };
    vec![
        auth::service(auth, surroundings),
        users::service(users, surroundings),
        orders::service(orders, surroundings),
    ]
}

fn gateway_router(
    services: &[Service],
    live: &Arc<LiveSessions>,
    readiness: &Readiness,
    options: Options,
    tokens: Arc<Tokens>,
    clock: &Clock,
) -> Router {
    let locals: Vec<Local> = services
        .iter()
        .zip(options.ports)
        .map(|(service, port)| Local { port, router: service.router.clone() })
        .collect();
    let config = GatewayConfig {
        routes: options.routes,
        trusted_proxies: options.trusted_proxies,
        cors: options.cors,
        rate_limit: options.rate_limit,
        limits: gateway::Limits::default(),
    };
    let surroundings = gateway::Surroundings {
        tokens,
        sessions: live.clone(),
        clock: clock.clone(),
        readiness: readiness.clone(),
        docs: options.docs.then(|| kit::service::docs_router(&document())),
    };
    gateway::gateway(config, &locals, surroundings)
}

/// The whole system's OpenAPI document.
pub fn document() -> OpenApi {
    kit::openapi::merge([auth::document(), users::document(), orders::document()])
}
