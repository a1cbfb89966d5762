//! A server and database, as its address names it; and what makes the connection to it safe (TLS).
//!
//! `sslmode=require` (or `verify-full`, which here is the same) has each connection encrypted and the server prove its name, by an
//! authority that browsers trust or one of the file that `sslrootcert` names. Without it connections are plain. `connection_limit` says how many connections
//! this process may have for its transactions and reads, 2 to 200.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Error;

/// How a server is reached.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) config: Config,
    /// Certificates (PEM) of the authorities that may vouch for it; else those that browsers trust.
    pub(crate) authorities: Option<PathBuf>,
    /// How many connections transactions and reads share, at most.
    pub(crate) connections: usize,
}

/// Five processes may have so many, and a backup beside them, of a server that gives a hundred.
const CONNECTIONS: usize = 16;
/// More take nothing off the time of a request.
const MOST_CONNECTIONS: usize = 200;

impl Server {
    /// From `postgres://…`; nothing if it can't be read.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
        let (mut authorities, mut connections, mut others) = (None, CONNECTIONS, Vec::new());
        for parameter in parameters.split('&') {
            match parameter.split_once('=') {
                Some(("sslrootcert", file)) => authorities = Some(file),
                Some(("connection_limit", limit)) => connections = limit.parse().ok()?,
                _ => others.push(parameter),
            }
        }
        if !(2..=MOST_CONNECTIONS).contains(&connections) {
            return None;
        }
        // The library knows no other word for TLS, and leaves to us whom it trusts.
        let others: Vec<&str> = others
            .into_iter()
            .map(|parameter| if parameter == "sslmode=verify-full" { "sslmode=require" } else { parameter })
            .collect();
        let mut config: Config = format!("{place}?{}", others.join("&")).parse().ok()?;
        // Its default would try TLS, and take any certificate's failure for the server's.
        if config.get_ssl_mode() != SslMode::Require {
            config.ssl_mode(SslMode::Disable);
        }
        let decoded = authorities.map(|file| percent_decode_str(file).decode_utf8_lossy().into_owned());
        Some(Self { config, authorities: decoded.map(PathBuf::from), connections })
    }

    /// Whether the server must prove who it is, and nobody between can read.
    pub(crate) fn is_safe(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }

    /// What a connection is made safe with.
    pub(crate) fn tls(&self) -> Result<MakeRustlsConnect, Error> {
        let unusable = |error: &dyn Display| Error::Refused(format!("TLS can't be used: {error}"));
        let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        let roots = if self.is_safe() { self.roots()? } else { RootCertStore::empty() };
        Ok(MakeRustlsConnect::new(client.with_root_certificates(roots).with_no_client_auth()))
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let Some(file) = &self.authorities else {
            return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
        };
        let unusable = |error: &dyn Display| {
            Error::Refused(format!("the file of authorities, {}, can't be used: {error}", file.display()))
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
            let certificate = certificate.map_err(|error| unusable(&error))?;
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        if roots.is_empty() { Err(unusable(&"it holds no certificate in PEM")) } else { Ok(roots) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_used_where_the_address_asks_for_it() {
        for (parameters, is_safe) in [
            ("", false),
            ("?sslmode=disable", false),
            ("?sslmode=prefer", false),
            ("?sslmode=require", true),
            ("?sslmode=verify-full&connect_timeout=3", true),
            ("?connect_timeout=3&sslmode=require&sslrootcert=/etc/own%20ones.pem", true),
        ] {
            let server = Server::parse(&format!("postgres://me@db.example/store{parameters}")).unwrap();
            assert_eq!(server.is_safe(), is_safe, "{parameters}");
            assert_eq!(server.config.get_dbname(), Some("store"));
            let file = parameters.contains("own").then(|| PathBuf::from("/etc/own ones.pem"));
            assert_eq!(server.authorities, file, "{parameters}");
        }
        for wrong in [
            "?sslmode=verify",
            "?sslmode=REQUIRE",
            "?sslkey=/a",
            "?connection_limit=1",
            "?connection_limit=201",
            "?connection_limit=many",
        ] {
            assert!(Server::parse(&format!("postgres://me@db.example/store{wrong}")).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_address_may_limit_connections() {
        for (parameters, limit) in
            [("", 16), ("?connection_limit=3", 3), ("?sslmode=require&connection_limit=200", 200)]
        {
            let server = Server::parse(&format!("postgres://me@db.example/store{parameters}")).unwrap();
            assert_eq!(
                (server.connections, server.config.get_dbname()),
                (limit, Some("store")),
                "{parameters}"
            );
        }
    }

    #[test]
    fn a_file_that_holds_no_certificate_is_refused() {
        let here = file!();
        let address = |file: &str| format!("postgres://me@db/store?sslmode=require&sslrootcert={file}");
        for file in ["/nowhere", &format!("{}/../../{here}", env!("CARGO_MANIFEST_DIR"))] {
            let refused = Server::parse(&address(file)).unwrap().tls();
            assert!(matches!(refused, Err(Error::Refused(why)) if why.contains(file)), "{file}");
        }
        assert!(Server::parse("postgres://me@db/store?sslmode=require").unwrap().tls().is_ok());
    }
}
