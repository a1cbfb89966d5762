//! `storehouse serve`: takes the ports, opens the database, puts the parts together, serves each on its port, and ends
//! it in order.

use std::fs::{self, Metadata};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use accounts::FirstAdmin;
use anyhow::{Context as _, Result, ensure};
use db::Db;
use futures_util::future::{join, pending};
use gateway::{Cors, MetricsAccess, Ports, Routes};
use kit::clock::Clock;
use kit::outgoing::Authorities;
use kit::secret::Secret;
use kit::server::{self, Connections, Limits, Workers};
use redis::TlsCertificates;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::check::LeftOut;
use crate::migrate::open_migrated;
use crate::nightly::Plan;
use crate::part::Part;
use crate::settings::{Backups, Environment, Settings};
use crate::system::{MailOptions, Options, System};
use crate::{banner, check, mail};

/// A part of this process with the port that it was given.
pub(crate) type Listeners = Vec<(Part, TcpListener)>;

/// Between failing readiness and refusing connections, so that a balancer that asks has time to look elsewhere.
const NOTICE: Duration = Duration::from_millis(200);

/// The same where gateways in other processes ask, each second.
const NOTICE_TO_GATEWAYS: Duration = Duration::from_millis(1500);

/// Files that the process has open beside its connections: databases, logs, connections of its own.
const OTHER_FILES: usize = 128;

/// A port holds so many even where hardly any file may be open.
const FEWEST_CONNECTIONS: usize = 16;

/// Runs these parts until SIGTERM or SIGINT.
pub(crate) fn run(settings: &Settings, parts: &[Part]) -> Result<()> {
    let _logs = kit::telemetry::init(settings.logs.levels.clone(), settings.logs.format)?;
    // It accepts connections and does what nobody waits for; the workers do the rest.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(settings, parts));
    // What still runs was given its time already.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(settings: &Settings, parts: &[Part]) -> Result<()> {
    let secret = settings.signing_secret()?;
    // The ports come first: a second start must fail before it touches the database.
    let listeners = bind(settings, parts).await?;
    let options = options(settings, parts, secret, ports(settings, &listeners)?)?;
    let db = if needs_database(settings, parts) { Some(open_migrated(settings).await?) } else { None };
    warn_of_readable_files(settings);
    if let Some(db) = &db {
        let told = audit::record_settings(db, settings.audited(), Clock::default().now()).await;
        told.unwrap_or_else(
            |error| warn!(cause = %error, "the audit log can't tell whether settings have changed"),
        );
    }
    let system = System::new(db.clone(), Clock::default(), options)
        .context("can't start the threads that hash passwords, or TLS")?;
    banner::print(settings, &listeners, db.as_ref()).await?;
    let workers = Arc::new(Workers::start().context("can't start the threads that serve")?);
    let listeners = with_room(settings, &system, listeners);
    let outcome = serve_until_stopped(&system, listeners, &workers, db.as_ref()).await;
    // The workers live on: a write to PostgreSQL runs on the one that began it, even when its client is gone.
    if let Some(db) = db {
        db.close().await;
    }
    outcome
}

/// What we make ourselves is its owner's alone; what was copied or restored by hand may not be.
fn warn_of_readable_files(settings: &Settings) {
    for path in settings.private_files() {
        let is_private = |file: Metadata| file.permissions().mode() & 0o077 == 0;
        if !fs::metadata(&path).map_or(true, is_private) {
            let path = path.display();
            warn!(%path, "others on this machine can read this file: chmod 600 it");
        }
    }
}

/// A gateway alone can leave sessions to the services; with a database of its own it checks them too.
fn needs_database(settings: &Settings, parts: &[Part]) -> bool {
    settings.database_is_chosen || parts != [Part::Gateway]
}

fn options(settings: &Settings, parts: &[Part], secret: Secret, ports: Ports) -> Result<Options> {
    let is_development = settings.environment == Environment::Development;
    let authorities = authorities(settings)?;
    Ok(Options {
        parts: parts.to_vec(),
        secret,
        password_hash: settings.passwords.hash,
        password_denylist: settings.passwords.denylist,
        session_limits: settings.session_limits,
        first_admin: if is_development { FirstAdmin::Promoted } else { FirstAdmin::NotPromoted },
        currency: settings.orders.currency,
        max_pending_orders: settings.orders.max_pending,
        pending_expiry: settings.orders.pending_expiry,
        event_retention: settings.orders.event_retention,
        audit_retention: settings.audit_retention,
        webhook_networks: settings.orders.webhook_networks.clone(),
        mail: mail_options(settings, parts, &authorities)?,
        authorities,
        docs: settings.docs,
        metrics_access: metrics_access(settings, parts),
        data_dir: settings.data_dir.clone(),
        nightly: nightly(settings),
        routes: routes(settings, parts, ports)?,
        cors: cors(settings),
        rate_limit: settings.gateway.rate_limit,
        redis: redis(settings)?,
        trusted_proxies: settings.gateway.trusted_proxies.clone(),
        ports,
    })
}

