//! `storehouse serve`: starts what the settings ask for, and ends it in order.

use anyhow::{Result, bail};

use crate::settings::Settings;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let _logs = kit::telemetry::init(settings.logs.levels.clone(), settings.logs.format)?;
    let _secret = settings.signing_secret()?;
    bail!("this build has no services to run");
}
