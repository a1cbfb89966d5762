//! Storehouse: the gateway and its services in one program.

use std::io::{self, Write as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    match storehouse::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let line = format!("{error:#}").replace(char::is_control, " ");
            // With standard error gone the exit code alone must tell.
            drop(writeln!(io::stderr(), "storehouse: {line}"));
            ExitCode::FAILURE
        }
    }
}
