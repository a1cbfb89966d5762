//! Storehouse: the gateway and its services in one program.

mod admin;
mod cli;
mod health;
mod migrate;
mod openapi;
mod serve;
#[cfg_attr(not(test), expect(dead_code, reason = "`serve` reads the rest once it starts the services"))]
mod settings;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use cli::{AdminCommand, Cli, Command};
use settings::Settings;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let line = format!("{error:#}").replace(char::is_control, " ");
            // With standard error gone the exit code alone must tell.
            drop(writeln!(io::stderr(), "storehouse: {line}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let load = || Settings::load(cli.config.as_deref(), None);
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&load()?),
        Command::Config => show_config(&load()?),
        Command::Migrate => migrate::run(&load()?),
        Command::Openapi => print(&openapi::document(&load()?)?),
        Command::Admin(AdminCommand::Create(new)) => print(&admin::create(&load()?, &new)?),
        Command::Health { url: Some(url) } => print(&health::ask(&url)?),
        Command::Health { url: None } => print(&health::ask(&health::default_url(&load()?))?),
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
