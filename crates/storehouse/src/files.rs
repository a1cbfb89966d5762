//! `storehouse import` and `storehouse export`: CSV files straight into the database of the settings, and out of it.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::Bytes;
use db::Db;
use inventory::{ImportView, LevelSheet, MovementSheet, ProductSheet, Stage, import_counts, import_products};
use kit::author::Author;
use kit::clock::Clock;
use kit::csv::{Export, Sheet, charset};
use kit::problem::Problem;
use orders::OrderSheet;

use crate::cli::{ExportArgs, Exported, ImportArgs, Imported};
use crate::migrate::{open_existing, open_existing_migrated, spare_database};
use crate::progress::Progress;
use crate::runtime::block_on;
use crate::settings::Settings;

/// A file is in memory as a whole.
const MAX_FILE: u64 = 1024 * 1024 * 1024;

/// Imports a file, and says what it did. All that is wrong with it stands on standard error.
pub(crate) fn import(settings: &Settings, args: &ImportArgs) -> Result<String> {
    let progress = Progress::new();
    let file = read(settings, args, &progress)?;
    let imported = block_on(async {
        let db = open_existing_migrated(settings).await?;
        let imported = match args.what {
            Imported::Products => import_products(&db, file, args.dry_run).await,
            Imported::Stock => import_counts(&db, file, args.dry_run).await,
        };
        db.close().await;
        anyhow::Ok(imported)
    });
    progress.clear();
    imported?.map(|view| summary(args.what, &view)).map_err(|problem| refused(&problem))
}

fn read(settings: &Settings, args: &ImportArgs, progress: &Progress) -> Result<inventory::File> {
    let bytes = read_bytes(&args.file)?;
    let unknown = || anyhow!("--charset must be utf-8, utf-16, utf-16le, utf-16be or windows-1252");
    let author = Author::nobody(Clock::default().now());
    let progress = progress.clone();
    Ok(inventory::File {
        bytes,
        charset: Some(charset(&args.charset).ok_or_else(unknown)?),
        currency: settings.orders.currency,
        author,
        max_rows: usize::MAX,
        max_faults: usize::MAX,
        progress: Arc::new(move |stage, done, of| progress.show(word(stage), done as u64, Some(of as u64))),
    })
}

/// All of a file, or of standard input for `-`.
fn read_bytes(file: &Path) -> Result<Bytes> {
    let shown = if is_stream(file) { "standard input".to_owned() } else { file.display().to_string() };
    let mut bytes = Vec::new();
    let read = if is_stream(file) {
        io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("can't read {shown}"))?;
    ensure!(bytes.len() as u64 <= MAX_FILE, "{shown} is larger than 1 GiB: part it");
    Ok(bytes.into())
}

/// `-` is standard input or output, as elsewhere.
pub(crate) fn is_stream(file: &Path) -> bool {
    file == Path::new("-")
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Checking => "checking rows",
        Stage::Storing => "storing rows",
    }
}

fn summary(what: Imported, view: &ImportView) -> String {
    let what = if what == Imported::Products { "Products" } else { "Levels" };
    let ImportView { rows, created, changed, unchanged, new_categories, dry_run } = view;
    let mut text =
        format!("{what}: {created} new, {changed} changed, {unchanged} as they were; rows: {rows}.");
    if *new_categories > 0 {
        text += &format!(" New categories: {new_categories}.");
    }
    text += if *dry_run { " It was a dry run: nothing was stored.\n" } else { "\n" };
    text
}

/// Each fault on a line of its own, as a row of the file has it.
fn refused(problem: &Problem) -> anyhow::Error {
    let mut out = io::stderr();
    for fault in problem.errors() {
        // With standard error gone the exit code alone must tell.
        drop(writeln!(out, "{}: {} ({})", fault.field, fault.message, fault.code));
    }
    match problem.errors().len() {
        0 => anyhow!("nothing was imported: {}{}", problem.detail(), cause(problem)),
        1 => anyhow!("nothing was imported: the file has an error"),
        count => anyhow!("nothing was imported: the file has {count} errors"),
    }
}

fn cause(problem: &Problem) -> String {
    problem.cause().map_or_else(String::new, |cause| format!(" ({cause})"))
}

/// Writes a file. One that is there is replaced only by force, once the new one is whole.
pub(crate) fn export(settings: &Settings, args: &ExportArgs) -> Result<()> {
    let file = args.file.as_path();
    spare_database(settings, file)?;
    // What is no file, such as a pipe or /dev/stdout, has nothing to be lost.
    ensure!(
        args.force || !file.is_file(),
        "{} is there already: give another name, or --force",
        file.display()
    );
    block_on(async {
        let db = open_existing(settings).await?;
        let written = match args.what {
            Exported::Products => write(&db, ProductSheet::default(), file).await,
            Exported::Stock => write(&db, LevelSheet::default(), file).await,
            Exported::Movements => write(&db, MovementSheet::default(), file).await,
            Exported::Orders => write(&db, OrderSheet::default(), file).await,
        };
        db.close().await;
        written
    })
}

async fn write<S: Sheet>(db: &Db, sheet: S, file: &Path) -> Result<()> {
    let mut export = Export::new(db.clone(), sheet, true);
    if is_stream(file) {
        return match write_to(&mut export, &mut io::stdout().lock()).await {
            // A reader that has seen enough (`| head`) is no failure.
            Err(error) if is_broken_pipe(&error) => Ok(()),
            written => written,
        };
    }
    let partial = beside(file);
    let written = async {
        // It may hold people's names and addresses.
        let mut out = File::options().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        write_to(&mut export, &mut out).await?;
        out.sync_all()?;
        fs::rename(&partial, file)?;
        anyhow::Ok(())
    };
    let written = written.await;
    if written.is_err() {
        // What is left of it is worth nothing.
        drop(fs::remove_file(&partial));
    }
    written.with_context(|| format!("can't write {}", file.display()))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A file that becomes the other one once it is whole.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

async fn write_to<S: Sheet>(export: &mut Export<S>, out: &mut impl Write) -> Result<()> {
    let (progress, mut done, mut total) = (Progress::new(), 0, 0);
    loop {
        let part = export
            .next()
            .await
            .context("can't read the database; one of an older version wants `storehouse migrate` first");
        let Some(part) = part? else { break };
        out.write_all(&part.bytes)?;
        done += part.rows;
        total = part.total.and_then(|total| usize::try_from(total).ok()).unwrap_or(total);
        progress.show("writing rows", done as u64, Some(total as u64));
    }
    out.flush()?;
    progress.clear();
    Ok(())
}
