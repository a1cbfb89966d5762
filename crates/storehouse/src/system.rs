//! What a process runs of the system, put together: the only place that knows every crate. It opens no port.

mod options;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use accounts::personal::{self, Section};
use accounts::{Accounts, LiveSessions, LoginLimits, Passwords};
use aide::openapi::OpenApi;
use audit::Auditing;
use auth::Auth;
use db::Db;
use futures_util::future::{OptionFuture, join, join3, join4, join5};
use gateway::{Gateway, GatewayConfig, Local};
use inventory::Inventory;
use kit::client::ClientKey;
use kit::clock::Clock;
use kit::idempotency;
use kit::identity::Sessions;
use kit::limit::Counting;
use kit::metrics::{self, Metrics, Text};
use kit::outgoing::Outgoing;
use kit::server::Connections;
use kit::service::{Readiness, Service, Surroundings};
use kit::shared::Shared;
use kit::token::Tokens;
use mails::Mails;
use orders::{Orders, erase_people, expire_orders};
use tracing::warn;
use users::Users;
use uuid::Uuid;
use webhooks::Webhooks;

pub use self::options::{MailOptions, Options};
use crate::common_limits::CommonLimits;
use crate::nightly::Nightly;
use crate::part::Part;

/// How often what is past its time is removed, and how much of it in one write.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10 * 60);
const SWEEP_LIMIT: i64 = 1000;

/// How often it is looked for pending orders that expire.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(2);
/// How often what the metrics tell of all stock is added up.
const FIGURES_INTERVAL: Duration = Duration::from_secs(60);

/// What must be so of money, stock and permissions whatever happens.
const INVARIANTS: [&str; 5] =
    [orders::ORDER_GOODS, orders::ORDER_MONEY, orders::ORDER_OWNER, stock::ORDER_HOLDS, stock::STOCK_LEVEL];

/// What is kept of people besides their accounts.
const SECTIONS: &[Section] = &[
    personal::SESSIONS,
    personal::LOGIN,
    personal::API_KEYS,
    personal::MAILS,
    personal::AUDIT,
    orders::ORDERS,
    orders::ORDER_HISTORY,
];

/// What this process runs of the system, ready to be served.
pub struct System {
    gateway: Option<Gateway>,
    services: Vec<Service>,
    orders: Option<Arc<Orders>>,
    inventory: Option<Arc<Inventory>>,
    mails: Option<Mails>,
    /// How the limits count, where there are any.
    counting: Option<Counting>,
    common_limits: Option<Arc<CommonLimits>>,
    /// Whether the process takes work.
    pub readiness: Readiness,
    metrics: Arc<Metrics>,
    data: Option<Data>,
    nightly: Option<Nightly>,
    clock: Clock,
    event_retention: Duration,
    audit_retention: Option<Duration>,
}

/// What a process with a database keeps of it.
struct Data {
    db: Db,
    live: Arc<LiveSessions>,
    shared: Arc<Shared>,
    auditing: Arc<Auditing>,
}

impl Data {
    fn new(db: Db, clock: &Clock, options: &Options) -> Self {
        let live = LiveSessions::new(db.clone(), clock.clone(), options.session_limits);
        let shared = Shared::new(db.clone(), clock.clone(), &options.secret, live.clone(), options.currency);
        let auditing = Arc::new(Auditing::new(db.clone(), clock.clone(), Arc::clone(&shared.refusals)));
        Self { db, live, shared: Arc::new(shared), auditing }
    }

    fn sessions(&self) -> Arc<dyn Sessions> {
        self.live.clone()
    }
}

impl System {
    /// Puts the parts together on a database that has its tables. Without one there is at most a gateway, which
    /// leaves it to the services whether a session still lives. An error if passwords can't be hashed, or TLS can't be had.
    pub fn new(db: Option<Db>, clock: Clock, options: Options) -> io::Result<Self> {
        let data = db.map(|db| Data::new(db, &clock, &options));
        let readiness = Readiness::new(data.as_ref().map(Data::sessions));
        let metrics = process_metrics(data.as_ref(), &readiness, &options);
        let (gateway, services, orders, inventory, mails) = (None, Vec::new(), None, None, None);
        let (event_retention, audit_retention) = (options.event_retention, options.audit_retention);
        let plan = options.nightly.clone().filter(|_| data.is_some());
        let nightly = plan.map(|plan| Nightly::new(plan, clock.clone(), readiness.clone(), &metrics));
        let (counting, common_limits) = count_limits(&clock, &metrics, &options);
        let mut system = Self {
            gateway,
            services,
            orders,
            inventory,
            mails,
            counting,
            common_limits,
            readiness,
            metrics,
            data,
            nightly,
            clock,
            event_retention,
            audit_retention,
        };
        if let Some(data) = &system.data {
            let (shared, runs) = (&data.shared, |part| options.parts.contains(&part));
            system.orders =
                runs(Part::Orders).then(|| system.make_orders(data, shared, &options)).transpose()?;
            system.inventory = runs(Part::Inventory).then(|| Inventory::new(shared.clone()));
            system.services = system.make_services(data, shared, &options)?;
            system.mails = system.make_mails(data, &options);
        }
        if options.parts.contains(&Part::Gateway) {
            system.gateway = Some(system.make_gateway(options));
        }
        Ok(system)
    }

