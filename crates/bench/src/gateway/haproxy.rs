//! The peer: HAProxy with the gateway's policies.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::Result;
use tempfile::TempDir;

use crate::program::{self, Program};
use crate::setup::{Setup, free_ports};
use crate::site::JWT_SECRET;
use crate::wire::{Request, status};

const CONFIGURATION: &str = include_str!("haproxy.cfg");

pub(super) struct HaProxy {
    pub(super) program: Program,
    pub(super) address: SocketAddr,
    pub(super) threads: usize,
    _folder: TempDir,
}

impl HaProxy {
    pub(super) async fn start(setup: &Setup, backend: SocketAddr) -> Result<Self> {
        let (folder, [address, metrics]) = (setup.folder()?, free_ports()?);
        let threads = match setup.options.haproxy_threads {
            Some(threads) => threads,
            None => available_parallelism()?.get(),
        };
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, CONFIGURATION)?;
        let command = |check: &str| {
            let mut command = Command::new(&setup.options.haproxy);
            command
                .arg(check)
                .arg("-f")
                .arg(&file)
                .env("THREADS", threads.to_string())
                .env("JWT_SECRET", JWT_SECRET);
            let addresses = [("ADDRESS", address), ("METRICS", metrics), ("BACKEND", backend)];
            command.envs(addresses.map(|(name, address)| (name, address.to_string())));
            command
        };
        program::run(&mut command("-c"))?;
        let command = command("-db");
        let mut program = Program::start(command, &folder.path().join("access.log"))?;
        program.wait_until(async || status(address, Request::get("/")).await.is_some()).await?;
        Ok(Self { program, address, threads, _folder: folder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_takes_what_it_is_given() {
        for name in ["THREADS", "ADDRESS", "METRICS", "BACKEND", "JWT_SECRET"] {
            assert!(CONFIGURATION.contains(&format!("\"${{{name}}}\"")), "{name}");
        }
    }
}
