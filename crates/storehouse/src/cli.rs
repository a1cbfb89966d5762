//! The command line.

use std::path::PathBuf;

use audit::Anchor;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::part::Part;

/// Inventory and order backend: gateway, auth, users, orders and inventory in one program.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Settings file [default: ./storehouse.toml if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EXAMPLES: &str = "Examples:
  storehouse                             run the whole system, on http://localhost:8000
  storehouse config                      show the settings in effect
  storehouse --config store.toml serve   run it with a settings file
  DATABASE_URL=postgres://localhost/store storehouse

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// What to do; without a command, serve.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway and all services, or those named, until SIGTERM or Ctrl-C
    #[command(
        after_help = "Parts that run apart share one database, the secret JWT_SECRET and the ports of the others.

Examples:
  storehouse serve
  storehouse serve gateway
  storehouse serve auth users orders inventory
  PORT=9000 LOG_LEVEL=debug storehouse serve
  ENVIRONMENT=production JWT_SECRET=$(openssl rand -hex 32) storehouse serve"
    )]
    Serve {
        /// What this process runs [default: all]
        #[arg(value_enum, value_name = "PART")]
        parts: Vec<Part>,
    },

    /// Check a routes file: every fault with its place, or what it says and what no route leads to; exit code 0 if it is good, else 1
    #[command(after_help = "Examples:
  storehouse check                 the file that `serve` would use
  storehouse check my-routes.yaml
  envsubst < routes.yaml.in | storehouse check -
  storehouse check --schema > routes.schema.json   for an editor's YAML support")]
    Check {
        /// The file; - is standard input [default: the one that `serve` would use]
        file: Option<PathBuf>,

        /// Print the file's JSON Schema instead
        #[arg(long, conflicts_with = "file")]
        schema: bool,
    },

    /// Show the settings in effect, as a settings file with secrets left out
    #[command(after_help = "Examples:
  storehouse config
  storehouse config > settings.toml
  ENVIRONMENT=production storehouse config   would it start in production?")]
    Config,

    /// Bring the database to this version's tables, and stop
    #[command(after_help = "`serve` does the same when it starts.

Examples:
  storehouse migrate
  DATABASE_URL=postgres://localhost/store storehouse migrate")]
    Migrate,

    /// Add up all stock, and follow the audit log's chain; exit code 0 if all is right, else 1
    #[command(
        after_help = "It changes nothing, and may run beside a running system. Each difference is a line. Of the audit log the first entry is told that was
changed or is missing; note the last one's number and hash elsewhere, and look later whether it is still the same.

Examples:
  storehouse verify
  storehouse verify --audit-anchor 1207:5b3c...
  DATABASE_URL=postgres://localhost/store storehouse verify"
    )]
    Verify {
        /// An entry of the audit log that was noted before, as this command shows the last one
        #[arg(long, value_name = "NUMBER:HASH")]
        audit_anchor: Option<Anchor>,
    },

    /// Store products, or counts of stock, from a CSV file: all of it, or nothing and every error
    #[command(
        after_help = "It works on the database of the settings, without a server. Beside one that runs on SQLite, which waits meanwhile,
use POST /products/import and /stock/import instead. docs/csv.md tells what a file may hold.

Examples:
  storehouse import products products.csv --dry-run
  storehouse import products products.csv
  storehouse import stock counted.csv --charset windows-1252
  gzip -dc products.csv.gz | storehouse import products -"
    )]
    Import(ImportArgs),

    /// Write products, stock, the ledger or orders to a CSV file
    #[command(after_help = "It works on the database of the settings, and may run beside a running system.

Examples:
  storehouse export products products.csv
  storehouse export products --force products.csv
  storehouse export orders - | gzip > orders.csv.gz
  DATABASE_URL=postgres://localhost/store storehouse export movements movements.csv")]
    Export(ExportArgs),

    /// Write the whole database into a file, also while it is written to
    #[command(
        after_help = "The file is checked before it gets its name, and readable by nobody else: it holds people's data and password hashes.
So it can't be a stream: - is refused. PostgreSQL is read by pg_dump, which must be installed.

Examples:
  storehouse backup storehouse.backup
  storehouse backup /mnt/backups/$(date +%F).backup
  DATABASE_URL=postgres://localhost/store storehouse backup --force latest.backup"
    )]
    Backup {
        /// The file to be made; not -
        file: PathBuf,

        /// Replace a file that is there
        #[arg(long)]
        force: bool,
    },

    /// Make a database of a backup, in an empty place: no file, or a PostgreSQL database without tables
    #[command(
        after_help = "The backup and the new database are checked, as by `verify`; until then nobody can use it.

