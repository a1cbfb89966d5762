//! `storehouse migrate`: brings the database to this version's tables.

use anyhow::{Context as _, Result};
use db::Db;

use crate::migrations::MIGRATIONS;
use crate::settings::Settings;

/// Says what was done.
pub(crate) fn run(settings: &Settings) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let db = Db::open(&settings.database_url).await.context("can't open the database")?;
        let applied = db.migrate(MIGRATIONS).await.context("can't bring the database to this version")?;
        let text = format!(
            "{}: {applied} of {} migrations applied now, the others before.\n",
            db.describe(),
            MIGRATIONS.len()
        );
        db.close().await;
        Ok(text)
    })
}
