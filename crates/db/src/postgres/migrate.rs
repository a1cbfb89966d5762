//! Applying migrations to a database.

use tokio_postgres::Client;

use super::connection::connect;
use super::failure::failure;
use super::server::Server;
use crate::Error;
use crate::migration::{self, Migration};

/// Any number will do, as long as all Storehouses take the same; the lock is the database's own.
const LOCK: &str = "SELECT pg_advisory_lock(7205759403792793)";

/// Applies what is missing, behind a lock that ends with the connection.
pub(super) async fn migrate(server: &Server, migrations: &[Migration]) -> Result<usize, Error> {
    let client = connect(server).await?;
    run(&client, LOCK).await?;
    let table = Migration::portable(0, "", migration::TABLE).for_postgres();
    run(&client, &table).await?;
    let found = client.query(migration::APPLIED, &[]).await.map_err(|error| failure(&error).error)?;
    let applied: Vec<(i64, String)> = found.iter().map(|row| (row.get(0), row.get(1))).collect();
    let missing = migration::missing(&applied, migrations)?;
    for migration in missing {
        apply(&client, migration).await.map_err(|error| migration.failed(error))?;
    }
    Ok(missing.len())
}

/// One migration and its row, in one transaction; after an error the connection is given up, and the transaction with it.
async fn apply(client: &Client, migration: &Migration) -> Result<(), Error> {
    run(client, "BEGIN").await?;
    run(client, &migration.for_postgres()).await?;
    let recorded = client.execute(migration::RECORD, &[&i64::from(migration.number), &migration.name]).await;
    recorded.map_err(|error| failure(&error).error)?;
    run(client, "COMMIT").await
}

pub(super) async fn run(client: &Client, sql: &str) -> Result<(), Error> {
    client.batch_execute(sql).await.map_err(|error| failure(&error).error)
}
