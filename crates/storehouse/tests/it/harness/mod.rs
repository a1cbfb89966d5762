//! What a test may ask for.
//!
//! - `each_engine(MIGRATIONS, async |database| …)`: the same test on SQLite, then on PostgreSQL, each time in a fresh database.
//! - `TestDatabase`: a fresh database: `open()` for a `Db`, `url()` for a configuration.
//! - `deadlocks(&db)`: how many there were, since nobody else tells.
//! - `postgres_server()`: the server that all tests share, or nothing where there is none; `Server::start()`: one of the test's own, to stop, kill and start again.
//! - `Redis::start()`: one of the test's own, to stop, pause and start again.
//! - `each_app(async |app| …)`: the same test against the whole system on each engine; `App::with` for other settings, `limited_app` with the limits on, whose time a test moves by `app.clock.advance`.
//! - `each_shape(async |app| …)`: the same again with gateway and services apart.
//! - `Site::new(…).start()`: the real program as a process, to signal, kill and start again; `Wire`: HTTP over a real connection to it.
//! - `SmallDisk::mount()`, `faulty_sync(…)`: disks that fail.
//! - `enrol(…)`: turns two-factor authentication on, and gives the `Authenticator`.
//! - `Authority`: certificates for servers over TLS.
//! - `goods`: products, locations and stock, and `check_stock`: whether it all adds up.
//! - `canary`: the mark of the tests' secrets, and where it is looked for at each test's end.
//! - `Random`: random numbers whose seed is told when the test fails.
//! - `eventually(…)`: polls a condition with a deadline, in place of a sleep.

mod app;
mod authenticator;
mod browser;
pub(crate) mod canary;
mod children;
mod database;
mod disk;
pub(crate) mod goods;
mod process;
mod random;
mod redis;
mod server;
mod time;
mod tls;

pub(crate) use self::app::{Answer, App, Call, Client, SECRET};
pub(crate) use self::authenticator::{Authenticator, at_the_beginning_of_a_step, enrol};
pub(crate) use self::children::{child_address, start_child};
pub(crate) use self::database::{Engine, TestDatabase, deadlocks, deadlocks_told, each_engine};
pub(crate) use self::disk::{SmallDisk, faulty_sync};
pub(crate) use self::process::{PASSWORD, Site, Split, Storehouse, Wire, copy_program};
pub(crate) use self::random::Random;
pub(crate) use self::redis::Redis;
pub(crate) use self::server::{Server, postgres_server};
pub(crate) use self::time::{eventually, say, soon};
pub(crate) use self::tls::Authority;

/// Runs a test against the whole system, on SQLite, then on PostgreSQL.
pub(crate) async fn each_app(test: impl AsyncFn(&App)) {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| test(&App::new(database).await).await)
        .await;
}

/// The same, then with each part as if in a process of its own.
pub(crate) async fn each_shape(test: impl AsyncFn(&App)) {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        test(&App::new(database).await).await;
    })
    .await;
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        test(&App::split(database).await).await;
    })
    .await;
}

/// The same with the limits on.
pub(crate) async fn limited_app(test: impl AsyncFn(&App)) {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        test(&App::with(database, |options| options.rate_limit = true).await).await;
    })
    .await;
}
