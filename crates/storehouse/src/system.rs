//! The whole system in one process, put together: the only place that knows every crate. It opens no port.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use accounts::{Accounts, FirstAdmin, LiveSessions, PasswordHash, Passwords};
use aide::openapi::OpenApi;
use auth::Auth;
use db::Db;
use gateway::{Cors, GatewayConfig, Local, MetricsAccess, Routes};
use ipnet::IpNet;
use kit::clock::Clock;
use kit::idempotency;
use kit::metrics::{self, Metrics};
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
    /// Who may read the gateway's `/metrics`.
    pub metrics_access: MetricsAccess,
    /// The folder whose free room is told.
    pub data_dir: PathBuf,
    /// Which service answers which paths.
    pub routes: Routes,
    /// Which pages of other origins may call.
    pub cors: Cors,
    /// Proxies whose word on the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The ports of auth, users and orders, by which the gateway knows them for its own.
    pub ports: [u16; 3],
}

/// The system, ready to be served.
pub struct System {
    /// The gateway, in front of all.
    pub gateway: Service,
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
        let metrics = process_metrics(&db, &readiness, &options);
        let surroundings =
            Surroundings { db: db.clone(), readiness: readiness.clone(), metrics, docs: options.docs };
        let tokens = shared.tokens.clone();
        let services = services(Arc::new(shared), &live, &options, &surroundings);
        let gateway = gateway(&services, &live, surroundings, options, tokens);
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

/// What is told of the process and of what all its services share.
fn process_metrics(db: &Db, readiness: &Readiness, options: &Options) -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::default());
    let (db, readiness, folder) = (db.clone(), readiness.clone(), options.data_dir.clone());
    metrics.add(metrics::process);
    metrics.add(move |text| {
        metrics::build_info(env!("CARGO_PKG_VERSION"), text);
        metrics::free_disk(&folder, text);
        let is_ready = if readiness.is_ready() { 1.0 } else { 0.0 };
        text.gauge("storehouse_ready", "Whether the process takes work: 1 or 0.", &[], is_ready);
        db.write_metrics(text);
    });
    metrics
}

fn services(
    shared: Arc<Shared>,
    live: &Arc<LiveSessions>,
    options: &Options,
    surroundings: &Surroundings,
) -> Vec<Service> {
    let passwords = Passwords::new(options.password_hash, options.password_denylist);
    let accounts = Accounts::new(&options.secret, passwords, live.clone());
    let passwords = accounts.passwords.clone();
    surroundings.metrics.add(move |text| passwords.write_metrics(text));
    let auth = Auth {
        shared: shared.clone(),
        accounts: accounts.clone(),
        first_admin: options.first_admin,
        counts: Arc::default(),
    };
    let users = Users { shared: shared.clone(), accounts };
    let orders = Orders { shared, max_pending: options.max_pending_orders, counts: Arc::default() };
    vec![
        auth::service(auth, surroundings),
        users::service(users, surroundings),
        orders::service(orders, surroundings),
    ]
}

fn gateway(
    services: &[Service],
    live: &Arc<LiveSessions>,
    surroundings: Surroundings,
    options: Options,
    tokens: Arc<Tokens>,
) -> Service {
    let locals: Vec<Local> = services
        .iter()
        .zip(options.ports)
        .map(|(service, port)| Local { port, router: service.router.clone() })
        .collect();
    let config = GatewayConfig {
        routes: options.routes,
        trusted_proxies: options.trusted_proxies,
        cors: options.cors,
        limits: gateway::Limits::default(),
        metrics_access: options.metrics_access,
    };
    let surroundings = gateway::Surroundings {
        tokens,
        sessions: live.clone(),
        readiness: surroundings.readiness,
        metrics: surroundings.metrics,
        docs: options.docs.then(|| kit::service::docs_router(&document())),
    };
    gateway::gateway(config, &locals, surroundings)
}

/// The whole system's OpenAPI document.
pub fn document() -> OpenApi {
    kit::openapi::merge([auth::document(), users::document(), orders::document()])
}
