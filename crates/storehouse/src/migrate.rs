//! `storehouse migrate`: brings the database to this version's tables.

use anyhow::{Result, bail};

use crate::settings::Settings;

pub(crate) fn run(_settings: &Settings) -> Result<()> {
    bail!("this build has no database to migrate");
}
