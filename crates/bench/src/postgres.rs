//! Databases of the benchmark's own on a PostgreSQL server.

use std::fs;
use std::io::Write;

use anyhow::{Context as _, Result};
use tokio_postgres::{Client, NoTls};

use crate::orders::{TABLES, rows_text};
use crate::program::parent;
use crate::report::Report;
use crate::setup::Setup;

/// A database; the server's own, or one that is dropped at the end.
pub(crate) struct Database {
    pub(crate) url: String,
    /// The server's address and the name to drop.
    made: Option<(String, String)>,
}

/// The server, if one answers; the report tells what isn't measured without it.
pub(crate) async fn find_server(
    setup: &Setup,
    report: &mut Report<impl Write>,
    what: &str,
) -> Result<Option<Database>> {
    let url = &setup.options.postgres;
    match Database::server(url).await {
        Ok(server) => Ok(Some(server)),
        Err(error) => {
            report.skip(what, &format!("no PostgreSQL at {url} ({error:#}); --postgres names one"))?;
            Ok(None)
        }
    }
}

impl Database {
    /// A server that answers.
    pub(crate) async fn server(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").context("not an address")?;
        // Only the place counts: databases are made beside whichever the address names.
        let place = rest.split('/').next().unwrap_or(rest);
        let server = Self { url: format!("{scheme}://{place}/postgres"), made: None };
        server.client().await?;
        Ok(server)
    }

    pub(crate) async fn client(&self) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// An empty database.
    pub(crate) async fn create(&self, purpose: &str) -> Result<Self> {
        let name = format!("storehouse_bench_{purpose}_{}", std::process::id());
        let client = self.client().await?;
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await?;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        let (place, _) = self.url.rsplit_once('/').context("not an address")?;
        Ok(Self { url: format!("{place}/{name}"), made: Some((self.url.clone(), name)) })
    }

    /// The server's first process, if it runs on this machine: the parent of each that serves a connection.
    pub(crate) async fn postmaster(&self) -> Result<Option<u32>> {
        let client = self.client().await?;
        let process: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
        let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        Ok(if name.trim_end() == "postgres" { parent(process.cast_unsigned()) } else { None })
    }

    /// How many rows an order has in each table.
    pub(crate) async fn rows_an_order(&self) -> Result<String> {
        let client = self.client().await?;
        let mut counts = Vec::new();
        for table in TABLES {
            let row = client.query_one(&format!("SELECT COUNT(*) FROM {table}"), &[]).await?;
            counts.push((table, row.try_get(0)?));
        }
        Ok(rows_text(&counts))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some((server, name)) = self.made.take() else { return };
        // The runtime that runs this can't be waited for inside itself.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let client = Self { url: server, made: None }.client().await?;
                Ok::<_, anyhow::Error>(
                    client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await?,
                )
            })
        });
        // A database that stays behind harms nobody.
        let _ = dropping.join();
    }
}