fn authorities(settings: &Settings) -> Result<Authorities> {
    let Some(file) = &settings.outgoing_ca_file else { return Ok(Authorities::default()) };
    Authorities::with_file(file).with_context(|| format!("can't use OUTGOING_CA_FILE, {}", file.display()))
}

/// Where limits are counted together. What [`Authorities`] holds the library can't take, so over TLS the file is read for it.
fn redis(settings: &Settings) -> Result<Option<redis::Client>> {
    let Some(url) = settings.redis_url.as_ref().filter(|_| settings.gateway.rate_limit) else {
        return Ok(None);
    };
    let url = url.expose();
    let client = match &settings.outgoing_ca_file {
        Some(file) if url.starts_with("rediss:") => {
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(fs::read(file)?) };
            redis::Client::build_with_tls(url, certificates)
        }
        _ => redis::Client::open(url),
    };
    client.map(Some).context("can't use REDIS_URL")
}

fn metrics_access(settings: &Settings, parts: &[Part]) -> MetricsAccess {
    match (&settings.metrics_token, settings.environment) {
        (Some(token), _) => MetricsAccess::Token(token.clone()),
        (None, Environment::Development) => MetricsAccess::Open,
        (None, Environment::Production) => {
            if parts.contains(&Part::Gateway) {
                warn!("nobody may read the gateway's /metrics, since METRICS_TOKEN is not set");
            }
            MetricsAccess::Closed
        }
    }
}

fn mail_options(
    settings: &Settings,
    parts: &[Part],
    authorities: &Authorities,
) -> Result<Option<MailOptions>> {
    let options = mail::options(settings, authorities)?;
    if options.is_none() && parts != [Part::Gateway] {
        warn!("no mail is sent, since SMTP_URL is not set");
    }
    Ok(options)
}

fn nightly(settings: &Settings) -> Option<Plan> {
    let Backups { folder, time, keep } = settings.backups.clone();
    Some(Plan { url: settings.database_url.clone(), folder: folder?, time, keep })
}

/// One entry stands for any port of this machine; every other is an origin as browsers write it.
fn cors(settings: &Settings) -> Cors {
    let (any_port, origins) = settings
        .gateway
        .cors_origins
        .iter()
        .cloned()
        .partition::<Vec<_>, _>(|origin| origin == "http://localhost:*");
    Cors { localhost: !any_port.is_empty(), origins }
}

/// The services' ports: what this process was given, where a setting of 0 took any free one, and else the settings'.
fn ports(settings: &Settings, listeners: &Listeners) -> Result<Ports> {
    let port = |part| match listeners.iter().find(|(own, _)| *own == part) {
        Some((_, listener)) => Ok(address_of(listener)?.port()),
        None => Ok::<_, anyhow::Error>(settings.listen.address(part).port()),
    };
    Ok(Ports {
        auth: port(Part::Auth)?,
        users: port(Part::Users)?,
        orders: port(Part::Orders)?,
        inventory: port(Part::Inventory)?,
    })
}

fn routes(settings: &Settings, parts: &[Part], ports: Ports) -> Result<Routes> {
    // A service has no use for the file, so a fault in it must not keep one from starting.
    let file = settings.gateway.routes_file.as_ref().filter(|_| parts.contains(&Part::Gateway));
    let routes = match file {
        Some(file) => check::read(file)?,
        None => built_in_routes(parts, ports)?,
    };
    check::refuse_loop(&routes, settings, parts)?;
    parts.iter().for_each(|part| warn_if_left_out(&routes, *part));
    Ok(routes)
}

/// Some of it may be left out on purpose; of all of it nobody thought, as in a routes file from before there was that service.
fn warn_if_left_out(routes: &Routes, part: Part) {
    if let Some(LeftOut { prefixes, is_all: true }) = check::left_out(routes, part) {
        let paths = prefixes.join(", ");
        warn!(%paths, "no route leads to the {}: the gateway answers 404 there", part.title());
    }
}