Examples:
  storehouse restore storehouse.backup
  DATA_DIR=/tmp/drill storehouse restore storehouse.backup
  DATABASE_URL=postgres://localhost/new_store storehouse restore latest.backup"
    )]
    Restore {
        /// The backup; not -, since it is checked before it is read
        file: PathBuf,

        /// Take a backup whose stock doesn't add up
        #[arg(long)]
        accept_differences: bool,
    },

    /// Copy the SQLite database to an empty PostgreSQL database, and check that all of it arrived
    #[command(
        name = "migrate-to",
        after_help = "Storehouse must be stopped meanwhile, and is refused the file; the file itself stays as it is. One that was broken off is begun anew.

Examples:
  storehouse migrate-to postgres://storehouse@localhost/storehouse
  storehouse migrate-to - < address.txt        the address isn't shown to others on this machine"
    )]
    MigrateTo {
        /// The address of the PostgreSQL database, or - for the first line of standard input
        #[arg(value_name = "URL")]
        url: String,
    },

    /// Fill a new system with a made-up business: products, customers, and a year of orders and movements
    #[command(after_help = "The same seed makes the same business, on the same day.

Examples:
  storehouse demo
  DATA_DIR=/tmp/demo storehouse demo --seed 7
  DATABASE_URL=postgres://localhost/demo storehouse demo --days 30")]
    Demo {
        /// Which business
        #[arg(long, default_value_t = 1)]
        seed: u64,

        /// How many days of it, until today
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },

    /// Print the OpenAPI 3.1 document of the whole system
    #[command(after_help = "Examples:
  storehouse openapi > openapi.json
  storehouse openapi | jq '.paths | keys'")]
    Openapi,

    /// Manage administrators
    #[command(
        subcommand,
        after_help = "Examples:
  storehouse admin create boss@example.com
  storehouse admin reset-totp boss@example.com"
    )]
    Admin(AdminCommand),

    /// Ask a running part whether it is ready; exit code 0 if it is, else 1
    #[command(after_help = "Examples:
  storehouse health
  storehouse health auth
  storehouse health http://10.0.0.5:8000
  storehouse health http://localhost:8082/health")]
    Health {
        /// Whom to ask: a part, where `serve PART` would listen with these settings, or an address; without a path,
        /// /health/ready
        #[arg(default_value = "gateway", value_name = "PART|URL")]
        whom: String,
    },
}

#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// What the file holds
    #[arg(value_enum)]
    pub(crate) what: Imported,

    /// The file; - is standard input
    pub(crate) file: PathBuf,

    /// Check the file and tell what it would do, and store nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// How the file is to be read where no byte order mark says it: utf-8, utf-16, utf-16le, utf-16be or windows-1252
    #[arg(long, default_value = "utf-8")]
    pub(crate) charset: String,
}

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// What to write
    #[arg(value_enum)]
    pub(crate) what: Exported,

    /// Where to; - is standard output
    pub(crate) file: PathBuf,

    /// Replace a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// What can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Imported {
    /// Products, each found by its SKU
    Products,
    /// What was counted of each product at each location
    Stock,
}

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Exported {
    /// Products, as an import takes them
    Products,
    /// What lies where, as an import takes it
    Stock,
    /// The ledger of all changes of stock
    Movements,
    /// Orders, a row for each line
    Orders,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Create an administrator; a password is made and printed once, unless one is given
    #[command(after_help = "Examples:
  storehouse admin create boss@example.com
  storehouse admin create boss@example.com --username boss --password-stdin < password.txt")]
    Create(NewAdmin),

    /// Take the second factor away from somebody who has lost it, and end their sessions
    #[command(
        after_help = "Another admin does the same by DELETE /users/{id}/totp: this is for whoever has no other one.

Examples:
  storehouse admin reset-totp boss@example.com"
    )]
    ResetTotp {
        /// Email address of the account
        email: String,
    },
}

#[derive(Args, Debug)]
pub(crate) struct NewAdmin {
    /// Email address, to log in with
    pub(crate) email: String,

    /// Name shown to others [default: what stands before the @]
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,

    /// Read the password from the first line of standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_shows_examples() {
        let mut cli = Cli::command();
        cli.build();
        let mut commands = vec![&cli];
        while let Some(command) = commands.pop() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{} has no examples", command.get_name());
            commands.extend(command.get_subcommands().filter(|command| command.get_name() != "help"));
        }
        cli.debug_assert();
    }

    #[test]
    fn no_command_is_serve_and_config_stands_anywhere() {
        assert!(Cli::parse_from(["storehouse"]).command.is_none());
        let cli = Cli::parse_from(["storehouse", "config", "--config", "a.toml"]);
        assert_eq!(cli.config, Some("a.toml".into()));
        assert!(Cli::try_parse_from(["storehouse", "srve"]).is_err());
        assert!(Cli::try_parse_from(["storehouse", "serve", "inventory"]).is_ok());
    }
}
