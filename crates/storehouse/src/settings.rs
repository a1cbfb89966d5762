//! Settings, read once at start into one immutable value. This module is the only one that looks at the environment.
//!
//! `table.rs` lists the settings, `values.rs` finds their texts, `parse.rs` understands one text, `show.rs` prints the result.

mod jwt_secret;
mod parse;
mod show;
mod table;
mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use accounts::{Lifetime, PasswordHash, SessionLimits};
use anyhow::{Result, bail, ensure};
use audit::SettingsFacts;
use db::DatabaseUrl;
use ipnet::IpNet;
use kit::mail::{Address, Mailbox, SmtpUrl};
use kit::money::Currency;
use kit::secret::Secret;
use kit::telemetry::{Format, Levels};
use mails::PublicUrl;

use table::AUDITED;
use values::{Origin, Values};

use crate::part::Part;

/// Everything that can be set, checked.
pub(crate) struct Settings {
    pub(crate) environment: Environment,
    pub(crate) listen: Listen,
    pub(crate) data_dir: PathBuf,
    pub(crate) database_url: DatabaseUrl,
    /// Whether somebody chose that database, so that even a gateway alone is to use it.
    pub(crate) database_is_chosen: bool,
    pub(crate) passwords: Passwords,
    pub(crate) session_limits: SessionLimits,
    pub(crate) gateway: Gateway,
    /// Where limits are counted together with other processes.
    pub(crate) redis_url: Option<Secret>,
    pub(crate) orders: Orders,
    /// Certificates of authorities of one's own, for what is asked over TLS.
    pub(crate) outgoing_ca_file: Option<PathBuf>,
    pub(crate) backups: Backups,
    pub(crate) mail: Mail,
    /// For ever where nothing is said.
    pub(crate) audit_retention: Option<Duration>,
    /// Whether `/docs` and `/openapi.json` are served.
    pub(crate) docs: bool,
    /// Lets its bearer read the gateway's `/metrics`.
    pub(crate) metrics_token: Option<Secret>,
    pub(crate) logs: Logs,
    jwt_secret: Option<Secret>,
    values: Values,
}

/// Where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Environment {
    Development,
    Production,
}

/// Where each service listens.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    pub(crate) gateway: SocketAddr,
    pub(crate) auth: SocketAddr,
    pub(crate) users: SocketAddr,
    pub(crate) orders: SocketAddr,
    pub(crate) inventory: SocketAddr,
    /// How many connections each of them holds at once.
    pub(crate) max_connections: usize,
}

/// How passwords are stored and which are taken.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    pub(crate) hash: PasswordHash,
    pub(crate) denylist: bool,
}

/// What only the gateway needs.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    /// The built-in routes where there is none.
    pub(crate) routes_file: Option<PathBuf>,
    pub(crate) rate_limit: bool,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) trusted_proxies: Vec<IpNet>,
}

/// What only orders need.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) currency: Currency,
    pub(crate) max_pending: i64,
    pub(crate) pending_expiry: Duration,
    pub(crate) event_retention: Duration,
    pub(crate) webhook_networks: Vec<IpNet>,
}

/// What is backed up by itself.
#[derive(Clone, Debug)]
pub(crate) struct Backups {
    /// Nothing is where there is none.
    pub(crate) folder: Option<PathBuf>,
    /// After midnight in UTC.
    pub(crate) time: Duration,
    pub(crate) keep: usize,
}

/// What is told by mail, and how.
pub(crate) struct Mail {
    /// Where there is none, development writes mails to files, and production sends none.
    pub(crate) smtp: Option<SmtpUrl>,
    pub(crate) from: Option<Mailbox>,
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) low_stock_to: Vec<Address>,
}

/// What is logged, and how; no format means text on a terminal and JSON elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    pub(crate) levels: Levels,
    pub(crate) format: Option<Format>,
}

impl Settings {
    /// Reads the file and the environment, for a process that runs these parts.
    pub(crate) fn load(config: Option<&Path>, parts: &[Part]) -> Result<Self> {
        Self::read(config, parts, |name| std::env::var_os(name))
    }

