//! Applying migrations to a database.

use deadpool_postgres::Pool;
use tokio_postgres::Client;

use super::connection::connect;
use super::failure::{failure, pool_failure};
use super::server::Server;
use crate::migration::{self, Migration};
use crate::{Error, draft};

/// Any number will do, as long as all Storehouses take the same; the lock is the database's own.
const LOCK: &str = "SELECT pg_advisory_lock(7205759403792793)";

/// The tables where ours are made, but the list of migrations, with which alone it is as good as empty, and what extensions brought.
const TABLES: &str = "
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p') AND relnamespace = CAST(quote_ident(current_schema()) AS regnamespace) AND relname <> 'schema_migrations'
        AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
    ORDER BY relname";

/// Two where there is a list of migrations of ours, whatever else has that name.
const COLUMNS: &str = "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('schema_migrations') AND attname IN ('number', 'name')";

/// Refuses a database that another program has its tables in, before anything is made there.
pub(super) async fn refuse_others(pool: &Pool, described: &str) -> Result<(), Error> {
    let client = pool.get().await.map_err(pool_failure)?;
    let failed = |error: tokio_postgres::Error| failure(&error).error;
    // Read before the migrations are: tables of ours appear at once with the row of their migration.
    let found = client.query(TABLES, &[]).await.map_err(failed)?;
    let tables: Vec<String> = found.iter().map(|row| row.get(0)).collect();
    let has_list = client.query(COLUMNS, &[]).await.map_err(failed)?.len() == 2;
    let applied = if has_list { applied(&client).await? } else { Vec::new() };
    draft::refuse_others(described, &tables, &applied)
}

async fn applied(client: &Client) -> Result<Vec<(i64, String)>, Error> {
    let found = client.query(migration::APPLIED, &[]).await.map_err(|error| failure(&error).error)?;
    Ok(found.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Applies what is missing, behind a lock that ends with the connection.
pub(super) async fn migrate(server: &Server, migrations: &[Migration]) -> Result<usize, Error> {
    let client = connect(server).await?;
    run(&client, LOCK).await?;
    let table = Migration::portable(0, "", migration::TABLE).for_postgres();
    run(&client, &table).await?;
    let applied = applied(&client).await?;
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
