//! PostgreSQL's own programs, `pg_dump` and `pg_restore`: finding one that suits the server, and running it. How to connect, and the password,
//! it is told by its environment, which others can't read as they can its arguments.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use tokio_postgres::Client;
use tokio_postgres::config::{Host, TargetSessionAttrs};

use super::connection::watchful;
use super::failure::failure;
use super::server::Server;
use crate::Error;

/// Folders that hold a folder for each version, and what stands between it and the programs.
const VERSIONS: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
];

const PIECE: usize = 64 * 1024;

/// A program that suits the server.
pub(super) struct Tool {
    path: PathBuf,
    version: u32,
}

/// The server's version: 16.
pub(super) async fn server_version(client: &Client) -> Result<u32, Error> {
    let sql = "SELECT CAST(current_setting('server_version_num') AS INT) / 10000";
    let row = client.query_one(sql, &[]).await.map_err(|error| failure(&error).error)?;
    let version: i32 = row.try_get(0).map_err(|error| failure(&error).error)?;
    Ok(version.unsigned_abs())
}

impl Tool {
    /// The one of the server's own version, else the next newer: an older one refuses the server. A newer one may say what an older server doesn't know.
    pub(super) fn find(name: &str, server: u32) -> Result<Self, Error> {
        let found: Vec<(u32, PathBuf)> =
            candidates(name).into_iter().filter_map(|path| Some((version_of(&path)?, path))).collect();
        let suits =
            found.iter().filter(|(version, _)| *version >= server).min_by_key(|(version, _)| *version);
        if let Some((version, path)) = suits {
            return Ok(Self { path: path.clone(), version: *version });
        }
        let newest = found.iter().map(|(version, _)| *version).max();
        let found = newest.map_or_else(
            || "was not found".to_owned(),
            |version| format!("was found in version {version} only"),
        );
        Err(Error::Refused(format!(
            "{name} {found}, and the server is PostgreSQL {server}: install postgresql-client-{server} (or newer), or put it on the PATH"
        )))
    }

    /// The program, told how to connect.
    pub(super) fn command(&self, server: &Server) -> Command {
        let (mut command, config) = (self.plain(), &server.config);
        command.env_remove("PGSERVICE").env_remove("PGSERVICEFILE");
        let hosts: Vec<String> = config.get_hosts().iter().map(host).collect();
        let addresses: Vec<String> = config.get_hostaddrs().iter().map(ToString::to_string).collect();
        let ports: Vec<String> = config.get_ports().iter().map(ToString::to_string).collect();
        for (name, values) in [("PGHOST", hosts), ("PGHOSTADDR", addresses), ("PGPORT", ports)] {
            if values.is_empty() {
                command.env_remove(name)
            } else {
                command.env(name, values.join(","))
            };
        }
        // Of several servers the same as ours, which the tools would else take the first of that answers.
        match watchful(server).config.get_target_session_attrs() {
            TargetSessionAttrs::ReadWrite => command.env("PGTARGETSESSIONATTRS", "read-write"),
            _ => command.env_remove("PGTARGETSESSIONATTRS"),
        };
        let name = config.get_dbname().or(config.get_user());
        for (name, value) in
            [("PGUSER", config.get_user()), ("PGDATABASE", name), ("PGOPTIONS", config.get_options())]
        {
            value.map(|value| command.env(name, value));
        }
        if let Some(password) = config.get_password() {
            command.env("PGPASSWORD", String::from_utf8_lossy(password).as_ref());
        }
        self.tell_authorities(server, &mut command);
        command
    }

    /// What makes its connection as safe as ours. Before version 16 it can't be told to trust whom browsers trust: then it is encrypted and no more.
    fn tell_authorities(&self, server: &Server, command: &mut Command) {
        let (mode, authorities) = match &server.authorities {
            _ if !server.is_safe() => return,
            Some(file) => ("verify-full", file.as_path()),
            None if self.version >= 16 => ("verify-full", Path::new("system")),
            None => {
                command.env("PGSSLMODE", "require");
                return;
            }
        };
        command.env("PGSSLMODE", mode).env("PGSSLROOTCERT", authorities);
    }

    pub(super) fn plain(&self) -> Command {
        Command::new(&self.path)
    }
}

fn host(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(folder) => folder.display().to_string(),
    }
}

/// On the PATH, then where systems put it.
fn candidates(name: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(name), Path::new("/usr/local/pgsql/bin").join(name)];
    for (folder, inside) in VERSIONS {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let programs = entries.map(|entry| entry.path().join(inside).join(name));
        found.extend(programs.filter(|program| program.is_file()));
    }
    found
}

