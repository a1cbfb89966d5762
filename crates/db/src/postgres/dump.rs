//! Writing a database into a file by `pg_dump`, whose snapshot is its own, and reading that file back.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::connection::{connect, watchful};
use super::draft::UNFINISHED;
use super::failure::failure;
use super::server::Server;
use super::tools::{Tool, feed, server_version};
use crate::dump::Dumped;
use crate::sqlite::blocking;
use crate::{Error, Progress};

/// Begins the rows of the migrations in what `pg_restore` writes out.
const MIGRATIONS: &str = ".schema_migrations (number, name) FROM stdin;";

/// See [`crate::dump`].
pub(crate) async fn dump(server: &Server, into: &Path, progress: &Progress) -> Result<Dumped, Error> {
    // Refuses one that is not finished.
    super::Postgres::open(server).await?.close().await;
    let server = watchful(server);
    let client = connect(&server).await?;
    let version = server_version(&client).await?;
    let sql = "SELECT pg_database_size(current_database())";
    let row = client.query_one(sql, &[]).await.map_err(|error| failure(&error).error)?;
    let size: i64 = row.try_get(0).map_err(|error| failure(&error).error)?;
    drop(client);
    let (into, progress) = (into.to_owned(), Arc::clone(progress));
    blocking(move || {
        write(&server, version, &into, |done| progress("copying", done, Some(size.unsigned_abs())))?;
        progress("checking", 0, None);
        check(version, &into)
    })
    .await
}

fn write(server: &Server, version: u32, into: &Path, told: impl Fn(u64) + Send + Sync) -> Result<(), Error> {
    let unwritable = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull => Error::DiskFull,
        _ => Error::Unavailable(format!("{}: {error}", into.display())),
    };
    let mut command = Tool::find("pg_dump", version)?.command(server);
    command.args(["--format=custom", "--no-owner", "--no-privileges", "--lock-wait-timeout=60s"]);
    command.arg(format!("--exclude-table={UNFINISHED}"));
    let mut file = OpenOptions::new().write(true).open(into).map_err(unwritable)?;
    let (mut written, mut done) = (Ok(()), 0);
    let dumped = feed(command, io::empty(), drop, |piece| {
        if written.is_ok() {
            written = file.write_all(piece);
        }
        done += piece.len() as u64;
        told(done);
    });
    written.map_err(unwritable)?;
    dumped
}

/// Has all of it read, and finds the migrations among it.
fn check(version: u32, file: &Path) -> Result<Dumped, Error> {
    let mut command = Tool::find("pg_restore", version)?.plain();
    command.arg("--file=-");
    let opened =
        File::open(file).map_err(|error| Error::Unavailable(format!("{}: {error}", file.display())))?;
    let mut found = Migrations::default();
    feed(command, opened, drop, |piece| found.read(piece))?;
    Dumped::of(&found.applied)
}

/// Reads the rows of the migrations out of a script, line by line, keeping no more than a line.
#[derive(Default)]
struct Migrations {
    line: Vec<u8>,
    is_inside: bool,
    applied: Vec<(i64, String)>,
}

impl Migrations {
    fn read(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            // A longer line is none that is looked for.
            if self.line.len() < 4096 {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if !self.is_inside {
            self.is_inside = line.starts_with("COPY ") && line.ends_with(MIGRATIONS);
        } else if let Some((number, name)) = line.split_once('\t') {
            self.applied.extend(number.parse().ok().map(|number| (number, name.to_owned())));
        } else {
            self.is_inside = false;
            self.applied.sort_unstable();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_found_in_a_script_however_it_is_cut() {
        let script = b"CREATE TABLE x;\nCOPY public.schema_migrations (number, name) FROM stdin;\n2\ttwo\n1\tone\n\\.\n3\tno\n";
        for size in 1..script.len() {
            let mut found = Migrations::default();
            script.chunks(size).for_each(|piece| found.read(piece));
            assert_eq!(found.applied, [(1, "one".to_owned()), (2, "two".to_owned())]);
        }
    }
}
