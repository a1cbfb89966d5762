//! `storehouse check`: what is wrong with a routes file, or what it says.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use gateway::{Ports, Routes};

use crate::files::is_stream;
use crate::mail;
use crate::settings::Settings;

/// The routes of this file, as text.
pub(crate) fn file(file: &Path) -> Result<String> {
    if is_stream(file) {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).context("can't read standard input")?;
        return Ok(format!("standard input is good:\n{}", parse(&text, "standard input")?));
    }
    Ok(format!("{} is good:\n{}", file.display(), read(file)?))
}

/// What `serve` would do, as text: its routes, and what becomes of mails.
pub(crate) fn in_use(settings: &Settings) -> Result<String> {
    Ok(format!("{}\nMail: {}\n", routes_in_use(settings)?, mail::describe(settings)))
}

fn routes_in_use(settings: &Settings) -> Result<String> {
    if let Some(named) = &settings.gateway.routes_file {
        return file(named);
    }
    let listen = &settings.listen;
    let ports = Ports {
        auth: listen.auth.port(),
        users: listen.users.port(),
        orders: listen.orders.port(),
        inventory: listen.inventory.port(),
    };
    Ok(format!("No routes file: the built-in routes are in use:\n{}", Routes::built_in(ports)))
}

/// Reads a routes file. Its faults go to standard error, each on a line of its own that editors understand; the
/// error only counts them.
pub(crate) fn read(file: &Path) -> Result<Routes> {
    let name = file.display().to_string();
    let text = fs::read(file).with_context(|| format!("can't read the routes file {name}"))?;
    parse(&text, &name)
}

fn parse(text: &[u8], name: &str) -> Result<Routes> {
    let error = match Routes::parse(text, name) {
        Ok(routes) => return Ok(routes),
        Err(error) => error,
    };
    // With standard error gone the exit code alone must tell.
    drop(writeln!(io::stderr(), "{error}"));
    match error.faults().len() {
        1 => bail!("the routes file {name} has a fault"),
        count => bail!("the routes file {name} has {count} faults"),
    }
}