/// `pg_dump (PostgreSQL) 16.4 (Debian …)` is 16.
fn version_of(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    version_in(&String::from_utf8_lossy(&output.stdout))
}

fn version_in(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    let digits = number.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

/// Ends with its process, however that comes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program that gets all of `input` and whose output is given to `take`. Its complaint is the error. It can't outlive this process by much:
/// then its input ends in the middle, and nobody reads its output.
pub(super) fn feed(
    mut command: Command,
    mut input: impl Read,
    mut told: impl FnMut(u64),
    take: impl FnMut(&[u8]) + Send,
) -> Result<(), Error> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = start(&mut command)?;
    let (stdin, stdout, stderr) = pipes(&mut running.0)?;
    let (fed, read, complaint) = thread::scope(|scope| {
        let complaining = scope.spawn(move || all_of(stderr));
        let reading = scope.spawn(move || read_all(stdout, take));
        let fed = pass(&mut input, stdin, &mut told);
        (fed, reading.join(), complaining.join().unwrap_or_default())
    });
    let status = running.0.wait().map_err(|error| failed(&error))?;
    if !status.success() {
        return Err(Error::Refused(complaint_of(&command, &complaint)));
    }
    fed.map_err(|error| failed(&error))?;
    read.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map_err(|error| failed(&error))
}

fn start(command: &mut Command) -> Result<Running, Error> {
    command.spawn().map(Running).map_err(|error| failed(&error))
}

type Pipes = (std::process::ChildStdin, std::process::ChildStdout, std::process::ChildStderr);

fn pipes(child: &mut Child) -> Result<Pipes, Error> {
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err(Error::Internal("a program has no pipes".to_owned()));
    };
    Ok((stdin, stdout, stderr))
}

/// Reads until the end, giving each piece away.
fn read_all(mut from: impl Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => take(buffer.get(..count).unwrap_or_default()),
        }
    }
}

/// A program that has ended takes no more; why, it has said itself.
fn pass(from: &mut impl Read, mut to: impl Write, told: &mut impl FnMut(u64)) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut done = 0;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        match to.write_all(buffer.get(..count).unwrap_or_default()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        done += count as u64;
        told(done);
    }
}

fn all_of(mut from: impl Read) -> String {
    let mut text = Vec::new();
    // What could be read of it says enough.
    let _ = from.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The first lines of what it complained of, in one.
fn complaint_of(command: &Command, complaint: &str) -> String {
    let name =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let lines: Vec<&str> = complaint.lines().map(str::trim).filter(|line| !line.is_empty()).take(4).collect();
    if lines.is_empty() { format!("{name} failed") } else { lines.join("; ") }
}

fn failed(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => Error::DiskFull,
        _ => Error::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version_in("pg_dump (PostgreSQL) 16.4 (Debian 16.4-1)\n"), Some(16));
        assert_eq!(version_in("pg_restore (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(version_in("something else 3"), None);
    }

    #[test]
    fn the_password_is_no_argument() {
        let server = Server::parse("postgres://me:canary@db.example:5433/store").unwrap();
        let tool = Tool { path: PathBuf::from("pg_dump"), version: 16 };
        let command = tool.command(&server);
        assert!(command.get_args().next().is_none());
        let set = |name: &str| {
            let found = command.get_envs().find(|(known, _)| *known == name);
            found.and_then(|(_, value)| value).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(set("PGHOST").as_deref(), Some("db.example"));
        assert_eq!(set("PGPORT").as_deref(), Some("5433"));
        assert_eq!(set("PGDATABASE").as_deref(), Some("store"));
        assert_eq!(set("PGPASSWORD").as_deref(), Some("canary"));
        assert_eq!(set("PGSSLMODE"), None);
    }

    #[test]
    fn it_is_told_whom_to_trust() {
        for (version, more, mode, file) in [
            (15, "", "require", None),
            (16, "", "verify-full", Some("system")),
            (15, "&sslrootcert=/own.pem", "verify-full", Some("/own.pem")),
        ] {
            let server = Server::parse(&format!("postgres://me@db/store?sslmode=require{more}")).unwrap();
            let command = Tool { path: PathBuf::from("pg_dump"), version }.command(&server);
            let set = |name: &str| {
                command.get_envs().find(|(known, _)| *known == name).and_then(|(_, value)| value)
            };
            assert_eq!(set("PGSSLMODE").unwrap(), mode);
            assert_eq!(set("PGSSLROOTCERT").map(|value| value.to_str().unwrap()), file);
        }
    }
}
