//! What the system is told before it is put together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use accounts::{FirstAdmin, PasswordHash, SessionLimits};
use gateway::{Cors, MetricsAccess, Ports, Routes};
use ipnet::IpNet;
use kit::mail::{Address, Mail};
use kit::money::Currency;
use kit::outgoing::Authorities;
use kit::secret::Secret;
use mails::PublicUrl;

use crate::nightly::Plan;
use crate::part::Part;

/// What the system is told.
pub struct Options {
    /// What this process runs.
    pub parts: Vec<Part>,
    /// Signs tokens; every other key is derived from it.
    pub secret: Secret,
    /// What new passwords are hashed with.
    pub password_hash: PasswordHash,
    /// Whether common passwords are refused.
    pub password_denylist: bool,
    /// How long sessions live.
    pub session_limits: SessionLimits,
    /// Whether the first account of all becomes an admin.
    pub first_admin: FirstAdmin,
    /// The currency of an amount that names none.
    pub currency: Currency,
    /// How many pending orders a customer may have.
    pub max_pending_orders: i64,
    /// How long a pending order keeps its stock.
    pub pending_expiry: Duration,
    /// How long events are kept.
    pub event_retention: Duration,
    /// How long the audit log is kept; for ever if nothing is said.
    pub audit_retention: Option<Duration>,
    /// Networks that are not public, which webhooks may reach all the same.
    pub webhook_networks: Vec<IpNet>,
    /// How mails are sent, if they are.
    pub mail: Option<MailOptions>,
    /// Who vouches for those whom we ask over TLS.
    pub authorities: Authorities,
    /// Whether `/docs` and `/openapi.json` are served.
    pub docs: bool,
    /// Who may read the gateway's `/metrics`.
    pub metrics_access: MetricsAccess,
    /// The folder whose free room is told.
    pub data_dir: PathBuf,
    /// What is backed up each night.
    pub nightly: Option<Plan>,
    /// Which service answers which paths.
    pub routes: Routes,
    /// Which pages of other origins may call.
    pub cors: Cors,
    /// Whether clients are limited in how often they may ask and log in.
    pub rate_limit: bool,
    /// Where that is counted together with other processes, if it is.
    pub redis: Option<redis::Client>,
    /// Proxies whose word on the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where the services listen, by which the gateway knows those of its own process.
    pub ports: Ports,
}

/// How mails are sent.
#[derive(Clone)]
pub struct MailOptions {
    /// The way out.
    pub way: Arc<dyn Mail>,
    /// Who is told of low stock.
    pub low_stock_to: Vec<Address>,
    /// What links begin with.
    pub public_url: Option<PublicUrl>,
}

impl Options {
    /// The settings of development, but without limits: for tests, benchmarks and fuzzing.
    pub fn for_tests(secret: Secret) -> Self {
        Self {
            parts: Part::ALL.to_vec(),
            secret,
            password_hash: PasswordHash::Argon2id,
            password_denylist: false,
            session_limits: SessionLimits::default(),
            first_admin: FirstAdmin::Promoted,
            currency: Currency::default(),
            max_pending_orders: 100,
            pending_expiry: Duration::from_secs(24 * 60 * 60),
            event_retention: Duration::from_secs(30 * 24 * 60 * 60),
            audit_retention: None,
            webhook_networks: Vec::new(),
            mail: None,
            authorities: Authorities::default(),
            docs: true,
            metrics_access: MetricsAccess::Open,
            data_dir: PathBuf::from("."),
            nightly: None,
            routes: Routes::built_in(Ports::default()),
            cors: Cors { localhost: true, origins: Vec::new() },
            rate_limit: false,
            redis: None,
            trusted_proxies: Vec::new(),
            ports: Ports::default(),
        }
    }
}