    /// A part of this process, as it is served.
    pub fn service(&self, part: Part) -> Option<&Service> {
        match part {
            Part::Gateway => self.gateway.as_ref().map(|gateway| &gateway.service),
            _ => self.services.iter().find(|service| service.name == part.name()),
        }
    }

    fn make_orders(&self, data: &Data, shared: &Arc<Shared>, options: &Options) -> io::Result<Arc<Orders>> {
        let outgoing = Outgoing::new(options.webhook_networks.clone(), options.authorities.clone())?;
        let webhooks = Webhooks::new(data.db.clone(), self.clock.clone(), &options.secret, outgoing);
        Ok(Orders::new(
            shared.clone(),
            Arc::new(webhooks),
            options.max_pending_orders,
            options.pending_expiry,
            self.readiness.clone(),
        ))
    }

    /// A gateway alone sends none: its database is there for sessions.
    fn make_mails(&self, data: &Data, options: &Options) -> Option<Mails> {
        let options = options.mail.clone().filter(|_| !self.services.is_empty())?;
        let MailOptions { way, low_stock_to, public_url } = options;
        let mails = Mails::new(data.db.clone(), self.clock.clone(), way, low_stock_to, public_url);
        let counts = Arc::clone(&mails.counts);
        self.metrics.add(move |text| counts.write(text));
        Some(mails)
    }

    fn make_services(
        &self,
        data: &Data,
        shared: &Arc<Shared>,
        options: &Options,
    ) -> io::Result<Vec<Service>> {
        let (db, readiness, metrics) = (data.db.clone(), self.readiness.clone(), self.metrics.clone());
        let refusals = Arc::clone(&shared.refusals);
        let surroundings = Surroundings { db, readiness, metrics, refusals, docs: options.docs };
        let accounts = self.make_accounts(data, options)?;
        let service = |part: &Part| match part {
            Part::Auth => {
                let (shared, accounts, counting) = (shared.clone(), accounts.clone(), self.counting.as_ref());
                let auth = Auth::new(shared, accounts, options.first_admin, counting, scopes);
                Some(auth::service(auth, &surroundings))
            }
            Part::Users => {
                let (shared, accounts) = (shared.clone(), accounts.clone());
                let users = Users { shared, accounts, sections: SECTIONS };
                Some(users::service(Arc::new(users), &surroundings))
            }
            Part::Orders => self.orders.clone().map(|orders| orders::service(orders, &surroundings)),
            Part::Inventory => {
                self.inventory.clone().map(|inventory| inventory::service(inventory, &surroundings))
            }
            Part::Gateway => None,
        };
        Ok(options.parts.iter().filter_map(service).collect())
    }

    fn make_accounts(&self, data: &Data, options: &Options) -> io::Result<Accounts> {
        let passwords = Passwords::new(options.password_hash, options.password_denylist)?;
        let accounts = Accounts::new(
            &options.secret,
            passwords,
            LoginLimits::new(self.counting.as_ref()),
            data.live.clone(),
            data.shared.refusals.clone(),
        );
        let (passwords, limits) = (accounts.passwords.clone(), accounts.login_limits.clone());
        self.metrics.add(move |text| {
            passwords.write_metrics(text);
            limits.write_metrics(text);
        });
        Ok(accounts)
    }

    /// Has the metrics tell of a port's connections.
    pub(crate) fn tell_connections(&self, part: Part, connections: Arc<Connections>) {
        self.metrics.add(move |text| connections.write_metrics(part.name(), text));
    }

    /// Whether its gateway has routes that lead out of this process.
    pub(crate) fn calls_others(&self) -> bool {
        self.gateway.as_ref().is_some_and(|gateway| gateway.upstreams().next().is_some())
    }

