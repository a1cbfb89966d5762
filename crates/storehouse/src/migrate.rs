//! `storehouse migrate`: brings the database to this version's tables.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use db::{DatabaseUrl, Db};

use crate::migrations::MIGRATIONS;
use crate::runtime::block_on;
use crate::settings::Settings;

/// Refuses to write over the database itself, whose files are those beside it too.
pub(crate) fn spare_database(settings: &Settings, file: &Path) -> Result<()> {
    let DatabaseUrl::Sqlite(database) = &settings.database_url else { return Ok(()) };
    let place = |path: &Path| {
        let path = std::path::absolute(path).ok()?;
        Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
    };
    // Where one of the two has no folder, nothing can be written over.
    let (Some(database), Some(target)) = (place(database), place(file)) else { return Ok(()) };
    let is_own = ["", "-wal", "-shm", ".lock"].into_iter().any(|ending| {
        let mut own = database.as_os_str().to_owned();
        own.push(ending);
        target.as_os_str() == own
    });
    ensure!(!is_own, "{} belongs to the database: give another name", file.display());
    Ok(())
}

/// The database, for whoever only reads it, and so makes none.
pub(crate) async fn open_existing(settings: &Settings) -> Result<Db> {
    ensure_there(settings)?;
    open(settings).await
}

/// The database with this version's tables, for whoever has nothing to do in a new one.
pub(crate) async fn open_existing_migrated(settings: &Settings) -> Result<Db> {
    ensure_there(settings)?;
    open_migrated(settings).await
}

/// The database with this version's tables.
pub(crate) async fn open_migrated(settings: &Settings) -> Result<Db> {
    let db = open(settings).await?;
    bring_up_to_date(&db).await?;
    Ok(db)
}

fn ensure_there(settings: &Settings) -> Result<()> {
    if let DatabaseUrl::Sqlite(path) = &settings.database_url {
        ensure!(
            path.exists(),
            "there is no database at {}: set DATA_DIR or DATABASE_URL as for `serve`, or go to its folder; `storehouse migrate` makes a new one",
            path.display()
        );
    }
    Ok(())
}

async fn open(settings: &Settings) -> Result<Db> {
    let url = &settings.database_url;
    let named = if settings.database_is_chosen { ", which DATABASE_URL names" } else { "" };
    Db::open(url).await.with_context(|| format!("can't open {url}{named}"))
}

/// Its tables, and what no SQL can work out of its rows.
async fn bring_up_to_date(db: &Db) -> Result<usize> {
    let applied = db.migrate(MIGRATIONS).await.context("can't bring the database to this version")?;
    accounts::renew_keys(db).await.context("can't bring the accounts' names to this version")?;
    Ok(applied)
}

/// Says what was done.
pub(crate) fn run(settings: &Settings) -> Result<String> {
    block_on(async {
        let db = open(settings).await?;
        let applied = bring_up_to_date(&db).await?;
        let text = format!(
            "{}: {applied} of {} migrations applied now, the others before.\n",
            db.describe(),
            MIGRATIONS.len()
        );
        db.close().await;
        Ok(text)
    })
}
