//! `storehouse openapi`: the document of the whole system.

use anyhow::{Result, bail};

use crate::settings::Settings;

pub(crate) fn document(_settings: &Settings) -> Result<String> {
    bail!("this build has no services to describe");
}