    fn make_gateway(&self, options: Options) -> Gateway {
        let local =
            |service: &Service| Local { port: options.ports.of(service.name), service: service.clone() };
        let locals: Vec<Local> = self.services.iter().map(local).collect();
        let config = GatewayConfig {
            routes: options.routes,
            trusted_proxies: options.trusted_proxies,
            cors: options.cors,
            limits: gateway::Limits::default(),
            metrics_access: options.metrics_access,
        };
        let surroundings = gateway::Surroundings {
            tokens: Arc::new(Tokens::new(&options.secret, self.clock.clone())),
            sessions: self.data.as_ref().map(Data::sessions),
            client_key: ClientKey::new(&options.secret),
            counting: self.counting.clone(),
            readiness: self.readiness.clone(),
            metrics: self.metrics.clone(),
            docs: options.docs.then(|| kit::service::docs_router(Box::new(document))),
        };
        gateway::gateway(config, &locals, surroundings)
    }

    /// Does the work that nobody asks for, until it is dropped: follows the session feed, sweeps what is past its
    /// time, keeps the audit log, watches the gateway's backends, lets orders expire, tells webhooks, sends mails, adds up all stock, makes backups, tells other processes what limits have counted.
    pub async fn work(&self) {
        let front = OptionFuture::from(self.gateway.as_ref().map(Gateway::work));
        let back = self.data.as_ref().map(|data| {
            let (live, auditing) = (&data.live, &data.auditing);
            join4(live.clone().follow_feed(), live.keep_key_uses(), self.sweep(data), auditing.work())
        });
        let orders = self.data.as_ref().zip(self.orders.as_ref());
        let of_orders = OptionFuture::from(
            orders.map(|(data, orders)| join(self.expire(data, orders), orders.webhooks.work())),
        );
        let figures = OptionFuture::from(self.inventory.as_deref().map(keep_figures));
        let backups = OptionFuture::from(self.nightly.as_ref().map(Nightly::work));
        let mails = OptionFuture::from(self.mails.as_ref().map(Mails::work));
        let limits = OptionFuture::from(self.common_limits.as_deref().map(CommonLimits::work));
        join3(mails, limits, join5(front, OptionFuture::from(back), of_orders, figures, backups)).await;
    }

    /// Begins no more of what can't be broken off, and resolves once what was begun is done. The work must go on meanwhile.
    pub async fn finish(&self) {
        let webhooks = OptionFuture::from(self.orders.as_ref().map(|orders| orders.webhooks.finish()));
        join(webhooks, OptionFuture::from(self.mails.as_ref().map(Mails::finish))).await;
    }

    /// Puts into the audit log what was refused last, and tells other processes what limits counted last, once nobody is answered any more.
    pub async fn finish_counts(&self) {
        let audit = OptionFuture::from(self.data.as_ref().map(|data| data.auditing.finish()));
        join(audit, OptionFuture::from(self.common_limits.as_deref().map(CommonLimits::finish))).await;
    }

    /// Writes into the audit log what was refused so far, and seals what was committed, before their time.
    pub async fn keep_audit(&self) -> Result<(), db::Error> {
        match &self.data {
            Some(data) => data.auditing.catch_up(true).await,
            None => Ok(()),
        }
    }

    /// Tells other processes now what limits have counted, and learns what they have.
    pub async fn exchange_counts(&self) -> Result<(), redis::RedisError> {
        match &self.common_limits {
            Some(limits) => limits.exchange().await,
            None => Ok(()),
        }
    }

    /// Makes the night's backup now if it is due and nobody else makes it.
    pub async fn back_up_if_due(&self) {
        if let Some(nightly) = &self.nightly {
            nightly.run_if_due().await;
        }
    }

    /// Stores now when API keys were used, and not within seconds.
    pub async fn store_key_uses(&self) -> Result<(), db::Error> {
        match &self.data {
            Some(data) => data.live.store_key_uses().await,
            None => Ok(()),
        }
    }

    async fn expire(&self, data: &Data, orders: &Orders) {
        let mut ticks = kit::work::ticks(EXPIRY_INTERVAL);
        let mut erased_up_to = Uuid::nil();
        loop {
            ticks.tick().await;
            if let Err(error) = erase_people(&data.db, &mut erased_up_to).await {
                warn!(cause = %error, "what is left of a deleted account can't be removed");
            }
            if let Err(problem) = expire_orders(&data.db, &orders.counts, self.clock.now()).await {
                warn!(cause = problem.cause().unwrap_or(problem.code()), "a pending order can't expire");
            }
        }
    }

