//! Where the data lives: `DATABASE_URL`, parsed once.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::postgres::Server;

/// Where the data lives. Parsed from a path, `sqlite:PATH`, `sqlite://PATH`, `postgres://…` or `postgresql://…`; `Display` masks a password.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server and database.
    Postgres(Box<Server>),
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text.split_once("://") {
            Some(("postgres" | "postgresql", _)) => postgres(text),
            Some(("sqlite", path)) => sqlite(path),
            Some((scheme, _)) => Err(format!(
                "the database scheme {scheme:?} is not known: give a path, sqlite:PATH or postgres://USER@HOST/NAME"
            )),
            None => sqlite(text.strip_prefix("sqlite:").unwrap_or(text)),
        }
    }
}

fn sqlite(path: &str) -> Result<DatabaseUrl, String> {
    match path {
        "" => Err("the database address names no file".to_owned()),
        ":memory:" => {
            Err("a database in memory is not supported, since several connections share it: give a path"
                .to_owned())
        }
        _ if path.contains('?') => {
            Err("a SQLite address takes no options after a question mark: give only the path".to_owned())
        }
        _ => Ok(DatabaseUrl::Sqlite(PathBuf::from(path))),
    }
}

fn postgres(text: &str) -> Result<DatabaseUrl, String> {
    // The parser's own message could quote a piece of a password that holds a special character.
    let server = Server::parse(text).ok_or_else(|| {
        "the PostgreSQL address cannot be read: write postgres://USER:PASSWORD@HOST:PORT/NAME, with special characters percent-encoded, and ?sslmode=require for TLS"
            .to_owned()
    })?;
    if server.config.get_hosts().is_empty() && server.config.get_hostaddrs().is_empty() {
        return Err("the PostgreSQL address names no host".to_owned());
    }
    Ok(DatabaseUrl::Postgres(Box::new(server)))
}

impl Display for DatabaseUrl {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(out, "sqlite:{}", path.display()),
            Self::Postgres(server) => {
                let config = &server.config;
                let user = config.get_user().map(|user| match config.get_password() {
                    Some(_) => format!("{user}:***@"),
                    None => format!("{user}@"),
                });
                write!(out, "postgres://{}{}", user.unwrap_or_default(), place(config))
            }
        }
    }
}

/// `host:port/name`, of the first host: what an operator needs to recognise a server, without a secret.
pub(crate) fn place(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        #[cfg(unix)]
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let name = config.get_dbname().or_else(|| config.get_user()).unwrap_or_default();
    format!("{host}:{port}/{name}")
}
