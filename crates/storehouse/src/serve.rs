//! `storehouse serve`: opens the database, puts the system together, serves each part on its port, and ends it in order.

use std::fs;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use accounts::FirstAdmin;
use anyhow::{Context as _, Result};
use db::Db;
use gateway::{Cors, MetricsAccess, Ports, Routes};
use kit::clock::Clock;
use kit::secret::Secret;
use kit::server::{self, Limits};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::banner;
use crate::migrations::MIGRATIONS;
use crate::settings::{Environment, Service, Settings};
use crate::system::{Options, System};

/// The services of this process behind the gateway, in the order of [`System::services`].
const SERVICES: [Service; 3] = [Service::Auth, Service::Users, Service::Orders];

/// Between failing readiness and refusing connections, so that a balancer that asks has time to look elsewhere.
const NOTICE: Duration = Duration::from_millis(200);

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let _logs = kit::telemetry::init(settings.logs.levels.clone(), settings.logs.format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(settings));
    // What still runs was given its time already.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(settings: &Settings) -> Result<()> {
    let secret = settings.signing_secret()?;
    // The ports come first: a second start must fail before it touches the database.
    let listeners = bind(settings).await?;
    let db = Db::open(&settings.database_url).await.context("can't open the database")?;
    db.migrate(MIGRATIONS).await.context("can't bring the database to this version")?;
    let options = options(settings, secret, service_ports(&listeners)?)?;
    let system = System::new(db.clone(), Clock::default(), options);
    banner::print(settings, &listeners, &db).await?;
    let outcome = serve_until_stopped(&system, listeners, &db).await;
    db.close().await;
    outcome
}

fn options(settings: &Settings, secret: Secret, ports: [u16; 3]) -> Result<Options> {
    let is_development = settings.environment == Environment::Development;
    Ok(Options {
        secret,
        password_hash: settings.passwords.hash,
        password_denylist: settings.passwords.denylist,
        first_admin: if is_development { FirstAdmin::Promoted } else { FirstAdmin::NotPromoted },
        currency: settings.orders.currency,
        max_pending_orders: settings.orders.max_pending,
        docs: settings.docs,
        metrics_access: metrics_access(settings),
        data_dir: settings.data_dir.clone(),
        routes: routes(settings, ports)?,
        cors: cors(settings),
        trusted_proxies: settings.gateway.trusted_proxies.clone(),
        ports,
    })
}

fn metrics_access(settings: &Settings) -> MetricsAccess {
    match (&settings.metrics_token, settings.environment) {
        (Some(token), _) => MetricsAccess::Token(token.clone()),
        (None, Environment::Development) => MetricsAccess::Open,
        (None, Environment::Production) => {
            warn!("nobody may read the gateway's /metrics, since METRICS_TOKEN is not set");
            MetricsAccess::Closed
        }
    }
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

/// The ports that the services really have: a setting of 0 took any free one.
fn service_ports(listeners: &[TcpListener]) -> Result<[u16; 3]> {
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(listeners.iter().skip(1)) {
        *port = address_of(listener)?.port();
    }
    Ok(ports)
}

fn routes(settings: &Settings, [auth, users, orders]: [u16; 3]) -> Result<Routes> {
    let Some(file) = &settings.gateway.routes_file else {
        return Ok(Routes::built_in(Ports { auth, users, orders }));
    };
    let text =
        fs::read_to_string(file).with_context(|| format!("can't read the routes file {}", file.display()))?;
    Ok(Routes::parse(&text, &file.display().to_string())?)
}

/// The gateway's listener, then the services'.
async fn bind(settings: &Settings) -> Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for service in [Service::Gateway].into_iter().chain(SERVICES) {
        let address = settings.listen.address(service);
        let listener = server::bind(address).await;
        listeners.push(listener.with_context(|| {
            format!(
                "the {} can't start: is Storehouse running already? {} sets another port",
                service.name(),
                service.port_setting()
            )
        })?);
    }
    Ok(listeners)
}

async fn serve_until_stopped(system: &System, listeners: Vec<TcpListener>, db: &Db) -> Result<()> {
    let (stop, stopping) = watch::channel(false);
    let services = [&system.gateway].into_iter().chain(&system.services);
    let mut servers = JoinSet::new();
    for (listener, service) in listeners.into_iter().zip(services) {
        servers.spawn(server::serve(listener, service.clone(), Limits::default(), stopping.clone()));
    }
    let mut work = pin!(system.work());
    system.readiness.set_ready();
    info!("ready");
    let reason = tokio::select! {
        reason = stopped() => reason,
        failure = db.failed() => Err(anyhow::anyhow!("the database can't be written any more: {failure}")),
        () = &mut work => Ok("the end of its work"),
    };
    system.readiness.set_stopping();
    let end = async {
        if let Ok(signal) = &reason {
            info!(signal, "stopping: requests in flight end first, 30 s at most");
            tokio::time::sleep(NOTICE).await;
        }
        // The receivers live in the servers, which may have ended already.
        let _ = stop.send(true);
        servers.join_all().await;
    };
    // Requests in flight want the session feed followed to their end.
    tokio::select! {
        () = &mut work => {}
        () = end => {}
    }
    info!("stopped");
    reason.map(drop)
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
