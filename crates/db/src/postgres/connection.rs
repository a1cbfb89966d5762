//! Connections: how they are made, and the ones outside the pool.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, QueueMode, RecyclingMethod, Runtime};
use futures_util::future::try_join;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{AsyncMessage, Client};

use super::failure::{failure, text};
use super::server::Server;
use crate::Error;

/// How long one waits for a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const LIMITS: &str = "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=15s";
/// What is looked up is mostly in memory already. With the server's own 4 it reads all 100,000 products (20 ms) rather than look up a thousand (2 ms).
const PLANNING: &str = "-c random_page_cost=1.1";

/// The caller's address with what makes a dead server noticed.
pub(super) fn watchful(server: &Server) -> Server {
    let mut server = server.clone();
    let config = &mut server.config;
    let hosts = config.get_hosts().len();
    // Of several that don't answer the last must have its turn while somebody still waits.
    let each = if hosts > 1 { PATIENCE / u32::try_from(hosts + 1).unwrap_or(u32::MAX) } else { PATIENCE };
    config.connect_timeout(config.get_connect_timeout().copied().unwrap_or(each));
    config.keepalives_idle(Duration::from_secs(10));
    config.keepalives_interval(Duration::from_secs(5));
    config.keepalives_retries(3);
    config.tcp_user_timeout(Duration::from_secs(20));
    if hosts > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
        // One that only follows another would tell late who was logged out.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if config.get_application_name().is_none() {
        config.application_name("storehouse");
    }
    server
}

/// The pool. Settings that the address itself gives come last, and so win.
pub(super) fn pool(server: &Server, connections: usize) -> Result<Pool, Error> {
    let mut config = server.config.clone();
    let given = config.get_options().unwrap_or_default().to_owned();
    config.options(format!("{LIMITS} {PLANNING} {given}"));
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, server.tls()?, recycling);
    let built = Pool::builder(manager)
        .max_size(connections)
        // Else all take turns, and none is ever idle for long.
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(PATIENCE))
        .recycle_timeout(Some(PATIENCE))
        .build();
    built.map_err(|error| Error::Internal(error.to_string()))
}

/// How often it is looked for connections that nobody uses.
const LOOKS: Duration = Duration::from_secs(10);
/// A connection that was not used for so long is given back to the server, which has only so many for all processes.
const IDLE: Duration = Duration::from_secs(60);

/// Gives back what a rush has left behind, as long as the pool is open.
pub(super) async fn let_go_of_idle(pool: Pool) {
    while !pool.is_closed() {
        sleep(LOOKS).await;
        pool.retain(|_, metrics| metrics.last_used() < IDLE);
    }
}

/// A connection of its own, without the pool's time limits. It ends with the client.
pub(super) async fn connect(server: &Server) -> Result<Client, Error> {
    let connected = server.config.connect(server.tls()?).await;
    let (client, connection) = connected.map_err(|error| Error::Unavailable(text(&error)))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = text(&error), "a PostgreSQL connection ended");
        }
    });
    Ok(client)
}

/// Listens to a channel for ever, through as many connections as it takes.
pub(super) async fn listen(server: Server, channel: &'static str, heard: Arc<Notify>) {
    loop {
        if let Err(error) = listen_once(&server, channel, &heard).await {
            tracing::warn!(channel, %error, "the connection that listens was lost");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn listen_once(server: &Server, channel: &str, heard: &Notify) -> Result<(), Error> {
    let lost = |error: tokio_postgres::Error| Error::Unavailable(text(&error));
    let (client, connection) = server.config.connect(server.tls()?).await.map_err(lost)?;
    let mut connection = pin!(connection);
    let listening = async {
        client.batch_execute(&format!("LISTEN \"{}\"", channel.replace('"', "\"\""))).await?;
        // Something may have happened while nobody listened.
        heard.notify_one();
        Ok(())
    };
    let hearing = async {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(_) = message? {
                heard.notify_one();
            }
        }
        Ok(())
    };
    try_join(listening, hearing).await.map(|_| ()).map_err(lost)
}

/// The server must keep text in UTF-8, or what is written is not what is read.
pub(super) async fn check_encoding(pool: &Pool) -> Result<(), Error> {
    let client = pool.get().await.map_err(super::failure::pool_failure)?;
    let row = client.query_one("SHOW server_encoding", &[]).await.map_err(|error| failure(&error).error)?;
    match row.try_get(0) {
        Ok("UTF8") => Ok(()),
        Ok(other) => {
            Err(Error::Internal(format!("the database keeps text as {other}: make one with ENCODING 'UTF8'")))
        }
        Err(error) => Err(Error::Internal(text(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_servers_one_is_taken_that_can_be_written_to() {
        let (any, writable) = (TargetSessionAttrs::Any, TargetSessionAttrs::ReadWrite);
        for (hosts, wanted, patience) in
            [("a", any, 5000), ("a,b", writable, 1666), ("a,b,c", writable, 1250)]
        {
            let server = Server::parse(&format!("postgres://me@{hosts}/store")).unwrap();
            let config = watchful(&server).config;
            let limit = config.get_connect_timeout().unwrap().as_millis();
            assert_eq!((config.get_target_session_attrs(), limit), (wanted, patience));
        }
    }
}