    /// Adds up what the metrics tell of all stock, all webhooks and all mails, before its time.
    pub async fn refresh_figures(&self) -> Result<(), db::Error> {
        if let Some(mails) = &self.mails {
            mails.refresh_figures().await?;
        }
        if let Some(orders) = &self.orders {
            orders.webhooks.refresh_figures().await?;
        }
        match &self.inventory {
            Some(inventory) => inventory.refresh_figures().await,
            None => Ok(()),
        }
    }

    async fn sweep(&self, data: &Data) {
        let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            ticks.tick().await;
            if let Err(error) = self.sweep_all(data).await {
                warn!(cause = %error, "what is past its time can't be removed");
            }
        }
    }

    /// In small writes, so that nobody waits long for one.
    async fn sweep_all(&self, data: &Data) -> Result<(), db::Error> {
        const ALL: u64 = SWEEP_LIMIT.unsigned_abs();
        while data.live.sweep(SWEEP_LIMIT).await? == ALL {}
        while idempotency::sweep(&data.db, self.clock.now(), SWEEP_LIMIT).await? == ALL {}
        let kept_since = self.clock.now().minus(self.event_retention);
        while events::sweep(&data.db, kept_since, SWEEP_LIMIT).await? == ALL {}
        while webhooks::sweep(&data.db, self.clock.now(), SWEEP_LIMIT).await? == ALL {}
        while mails::sweep(&data.db, self.clock.now(), SWEEP_LIMIT).await? == ALL {}
        let kept_since = self.audit_retention.map(|retention| self.clock.now().minus(retention));
        while audit::sweep(&data.db, self.clock.now(), kept_since, SWEEP_LIMIT).await? == ALL {}
        Ok(())
    }
}

async fn keep_figures(inventory: &Inventory) {
    let mut ticks = tokio::time::interval(FIGURES_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = inventory.refresh_figures().await {
            warn!(cause = %error, "the stock can't be added up for the metrics");
        }
    }
}

/// How limits count, and what tells other processes.
fn count_limits(
    clock: &Clock,
    metrics: &Metrics,
    options: &Options,
) -> (Option<Counting>, Option<Arc<CommonLimits>>) {
    let clock = clock.clone();
    match &options.redis {
        _ if !options.rate_limit => (None, None),
        None => (Some(Counting::alone(clock)), None),
        Some(redis) => {
            let (counting, together) = Counting::together(clock, &options.secret);
            let limits = Arc::new(CommonLimits::new(redis.clone(), together));
            let counts = Arc::clone(&limits);
            metrics.add(move |text| counts.write_metrics(text));
            (Some(counting), Some(limits))
        }
    }
}

/// What is told of the process and of what all its services share.
fn process_metrics(data: Option<&Data>, readiness: &Readiness, options: &Options) -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::default());
    let data = data.map(|data| (data.db.clone(), Arc::clone(&data.auditing)));
    let readiness = readiness.clone();
    let folder = options.data_dir.clone();
    metrics.add(metrics::process);
    metrics.add(move |text| {
        metrics::build_info(env!("CARGO_PKG_VERSION"), text);
        metrics::free_disk(&folder, text);
        let is_ready = if readiness.check().is_ok() { 1.0 } else { 0.0 };
        let help =
            "Whether the process takes work, and has heard from its database in the last seconds: 1 or 0.";
        text.gauge("storehouse_ready", help, &[], is_ready);
        if let Some((db, auditing)) = &data {
            db.write_metrics(text);
            events::write_metrics(db, text);
            write_violations(db, text);
            auditing.write_metrics(text);
        }
    });
    metrics
}

fn write_violations(db: &Db, text: &mut Text) {
    let help = "Transactions that were refused since something wasn't so that must be so.";
    for invariant in INVARIANTS {
        let count = db.tally().find(|(word, _)| *word == Some(invariant)).map_or(0, |(_, count)| count);
        text.counter("storehouse_invariant_violations_total", help, &[("invariant", invariant)], count);
    }
}

/// What API keys can be made for: what the endpoints ask of them.
fn scopes() -> BTreeSet<String> {
    kit::openapi::scopes(&document())
}

/// The whole system's OpenAPI document.
pub fn document() -> OpenApi {
    kit::openapi::merge([auth::document(), users::document(), orders::document(), inventory::document()])
}
