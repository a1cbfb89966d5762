//! The lines that a person sees on start.

use std::io::{self, Write as _};

use accounts::store;
use anyhow::Result;
use db::Db;
use futures_util::FutureExt as _;
use tokio::net::TcpListener;

use crate::serve::address_of;
use crate::settings::{Environment, Settings};

/// Says where everything is and how to log in, on standard output.
pub(crate) async fn print(settings: &Settings, listeners: &[TcpListener], db: &Db) -> Result<()> {
    let any_account: Result<bool, db::Error> = db.lookup((), |tx, ()| store::any_account(tx).boxed()).await;
    let text = text(settings, listeners, &db.describe(), any_account?)?;
    // With nobody to read it, it need not be read.
    let mut stdout = io::stdout();
    drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
    Ok(())
}

fn text(settings: &Settings, listeners: &[TcpListener], database: &str, any_account: bool) -> Result<String> {
    let addresses: Vec<String> = listeners
        .iter()
        .map(|listener| Ok(address_of(listener)?.to_string().replace("127.0.0.1", "localhost")))
        .collect::<Result<_>>()?;
    let [gateway, auth, users, orders] = addresses.as_slice() else { return Ok(String::new()) };
    let mut text = format!(
        "Storehouse {} on http://{gateway}\n  services  auth {auth}, users {users}, orders {orders}\n  data      {database}\n",
        env!("CARGO_PKG_VERSION")
    );
    if settings.docs {
        text += &format!("  docs      http://{gateway}/docs\n");
    }
    if !any_account {
        text += &first_account(settings.environment, gateway);
    }
    Ok(text)
}

fn first_account(environment: Environment, gateway: &str) -> String {
    match environment {
        Environment::Development => format!(
            "  begin     register the first account, which becomes the admin:\n            curl -X POST http://{gateway}/auth/register -H 'Content-Type: application/json' \\\n              -d '{{\"email\": \"you@example.com\", \"password\": \"password123\", \"username\": \"you\"}}'\n"
        ),
        Environment::Production => "  begin     storehouse admin create you@example.com\n".to_owned(),
    }
}