    fn read(
        config: Option<&Path>,
        parts: &[Part],
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self> {
        let values = Values::gather(config, environment)?;
        let settings = Self {
            environment: values.read("ENVIRONMENT", parse::environment)?,
            listen: Listen::read(&values, parts)?,
            data_dir: values.get("DATA_DIR")?.text.expose().into(),
            database_url: values.read("DATABASE_URL", |text| parse::database_url(text)?.parse().ok())?,
            database_is_chosen: values.get("DATABASE_URL")?.origin != Origin::Default,
            passwords: Passwords {
                hash: values.read("PASSWORD_HASH", parse::password_hash)?,
                denylist: values.read("PASSWORD_DENYLIST", parse::switch)?,
            },
            session_limits: SessionLimits {
                people: lifetime(&values, "SESSION_IDLE", "SESSION_LIFETIME")?,
                admins: lifetime(&values, "ADMIN_SESSION_IDLE", "ADMIN_SESSION_LIFETIME")?,
            },
            gateway: Gateway::read(&values)?,
            redis_url: values.read_optional("REDIS_URL", parse::redis_url)?,
            orders: Orders {
                currency: values.read("CURRENCY", |text| text.parse().ok())?,
                max_pending: values.read("MAX_PENDING_ORDERS", parse::at_least_one)?,
                pending_expiry: values.read("PENDING_EXPIRY", parse::duration)?,
                event_retention: values.read("EVENT_RETENTION", parse::duration)?,
                webhook_networks: values.read("WEBHOOK_ALLOW_NETWORKS", parse::networks)?,
            },
            outgoing_ca_file: values.read_optional("OUTGOING_CA_FILE", |text| Some(text.into()))?,
            backups: Backups {
                folder: values.read_optional("BACKUP_FOLDER", |text| Some(text.into()))?,
                time: values.read("BACKUP_TIME", parse::time_of_day)?,
                keep: usize::try_from(values.read("BACKUP_KEEP", parse::at_least_one)?).unwrap_or(usize::MAX),
            },
            mail: Mail::read(&values)?,
            audit_retention: values.read("AUDIT_RETENTION", parse::retention)?,
            docs: values.read("DOCS", parse::switch)?,
            metrics_token: values.read_optional("METRICS_TOKEN", parse::bearer_token)?,
            logs: Logs {
                levels: values.read("LOG_LEVEL", |text| text.parse().ok())?,
                format: values.read("LOG_FORMAT", parse::log_format)?,
            },
            jwt_secret: values.read_optional("JWT_SECRET", |text| Some(Secret::new(text)))?,
            values,
        };
        ensure!(
            settings.environment == Environment::Development || settings.gateway.rate_limit,
            "RATE_LIMIT is off, which is refused in production: remove it"
        );
        settings.mail.check(settings.environment)?;
        let data_dir = &settings.data_dir;
        ensure!(!data_dir.is_file(), "DATA_DIR is {}, which is a file: name a folder", data_dir.display());
        Ok(settings)
    }

    /// The secret that signs tokens. In development one is made where none is set; in production a poor one is refused.
    pub(crate) fn signing_secret(&self) -> Result<Secret> {
        self.check_signing_secret()?;
        match &self.jwt_secret {
            Some(secret) => Ok(secret.clone()),
            None => jwt_secret::kept_in(&self.data_dir),
        }
    }

    /// Whether the secret is one that was made, which parts with another data folder don't know.
    pub(crate) fn secret_is_made(&self) -> bool {
        self.jwt_secret.is_none()
    }

    /// The same check without making anything.
    pub(crate) fn check_signing_secret(&self) -> Result<()> {
        match self.environment {
            Environment::Development => Ok(()),
            Environment::Production => jwt_secret::check(self.jwt_secret.as_ref()),
        }
    }

    /// The files that only their owner should be able to read: the database's, and a settings file that holds a secret.
    pub(crate) fn private_files(&self) -> Vec<PathBuf> {
        let mut files = self.values.files_with_secrets();
        if let DatabaseUrl::Sqlite(path) = &self.database_url {
            let beside = ["", "-wal", "-shm"].map(|end| {
                let mut name = path.clone().into_os_string();
                name.push(end);
                name.into()
            });
            files.extend(beside);
        }
        files
    }

    /// What the audit log tells of them: those that decide what the system does, not where it runs.
    pub(crate) fn audited(&self) -> SettingsFacts {
        let decides = |value: &&values::Value| AUDITED.contains(&value.setting.name);
        let chosen = self.values.0.iter().filter(decides);
        SettingsFacts(chosen.filter_map(|value| Some((value.setting.name, value.shown()?))).collect())
    }

    /// What starts a system on the same data: what the environment says of where it lies must be said again.
    pub(crate) fn serve_command(&self) -> String {
        show::serve_command(&self.values)
    }

    /// A settings file with what is in effect; secrets stand in comments.
    pub(crate) fn to_toml(&self) -> String {
        show::toml(&self.values)
    }
}

impl Mail {
    fn read(values: &Values) -> Result<Self> {
        Ok(Self {
            smtp: values.read_optional("SMTP_URL", |text| text.parse().ok())?,
            from: values.read_optional("MAIL_FROM", |text| text.parse().ok())?,
            public_url: values.read_optional("PUBLIC_URL", |text| text.parse().ok())?,
            low_stock_to: values.read("LOW_STOCK_EMAILS", parse::addresses)?,
        })
    }

