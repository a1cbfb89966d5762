//! The measured system: its folder, its settings, and its processes.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{self, Program};
use crate::setup::{Setup, free_ports};
use crate::wire::{Request, call, status};

/// Signs all tokens; the peers that verify them get it too.
pub(crate) const JWT_SECRET: &str = "a-secret-that-only-the-benchmark-uses-0123456789";

/// The password of everybody who registers.
pub(crate) const PASSWORD: &str = "a benchmark of 7 lines";

/// A folder to run in, and the settings that the processes get; no other setting reaches them.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) ports: Ports,
    program: PathBuf,
    variables: Vec<(&'static str, String)>,
}

#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) gateway: SocketAddr,
    pub(crate) auth: SocketAddr,
    pub(crate) users: SocketAddr,
    pub(crate) orders: SocketAddr,
    pub(crate) inventory: SocketAddr,
}

/// Where the routes of one prefix lead.
type Route<'a> = (&'a str, &'a [SocketAddr]);

impl Site {
    /// On SQLite, in a file of its own. Rate limits are on, and so high that no request meets them.
    pub(crate) fn new(setup: &Setup) -> Result<Self> {
        let [gateway, auth, users, orders, inventory] = free_ports()?;
        let ports = Ports { gateway, auth, users, orders, inventory };
        let mut site = Self {
            folder: setup.folder()?,
            ports,
            program: setup.program.clone(),
            variables: vec![("JWT_SECRET", JWT_SECRET.to_owned())],
        };
        let named = [
            ("GATEWAY_PORT", gateway),
            ("AUTH_PORT", auth),
            ("USERS_PORT", users),
            ("ORDERS_PORT", orders),
            ("INVENTORY_PORT", inventory),
        ];
        for (name, address) in named {
            site.set(name, &address.port().to_string());
        }
        let places = [auth, users, orders, inventory].map(|address| [address]);
        let [auth, users, orders, inventory] = places.each_ref().map(|place| place.as_slice());
        let routes = [("/auth", auth), ("/users", users), ("/orders", orders)];
        site.route(&[&routes[..], &[("/products", inventory), ("/stock", inventory)]].concat())?;
        Ok(site)
    }

    /// Another setting; the last of a name counts.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.variables.push((name, value.to_owned()));
    }

    /// The gateway's routes.
    pub(crate) fn route(&mut self, routes: &[Route<'_>]) -> Result<()> {
        let path = self.folder.path().join("routes.yaml");
        fs::write(&path, routes_file(routes)?)?;
        self.set("ROUTES_FILE", &path.display().to_string());
        Ok(())
    }

    /// The SQLite file.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("data/storehouse.db")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.folder.path());
        command
    }

    /// Makes the tables.
    pub(crate) fn migrate(&self) -> Result<()> {
        program::run(&mut self.command(&["migrate"])).map(drop)
    }

    /// Starts the whole system.
    pub(crate) async fn start(&self) -> Result<Program> {
        self.start_part(&["serve"], self.ports.gateway).await
    }

    /// Starts some parts as one process that answers at this address.
    pub(crate) async fn start_part(&self, arguments: &[&str], address: SocketAddr) -> Result<Program> {
        ready(self.spawn(arguments)?, address).await
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Result<Program> {
        Program::start(self.command(arguments), &self.log())
    }

    /// Starts a service on a port of its own, so that there can be several of it.
    pub(crate) async fn start_copy(&self, service: &str, address: SocketAddr) -> Result<Program> {
        let mut command = self.command(&["serve", service]);
        command.env(format!("{}_PORT", service.to_uppercase()), address.port().to_string());
        ready(Program::start(command, &self.log())?, address).await
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Registers somebody; the first is an admin. Answers with what the system said.
    pub(crate) async fn register(&self, name: &str) -> Result<Value> {
        let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD, "username": name});
        call(self.ports.gateway, Request::post("/auth/register", &body)).await
    }
}

async fn ready(mut program: Program, address: SocketAddr) -> Result<Program> {
    program.wait_until(async || status(address, Request::get("/health/ready")).await == Some(200)).await?;
    Ok(program)
}

/// The token in what register or login answered.
pub(crate) fn token(answer: &Value) -> Result<String> {
    answer.get("token").and_then(Value::as_str).map(str::to_owned).context("no token in the answer")
}

fn routes_file(routes: &[Route<'_>]) -> Result<String> {
    let defaults = "  timeout: 30s\n  rate_limit: {requests: 1000000, per: 1s, burst: 1000000}\n";
    let mut text = format!("defaults:\n{defaults}routes:\n");
    for (path, backends) in routes {
        let urls: Vec<String> =
            backends.iter().map(|backend| format!("http://localhost:{}", backend.port())).collect();
        let backend = match urls.as_slice() {
            [one] => format!("backend: {one}"),
            several => format!("backends: [{}]", several.join(", ")),
        };
        writeln!(text, "  - path: {path}\n    {backend}\n    methods: [GET, POST, PUT, PATCH, DELETE]")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routes_file_names_one_backend_or_several() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = routes_file(&[("/a", &[address(1)]), ("/b", &[address(2), address(3)])]).unwrap();
        assert!(text.contains("- path: /a\n    backend: http://localhost:1\n"), "{text}");
        assert!(text.contains("backends: [http://localhost:2, http://localhost:3]"), "{text}");
        assert!(text.contains("rate_limit"));
    }
}
