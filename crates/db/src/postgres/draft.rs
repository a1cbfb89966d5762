//! A new database with a table that says that it is not whole yet.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use deadpool_postgres::Pool;
use tokio_postgres::Client;

use super::connection::{connect, watchful};
use super::failure::{failure, pool_failure};
use super::migrate::run;
use super::server::Server;
use super::tools::{Tool, feed, server_version};
use crate::draft::refuse_tables;
use crate::sqlite::blocking;
use crate::url::place;
use crate::{Error, Progress};

/// The table that is there until the database is whole.
pub(super) const UNFINISHED: &str = "storehouse_unfinished";

/// Held while one fills a database, so that no other does; any number will do. A `pg_restore` whose parent was killed works for a moment longer.
const LOCK: &str = "
    SELECT pg_try_advisory_lock(7205759403792794) AND NOT EXISTS (
        SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'storehouse restore')";

/// What `pg_restore` calls itself to the server.
const RESTORE: (&str, &str) = ("PGAPPNAME", "storehouse restore");

const TABLES: &str = "
    SELECT tables.relname FROM pg_class AS tables JOIN pg_namespace AS schemas ON schemas.oid = tables.relnamespace
    WHERE tables.relkind IN ('r', 'p') AND schemas.nspname <> 'information_schema' AND schemas.nspname !~ '^pg_'
    ORDER BY tables.relname";

/// Drops what an earlier draft left: whatever stands where Storehouse makes its tables.
const CLEAR: &str = "
    DO $$
    DECLARE command TEXT;
    BEGIN
        FOR command IN
            SELECT format('DROP TABLE IF EXISTS %I.%I CASCADE', schemaname, tablename)
            FROM pg_tables WHERE schemaname = current_schema()
            UNION ALL
            SELECT format('DROP SEQUENCE IF EXISTS %I.%I CASCADE', schemaname, sequencename)
            FROM pg_sequences WHERE schemaname = current_schema()
            UNION ALL
            SELECT format('DROP FUNCTION IF EXISTS %s CASCADE', CAST(pg_proc.oid AS regprocedure))
            FROM pg_proc
            WHERE pronamespace = CAST(quote_ident(current_schema()) AS regnamespace)
                AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
        LOOP
            EXECUTE command;
        END LOOP;
    END
    $$";

/// A new database that is being filled.
pub(crate) struct Draft {
    pub(super) server: Server,
    /// Holds the lock.
    pub(super) client: Client,
}

/// An error while the table is there: the database may be half filled.
pub(super) async fn refuse_unfinished(pool: &Pool, described: &str) -> Result<(), Error> {
    let client = pool.get().await.map_err(pool_failure)?;
    if !is_unfinished(&client).await? {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{described} was begun to be filled and is not finished: let that command end, run it again, or make the database anew"
    )))
}

/// The table is looked for, not looked at, so that nobody waits for who fills it.
async fn is_unfinished(client: &Client) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relname = $1 AND relkind = 'r')";
    let found = client.query_one(sql, &[&UNFINISHED]).await.and_then(|row| row.try_get(0));
    found.map_err(|error| failure(&error).error)
}

impl Draft {
    pub(crate) async fn begin(server: &Server) -> Result<Self, Error> {
        let server = watchful(server);
        let client = connect(&server).await?;
        let failed = |error: tokio_postgres::Error| failure(&error).error;
        if !client.query_one(LOCK, &[]).await.and_then(|row| row.try_get(0)).map_err(failed)? {
            return Err(Error::Refused(format!(
                "{} is being filled by another command",
                place(&server.config)
            )));
        }
        if is_unfinished(&client).await? {
            run(&client, &format!("BEGIN; {CLEAR}; CREATE TABLE {UNFINISHED} (); COMMIT")).await?;
            return Ok(Self { server, client });
        }
        let found = client.query(TABLES, &[]).await.map_err(failed)?;
        let tables: Vec<String> = found.iter().map(|row| row.get(0)).collect();
        refuse_tables(&place(&server.config), &tables)?;
        run(&client, &format!("CREATE TABLE {UNFINISHED} ()")).await?;
        Ok(Self { server, client })
    }

    /// For connections whose commits needn't reach the disk one by one; the last one's does, and all before it.
    pub(crate) fn lazy_server(&self) -> Server {
        let mut server = self.server.clone();
        let given = server.config.get_options().unwrap_or_default().to_owned();
        server.config.options(format!("{given} -c synchronous_commit=off"));
        server
    }

    /// In one transaction: it has all of it or nothing.
    pub(crate) async fn load(&self, file: &Path, length: u64, progress: &Progress) -> Result<(), Error> {
        let version = server_version(&self.client).await?;
        let (server, file, progress) = (self.server.clone(), file.to_owned(), Arc::clone(progress));
        blocking(move || {
            let tool = Tool::find("pg_restore", version)?;
            let mut command = tool.command(&server);
            command.env(RESTORE.0, RESTORE.1);
            command.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]);
            command
                .arg("--dbname")
                .arg(server.config.get_dbname().or(server.config.get_user()).unwrap_or_default());
            let unreadable = |error| Error::Unavailable(format!("{}: {error}", file.display()));
            let from = File::open(&file).map_err(unreadable)?.take(length);
            feed(command, from, |done| progress("restoring", done, Some(length)), |_| ())
        })
        .await
    }

    pub(crate) async fn finish(self) -> Result<(), Error> {
        // New tables have no statistics yet, without which plans are poor.
        run(&self.client, "ANALYZE").await?;
        run(&self.client, &format!("DROP TABLE {UNFINISHED}")).await
    }
}