fn built_in_routes(parts: &[Part], ports: Ports) -> Result<Routes> {
    for part in Part::ALL.into_iter().skip(1).filter(|_| parts.contains(&Part::Gateway)) {
        let name = part.port_setting();
        ensure!(
            ports.of(part.name()) != 0,
            "{name} is 0: the gateway must know where the {} is",
            part.title()
        );
    }
    Ok(Routes::built_in(ports))
}

async fn bind(settings: &Settings, parts: &[Part]) -> Result<Listeners> {
    let mut listeners = Vec::new();
    for &part in parts {
        let listener = server::bind(settings.listen.address(part)).await.with_context(|| {
            format!(
                "the {} can't start: is Storehouse running already? {} sets another port",
                part.title(),
                part.port_setting()
            )
        })?;
        listeners.push((part, listener));
    }
    Ok(listeners)
}

/// Each port with how many connections it holds at once: as many as are set, if the process may have so many open.
fn with_room(
    settings: &Settings,
    system: &System,
    listeners: Listeners,
) -> Vec<(Part, TcpListener, Arc<Connections>)> {
    // A gateway may need a second one for each to a service that isn't in its process.
    let files = if system.calls_others() { 2 } else { 1 };
    let wanted = settings.listen.max_connections;
    let most = most_connections(files).map_or(wanted, |most| most.min(wanted));
    if most < wanted {
        warn!(
            most,
            "a port holds fewer connections than MAX_CONNECTIONS says, since the process may open no more files (ulimit -n)"
        );
    }
    let room = |part| match part {
        Part::Gateway => Connections::new(most, most / 4, settings.gateway.trusted_proxies.clone()),
        // Gateways have many connections from one address each.
        _ => Connections::new(most, most, Vec::new()),
    };
    let with_room = |(part, listener): (Part, TcpListener)| {
        let connections = room(part);
        system.tell_connections(part, Arc::clone(&connections));
        (part, listener, connections)
    };
    listeners.into_iter().map(with_room).collect()
}

/// How many connections there is room for, each of so many files, with as many open as the system lets us; nothing if that is without
/// end.
fn most_connections(files_each: usize) -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let files = usize::try_from(if raised { maximum? } else { current? }).ok()?;
    Some((files.saturating_sub(OTHER_FILES) / files_each).max(FEWEST_CONNECTIONS))
}

async fn serve_until_stopped(
    system: &System,
    listeners: Vec<(Part, TcpListener, Arc<Connections>)>,
    workers: &Arc<Workers>,
    db: Option<&Db>,
) -> Result<()> {
    let (stop, stopping) = watch::channel(false);
    let notice = if system.service(Part::Gateway).is_some() { NOTICE } else { NOTICE_TO_GATEWAYS };
    let mut servers = JoinSet::new();
    for (part, listener, connections) in listeners {
        let service = system.service(part).with_context(|| format!("the {} was not made", part.title()))?;
        let (workers, stopping) = (Arc::clone(workers), stopping.clone());
        servers.spawn(server::serve(
            listener,
            service.clone(),
            Limits::default(),
            connections,
            workers,
            stopping,
        ));
    }
    let mut work = pin!(system.work());
    system.readiness.set_ready();
    info!("ready");
    let reason = tokio::select! {
        reason = stopped() => reason,
        failure = failure_of(db) => Err(anyhow::anyhow!("the database can't be written any more: {failure}")),
        () = &mut work => Ok("the end of its work"),
    };
    system.readiness.set_stopping();
    let end = async {
        if let Ok(signal) = &reason {
            info!(signal, "stopping: requests in flight end first, 30 s at most");
            tokio::time::sleep(notice).await;
        }
        // The receivers live in the servers, which may have ended already.
        let _ = stop.send(true);
        join(servers.join_all(), system.finish()).await;
        system.finish_counts().await;
    };
    // Requests in flight want the session feed followed to their end.
    tokio::select! {
        () = &mut work => {}
        () = end => {}
    }
    info!("stopped");
    reason.map(drop)
}

/// Resolves when the database's writer has given up for good.
async fn failure_of(db: Option<&Db>) -> String {
    match db {
        Some(db) => db.failed().await,
        None => pending().await,
    }
}

/// Waits for SIGTERM or SIGINT.
async fn stopped() -> Result<&'static str> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// Where a listener is, as it may be shown.
pub(crate) fn address_of(listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().context("a listener has no address")
}