    fn check(&self, environment: Environment) -> Result<()> {
        ensure!(
            self.smtp.is_none() || self.from.is_some(),
            "MAIL_FROM is not set, and SMTP_URL is: say whom mails come from"
        );
        let is_safe = self.public_url.as_ref().is_none_or(PublicUrl::is_encrypted);
        ensure!(
            environment == Environment::Development || is_safe,
            "PUBLIC_URL is not https, which is refused in production: a token that is mailed could be read on its way"
        );
        ensure!(
            environment == Environment::Development || self.smtp.is_some() || self.low_stock_to.is_empty(),
            "LOW_STOCK_EMAILS is set, and SMTP_URL isn't, without which no mail is sent in production: set both or none"
        );
        Ok(())
    }
}

fn lifetime(values: &Values, idle: &str, absolute: &str) -> Result<Lifetime> {
    Ok(Lifetime {
        idle: values.read(idle, parse::duration)?,
        absolute: values.read(absolute, parse::duration)?,
    })
}

impl Gateway {
    fn read(values: &Values) -> Result<Self> {
        let default_file = || Some(PathBuf::from("routes.yaml")).filter(|file| file.is_file());
        Ok(Self {
            routes_file: values.read_optional("ROUTES_FILE", |text| Some(text.into()))?.or_else(default_file),
            rate_limit: values.read("RATE_LIMIT", parse::switch)?,
            cors_origins: values.read("CORS_ORIGINS", parse::origins)?,
            trusted_proxies: values.read("TRUSTED_PROXIES", parse::networks)?,
        })
    }
}

impl Listen {
    /// `HOST` and `PORT` are meant for the gateway, and where there is none for the services themselves.
    fn read(values: &Values, parts: &[Part]) -> Result<Self> {
        let host = values.read("HOST", parse::address)?;
        let service_host = values.read("SERVICE_HOST", parse::address)?;
        let shared = (values.read_optional("PORT", parse::port)?, &values.get("PORT")?.origin);
        let is_front = |part| match parts {
            parts if parts.contains(&Part::Gateway) => part == Part::Gateway,
            parts => parts.contains(&part),
        };
        // Where a part's own port says as much, `PORT` says nothing.
        let takes_port = |part, own: &Origin| {
            let is_meant = is_front(part) && (part == Part::Gateway || parts.len() == 1);
            is_meant && shared.0.is_some() && shared.1 > own
        };
        let address = |part: Part| -> Result<SocketAddr> {
            let name = part.port_setting();
            let own = (values.read(name, parse::port)?, &values.get(name)?.origin);
            Ok(match shared {
                (Some(port), _) if takes_port(part, own.1) => SocketAddr::new(host, port),
                _ => SocketAddr::new(if is_front(part) { host } else { service_host }, own.0),
            })
        };
        let listen = Self {
            gateway: address(Part::Gateway)?,
            auth: address(Part::Auth)?,
            users: address(Part::Users)?,
            orders: address(Part::Orders)?,
            inventory: address(Part::Inventory)?,
            max_connections: values.read("MAX_CONNECTIONS", parse::connections)?,
        };
        let gateway_takes_it = takes_port(Part::Gateway, &values.get("GATEWAY_PORT")?.origin);
        listen.check_ports(parts, gateway_takes_it)?;
        Ok(listen)
    }

    /// Where one part listens.
    pub(crate) fn address(&self, part: Part) -> SocketAddr {
        match part {
            Part::Gateway => self.gateway,
            Part::Auth => self.auth,
            Part::Users => self.users,
            Part::Orders => self.orders,
            Part::Inventory => self.inventory,
        }
    }

    /// Two parts of one process can't share a port; 0 stands for any free one.
    fn check_ports(&self, parts: &[Part], gateway_takes_port: bool) -> Result<()> {
        for (at, &one) in parts.iter().enumerate() {
            for &other in &parts[at + 1..] {
                let port = self.address(one).port();
                if port == 0 || port != self.address(other).port() {
                    continue;
                }
                let (setting, name) = (other.port_setting(), other.name());
                ensure!(
                    one != Part::Gateway || !gateway_takes_port,
                    "PORT is {port}, which the gateway takes, and {setting} is {port} too: to run the {name} service alone say `storehouse serve {name}`, else set another PORT"
                );
                bail!("{} and {setting} are both {port}: each needs a port of its own", one.port_setting());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
