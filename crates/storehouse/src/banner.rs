//! The lines that a person sees on start.

use std::io::{self, Write as _};

use accounts::{SETUP_LIFETIME, offer_setup, store};
use anyhow::Result;
use db::{DatabaseUrl, Db};
use futures_util::FutureExt as _;
use kit::clock::Clock;

use crate::mail;
use crate::part::Part;
use crate::serve::{Listeners, address_of};
use crate::settings::{Environment, Settings};

/// Says where everything is and how to log in, on standard output.
pub(crate) async fn print(settings: &Settings, listeners: &Listeners, db: Option<&Db>) -> Result<()> {
    let text = text(settings, &places(listeners)?, db).await?;
    // With nobody to read it, it need not be read.
    let mut stdout = io::stdout();
    drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
    Ok(())
}

/// A part and its address, as a person writes it.
type Place = (Part, String);

fn places(listeners: &Listeners) -> Result<Vec<Place>> {
    let place = |(part, listener): &(Part, _)| {
        Ok((*part, address_of(listener)?.to_string().replace("127.0.0.1", "localhost")))
    };
    listeners.iter().map(place).collect()
}

async fn text(settings: &Settings, places: &[Place], db: Option<&Db>) -> Result<String> {
    let mut text = format!("Storehouse {}", env!("CARGO_PKG_VERSION"));
    let gateway = address(places, Part::Gateway);
    match gateway {
        Some(gateway) => text += &format!(" on http://{gateway}\n"),
        None => text += ", without a gateway\n",
    }
    let services: Vec<String> = places
        .iter()
        .filter(|(part, _)| *part != Part::Gateway)
        .map(|(part, address)| format!("{} {address}", part.name()))
        .collect();
    if !services.is_empty() {
        text += &format!("  services  {}\n", services.join(", "));
    }
    if places.len() < Part::ALL.len() && settings.secret_is_made() {
        let folder = settings.data_dir.display();
        text +=
            &format!("  secret    made in {folder}; parts with another folder need the same JWT_SECRET\n");
    }
    let Some(db) = db else {
        return Ok(text + "  sessions  checked by the services; with DATABASE_URL set, here too\n");
    };
    text += &format!("  data      {}\n", db.describe());
    if places.iter().any(|(part, _)| *part != Part::Gateway) {
        text += &format!("  mail      {}\n", mail::describe(settings));
    }
    text += &own_file(settings, places);
    let front = gateway.or(places.first().map(|(_, address)| address.as_str()));
    if let Some(front) = front.filter(|_| settings.docs) {
        text += &format!("  docs      http://{front}/docs\n");
    }
    if let Some(front) = front.filter(|_| address(places, Part::Auth).is_some()) {
        text += &match settings.environment {
            Environment::Development => first_account(db, front).await?,
            Environment::Production => first_admin(db, front).await?,
        };
    }
    Ok(text)
}

fn address(places: &[Place], part: Part) -> Option<&str> {
    places.iter().find(|(other, _)| *other == part).map(|(_, address)| address.as_str())
}

/// The original system's containers gave each service a file, named after it.
fn own_file(settings: &Settings, places: &[Place]) -> String {
    let is_own = match (places, &settings.database_url) {
        ([(part, _)], DatabaseUrl::Sqlite(path)) => path.file_stem().is_some_and(|name| name == part.name()),
        _ => false,
    };
    let note = "  note      a file of one service's own: /users/me, orders and stock need one database shared by all, or they answer 401;\n            give all the same DATABASE_URL, or none and one DATA_DIR\n";
    if is_own { note.to_owned() } else { String::new() }
}

async fn first_account(db: &Db, front: &str) -> Result<String> {
    if db.lookup((), |tx, ()| store::any_account(tx).boxed()).await? {
        return Ok(String::new());
    }
    Ok(format!(
        "  begin     register the first account, which becomes the admin:\n            curl -X POST http://{front}/auth/register -H 'Content-Type: application/json' \\\n              -d '{{\"email\": \"you@example.com\", \"password\": \"password123\", \"username\": \"you\"}}'\n"
    ))
}

/// Where there is no admin yet, the token that makes one. It is written here alone, never to the log.
async fn first_admin(db: &Db, front: &str) -> Result<String> {
    let Some(token) = offer_setup(db, Clock::default().now()).await? else { return Ok(String::new()) };
    let (token, minutes) = (token.expose(), SETUP_LIFETIME.as_secs() / 60);
    Ok(format!(
        "  begin     make the first admin with this token, which is good once, for {minutes} minutes, and until the next start:\n            curl -X POST http://{front}/auth/setup -H 'Content-Type: application/json' \\\n              -d '{{\"token\": \"{token}\", \"email\": \"you@example.com\", \"username\": \"you\", \"password\": \"…\"}}'\n            or: storehouse admin create you@example.com\n"
    ))
}
