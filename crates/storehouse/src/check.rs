//! `storehouse check`: what is wrong with a routes file, or what it says.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use gateway::{Ports, Routes};

use crate::files::is_stream;
use crate::mail;
use crate::part::Part;
use crate::settings::Settings;

/// The routes of this file, as text.
pub(crate) fn file(file: &Path) -> Result<String> {
    if is_stream(file) {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).context("can't read standard input")?;
        return Ok(format!("standard input is good:\n{}", described(&parse(&text, "standard input")?)));
    }
    Ok(format!("{} is good:\n{}", file.display(), described(&read(file)?)))
}

/// A line for each route, and one for each service that clients can't reach all of.
fn described(routes: &Routes) -> String {
    let left_out = Part::ALL.into_iter().filter_map(|part| {
        let LeftOut { prefixes, is_all } = left_out(routes, part)?;
        let what = if is_all { "the whole" } else { "a part of the" };
        Some(format!("No route leads to {what} {}: {} answer 404\n", part.title(), prefixes.join(", ")))
    });
    routes.to_string() + &left_out.collect::<String>()
}

/// What of a service no route leads to.
pub(crate) struct LeftOut {
    pub(crate) prefixes: Vec<String>,
    /// Whether it is all that the service has.
    pub(crate) is_all: bool,
}

/// Nothing where routes lead to all of it.
pub(crate) fn left_out(routes: &Routes, part: Part) -> Option<LeftOut> {
    let all = Routes::prefixes_of(part.name());
    let is_left_out = |prefix: &&String| !routes.lead_to(prefix);
    let prefixes: Vec<String> = all.iter().filter(is_left_out).cloned().collect();
    (!prefixes.is_empty()).then_some(LeftOut { is_all: prefixes.len() == all.len(), prefixes })
}

/// A route that leads back to the gateway would be asked until something gives way.
pub(crate) fn refuse_loop(routes: &Routes, settings: &Settings, parts: &[Part]) -> Result<()> {
    let (address, port) = (settings.listen.gateway.ip(), settings.listen.gateway.port());
    let is_here = parts.contains(&Part::Gateway) && (address.is_unspecified() || address.is_loopback());
    match routes.leading_to(port).filter(|_| is_here) {
        Some(path) => bail!("the route {path} leads back to the gateway itself, which has the port {port}"),
        None => Ok(()),
    }
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
