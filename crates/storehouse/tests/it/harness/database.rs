//! A fresh database for every test.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ::db::{Db, Migration};
use futures_util::FutureExt;
use kit::metrics::Text;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio_postgres::{Client, Config, NoTls};

use super::{canary, eventually, postgres_server};

/// Where a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Display for Engine {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// A database of one test's own, gone at its end.
pub(crate) struct TestDatabase {
    pub(crate) engine: Engine,
    url: String,
    folder: Option<TempDir>,
}

/// Runs a test in a fresh, migrated database on SQLite, then on PostgreSQL, and names the engine if it fails.
pub(crate) async fn each_engine(migrations: &'static [Migration], test: impl AsyncFn(&TestDatabase)) {
    let engines = [Some(Engine::Sqlite), postgres_server().map(|_| Engine::Postgres)];
    for engine in engines.into_iter().flatten() {
        let database = TestDatabase::new(engine, migrations).await;
        let outcome = AssertUnwindSafe(test(&database)).catch_unwind().await;
        if let Err(panic) = outcome {
            super::say(&format!("the test failed on {engine}"));
            resume_unwind(panic);
        }
    }
}

impl TestDatabase {
    /// For what only PostgreSQL can show; nothing where there is no server.
    pub(crate) async fn on_postgres(migrations: &'static [Migration]) -> Option<Self> {
        postgres_server()?;
        Some(Self::postgres(migrations).await)
    }

    pub(crate) async fn new(engine: Engine, migrations: &'static [Migration]) -> Self {
        match engine {
            Engine::Sqlite => Self::sqlite(migrations).await,
            Engine::Postgres => Self::postgres(migrations).await,
        }
    }

    async fn sqlite(migrations: &'static [Migration]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        let database = Self { engine: Engine::Sqlite, url, folder: Some(folder) };
        if !migrations.is_empty() {
            let db = database.open().await;
            db.migrate(migrations).await.unwrap();
            db.close().await;
        }
        database
    }

    async fn postgres(migrations: &'static [Migration]) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let server = postgres_server().expect("a PostgreSQL server");
        let template = template(server, migrations).await;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("storehouse_test_{}_{number}", std::process::id());
        admin(server)
            .await
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await
            .unwrap();
        Self { engine: Engine::Postgres, url: address(server, &name), folder: None }
    }

    /// As a configuration would give it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn open(&self) -> Db {
        Db::open(&self.url.parse().unwrap()).await.unwrap()
    }
}

/// How often PostgreSQL ended one of two transactions that waited for each other. Who is ended is run again without a word, so it has to be asked for;
/// nothing on SQLite, where all go one by one.
pub(crate) fn deadlocks(db: &Db) -> u64 {
    let mut text = Text::default();
    db.write_metrics(&mut text);
    deadlocks_told(&text.finish())
}

/// The same of a process, which tells it among its metrics.
pub(crate) fn deadlocks_told(metrics: &str) -> u64 {
    // What is run again for another reason is none of ours: no transaction here is serializable.
    let retries = metrics.lines().find_map(|line| line.strip_prefix("storehouse_db_retries_total "));
    retries.map_or(0, |retries| retries.parse().unwrap())
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let may_fail = !std::thread::panicking();
        if let Some(folder) = &self.folder {
            if may_fail {
                canary::check_files(&folder.path().join("test.db"));
            }
            return;
        }
        let (server, name) = (postgres_server().unwrap(), self.url.rsplit('/').next().unwrap().to_owned());
        // The test's own runtime cannot be waited for inside itself.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let leaks = if may_fail { leaks(&address(server, &name)).await } else { Vec::new() };
                let drop = format!("DROP DATABASE {name} WITH (FORCE)");
                admin(server).await.batch_execute(&drop).await.unwrap();
                leaks
            })
        });
        let leaks = dropped.join().unwrap();
        assert!(leaks.is_empty(), "the database holds secrets: {leaks:#?}");
    }
}

/// The database that is copied for the tests, made once: under a linguistic collation, so that a test notices an order that depends on it.
async fn template(server: &str, migrations: &'static [Migration]) -> String {
    static MADE: LazyLock<Mutex<HashMap<u64, String>>> = LazyLock::new(Mutex::default);
    let mut hasher = DefaultHasher::new();
    format!("{migrations:?}").hash(&mut hasher);
    let key = hasher.finish();
    let mut made = MADE.lock().await;
    if let Some(name) = made.get(&key) {
        return name.clone();
    }
    let name = format!("storehouse_template_{key:x}");
    make_template(server, &name, migrations).await;
    made.insert(key, name.clone());
    name
}

/// A server that outlives the tests keeps its templates; another process may be making the same one now.
async fn make_template(server: &str, name: &str, migrations: &[Migration]) {
    let admin = admin(server).await;
    admin.batch_execute("SELECT pg_advisory_lock(20250117)").await.unwrap();
    let known = admin.query("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.unwrap();
    if !known.is_empty() {
        return;
    }
    let draft = format!("{name}_draft");
    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)")).await.unwrap();
    let options = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' ENCODING 'UTF8'";
    admin.batch_execute(&format!("CREATE DATABASE {draft} {options}")).await.unwrap();
    if !migrations.is_empty() {
        let db = Db::open(&address(server, &draft).parse().unwrap()).await.unwrap();
        db.migrate(migrations).await.unwrap();
        db.close().await;
    }
    // The server sees the last connections end a moment later.
    let rename = format!("ALTER DATABASE {draft} RENAME TO {name}");
    eventually("the template is free", async || admin.batch_execute(&rename).await.is_ok()).await;
}

/// The rows that hold a secret.
async fn leaks(url: &str) -> Vec<String> {
    let client = admin(url).await;
    let sql = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'";
    let tables: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    if tables.is_empty() {
        return Vec::new();
    }
    let found = client.query(&canary::finding_rows(&tables), &[]).await.unwrap();
    found.iter().map(|row| format!("{}: {}", row.get::<_, String>(0), row.get::<_, String>(1))).collect()
}

async fn admin(server: &str) -> Client {
    let (client, connection) = server.parse::<Config>().unwrap().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The server's address with another database's name.
fn address(server: &str, name: &str) -> String {
    let (start, _) = server.rsplit_once('/').unwrap();
    format!("{start}/{name}")
}
