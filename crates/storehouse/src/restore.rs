//! `storehouse restore`: a backup into an empty place, which nobody else can use until all of it was found good.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use db::{Draft, Tx};
use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::backup::ensure_file;
use crate::backup_file::{self, Seal, engine};
use crate::migrations::MIGRATIONS;
use crate::progress::Progress;
use crate::runtime::block_on;
use crate::settings::Settings;
use crate::verify::{self, Found};

/// Whether stock that doesn't add up keeps a database from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Differences {
    Refused,
    Accepted,
}

/// What came of it.
pub(crate) struct Restored {
    /// For whoever asked for it.
    pub(crate) text: String,
    pub(crate) found: Found,
}

/// Restores it. An error leaves the place empty or refused; differences too, unless they are accepted.
pub(crate) fn run(settings: &Settings, file: &Path, differences: Differences) -> Result<Restored> {
    ensure_file(file)?;
    let (begun, progress) = (Instant::now(), Progress::new());
    let restored = backup_file::check(file, &progress).and_then(|seal| {
        check_seal(&seal, settings, file)?;
        let found = block_on(restore(settings, file, &seal, differences, &progress));
        Ok((seal, found.with_context(|| format!("can't restore into {}", settings.database_url))?))
    });
    progress.clear();
    let (seal, (applied, found)) = restored?;
    let url = &settings.database_url;
    let mut text = found.text();
    if found.is_clean() || differences == Differences::Accepted {
        let seconds = begun.elapsed().as_secs_f64();
        let migrated =
            if applied == 0 { String::new() } else { format!(", {applied} migrations applied now") };
        text += &format!("{url} is as it was at {}{migrated}; in {seconds:.1} s.\n", seal.made_at);
    } else {
        text += &format!("{url} is not usable yet: --accept-differences takes it as it is.\n");
    }
    Ok(Restored { text, found })
}

/// Before anything is touched.
fn check_seal(seal: &Seal, settings: &Settings, file: &Path) -> Result<()> {
    let (file, wanted) = (file.display(), engine(&settings.database_url));
    ensure!(
        seal.engine == wanted,
        "{file} is a backup of {}, and DATABASE_URL names {wanted}: restore it to its own kind (`storehouse migrate-to` leads from SQLite to PostgreSQL)",
        seal.engine
    );
    let newest = MIGRATIONS.last().map_or(0, |migration| migration.number);
    ensure!(
        seal.schema <= newest,
        "{file} has schema version {}, and this Storehouse knows {newest}: take a newer one",
        seal.schema
    );
    Ok(())
}

/// Says how many migrations were missing, and what was found.
async fn restore(
    settings: &Settings,
    file: &Path,
    seal: &Seal,
    differences: Differences,
    progress: &Progress,
) -> Result<(usize, Found)> {
    let draft = Draft::begin(&settings.database_url).await?;
    draft.load(file, seal.length, &progress.of_database()).await?;
    let db = draft.open().await?;
    let applied = db.migrate(MIGRATIONS).await?;
    db.write((), |tx, ()| settle_in(tx).boxed()).await?;
    let found = verify::look_at(&db, progress).await;
    db.close().await;
    let found = found?;
    if found.is_clean() || differences == Differences::Accepted {
        draft.finish().await?;
    }
    Ok((applied, found))
}

/// The numbers of transactions are those of the server that the backup is of; where events stand must not depend on them here.
async fn settle_in(tx: &Tx) -> Result<(), db::Error> {
    webhooks::settle_in(tx).await?;
    mails::settle_in(tx).await?;
    events::settle_in(tx).await
}
