//! `storehouse migrate-to`: a SQLite database to an empty PostgreSQL one, whole.

use std::io::{self, BufRead as _, Read as _};

use anyhow::{Context as _, Result, anyhow, bail};
use db::{DatabaseUrl, Draft, Movable, Moved};
use tokio::time::Instant;

use crate::migrations::MIGRATIONS;
use crate::progress::Progress;
use crate::runtime::block_on;
use crate::settings::Settings;
use crate::verify::{self, Found};

/// Longer than any address.
const LONGEST_LINE: u64 = 8 * 1024;

/// Moves it and says what was moved. An error leaves the target empty or refused, and the source as it was, always.
pub(crate) fn run(settings: &Settings, target: &str) -> Result<String> {
    let from = &settings.database_url;
    if !matches!(from, DatabaseUrl::Sqlite(_)) {
        bail!("DATABASE_URL names no SQLite database, and only one is moved: {from}");
    }
    let target = address(target)?;
    let (begun, progress) = (Instant::now(), Progress::new());
    let moved = block_on(move_all(from, &target, &progress));
    progress.clear();
    let (moved, found) = moved.with_context(|| format!("can't move {from} to {target}"))?;
    let rows: u64 = moved.iter().map(|moved| moved.rows).sum();
    let tables = moved.len();
    let mut text: String = moved.iter().map(|Moved { table, rows }| format!("{table}: {rows}\n")).collect();
    text += &found.text();
    text += &format!(
        "{rows} rows of {tables} tables are in {target} now, each as it was, in {:.1} s. Set DATABASE_URL to that address, and start Storehouse; \
         {from} is as it was: keep it until you are sure.\n",
        begun.elapsed().as_secs_f64()
    );
    Ok(text)
}

fn address(given: &str) -> Result<DatabaseUrl> {
    let mut line = String::new();
    let text = if given == "-" {
        let read = io::stdin().lock().take(LONGEST_LINE).read_line(&mut line);
        read.context("can't read the address from standard input")?;
        line.trim()
    } else {
        given
    };
    match text.parse().map_err(|fault: String| anyhow!(fault))? {
        DatabaseUrl::Sqlite(_) => {
            bail!("this is no address of PostgreSQL: write postgres://USER:PASSWORD@HOST/NAME")
        }
        target => Ok(target),
    }
}

async fn move_all(
    from: &DatabaseUrl,
    target: &DatabaseUrl,
    progress: &Progress,
) -> Result<(Vec<Moved>, Found)> {
    // First, so that a refusal leaves nothing at the target.
    let source = Movable::open(from, MIGRATIONS).await?;
    let draft = Draft::begin(target).await?;
    let moved = db::transfer(source, &draft, &progress.of_database()).await?;
    let db = draft.open().await?;
    let found = verify::look_at(&db, progress).await;
    db.close().await;
    let found = found?;
    found.check()?;
    draft.finish().await?;
    Ok((moved, found))
}
