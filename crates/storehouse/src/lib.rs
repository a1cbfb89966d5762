//! The binary's own crate: the command line, the settings, and the one place where all the other crates are put
//! together (`system`).
//!
//! It is not a place for behaviour: what a request does stands in the gateway and the services. Its tables are all of
//! them: `migrations` lists every migration in order.
//!
//! Files in reading order: `cli`, `part`, `settings`, `migrations`, `system` (with `nightly` and `common_limits`), then a command each: `serve` (with `banner` and `mail`),
//! `check`, `migrate`, `verify`, `files` (import and export), `backup` (with `backup_file`), `restore`, `migrate_to`, `demo`, `openapi`, `admin`,
//! `health`; `runtime` is what those that end by themselves run on, `progress` shows how far one is.

mod admin;
mod backup;
mod backup_file;
mod banner;
mod check;
mod cli;
pub mod common_limits;
mod demo;
mod files;
mod health;
mod mail;
mod migrate;
mod migrate_to;
pub mod migrations;
pub mod nightly;
mod openapi;
pub mod part;
mod progress;
mod restore;
mod runtime;
mod serve;
mod settings;
pub mod system;
mod verify;

use std::io::{self, Write as _};

use anyhow::Result;
use clap::{Parser as _, ValueEnum as _};

use cli::{AdminCommand, Cli, Command};
use part::Part;
use restore::Differences;
use settings::Settings;

/// Does what the command line asks for.
///
/// # Errors
/// With a sentence for the person at the terminal.
pub fn run() -> Result<()> {
    let cli = Cli::parse();
    let load_for = |parts: &[Part]| Settings::load(cli.config.as_deref(), parts);
    let load = || load_for(&Part::ALL);
    // What serves nothing takes no port, so none can be refused.
    let load_data = || load_for(&[]);
    match cli.command.unwrap_or(Command::Serve { parts: Vec::new() }) {
        Command::Serve { parts } => {
            let parts = part::in_order(&parts);
            serve::run(&load_for(&parts)?, &parts)
        }
        Command::Check { schema: true, .. } => print(gateway::SCHEMA),
        Command::Check { file: Some(file), .. } => print(&check::file(&file)?),
        Command::Check { file: None, .. } => print(&check::in_use(&load()?)?),
        Command::Config => show_config(&load()?),
        Command::Migrate => print(&migrate::run(&load_data()?)?),
        Command::Verify { audit_anchor } => {
            let found = verify::run(&load_data()?, audit_anchor)?;
            print(&found.text())?;
            found.check()
        }
        Command::Import(args) => print(&files::import(&load_data()?, &args)?),
        Command::Export(args) => files::export(&load_data()?, &args),
        Command::Backup { file, force } => print(&backup::run(&load_data()?, &file, force)?),
        Command::Restore { file, accept_differences } => {
            let differences = if accept_differences { Differences::Accepted } else { Differences::Refused };
            let restored = restore::run(&load_data()?, &file, differences)?;
            print(&restored.text)?;
            if accept_differences { Ok(()) } else { restored.found.check() }
        }
        Command::MigrateTo { url } => print(&migrate_to::run(&load_data()?, &url)?),
        Command::Demo { seed, days } => print(&demo::run(&load_data()?, seed, days)?),
        Command::Openapi => print(&openapi::document()?),
        Command::Admin(AdminCommand::Create(new)) => print(&admin::create(&load_data()?, &new)?),
        Command::Admin(AdminCommand::ResetTotp { email }) => {
            print(&admin::reset_totp(&load_data()?, &email)?)
        }
        Command::Health { whom } => {
            // An address needs no settings.
            let url = match Part::from_str(&whom, false) {
                Ok(part) => health::url_of(part, &load_for(&[part])?),
                Err(_) => whom,
            };
            print(&health::ask(&url)?)
        }
    }
}

/// Prints what is in effect, then says whether it would start.
fn show_config(settings: &Settings) -> Result<()> {
    print(&settings.to_toml())?;
    settings.check_signing_secret()
}

/// A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
