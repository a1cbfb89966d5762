//! PostgreSQL servers: the one that TEST_POSTGRES_URL names, or private ones from the installed binaries.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::say;

const START_LIMIT: Duration = Duration::from_secs(60);

/// Runs the server until standard input closes, which the system does when the test process ends, however it ends; a signal to the whole group must not keep it from cleaning up.
const KEEPER: &str = r#"
trap '' HUP INT TERM
folder=$1; shift
"$@" </dev/null >>"$folder/log" 2>&1 &
server=$!
echo "$server" >"$folder/server"
cat >/dev/null
kill -INT "$server" 2>/dev/null
wait "$server"
[ "$REMOVE" = yes ] && rm -rf "$folder"
"#;

/// A private server. It ends with this value, or with the process.
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    durable: bool,
    keeper: Option<(Child, ChildStdin)>,
    /// Removed at the end, unless the server outlives every value and its keeper does it.
    owned: Option<TempDir>,
}

/// The address of the server that all tests share. Without one it is a failure in CI, and elsewhere said aloud.
pub(crate) fn postgres_server() -> Option<&'static str> {
    static SHARED: OnceLock<Option<(String, Option<Server>)>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        if let Ok(url) = std::env::var("TEST_POSTGRES_URL") {
            return Some((url, None));
        }
        let server = Server::make(false)?;
        Some((server.url("postgres"), Some(server)))
    });
    shared.as_ref().map(|(url, _)| url.as_str())
}

impl Server {
    /// A server of one test's own, as durable as in production.
    pub(crate) fn start() -> Option<Self> {
        Self::make(true)
    }

    /// One that takes connections over TLS alone, with this certificate and key.
    pub(crate) fn start_over_tls((certificate, key): (String, String)) -> Option<Self> {
        let mut server = Self::start()?;
        server.stop();
        let data = server.folder.join("data");
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            fs::write(data.join(name), text).unwrap();
            fs::set_permissions(data.join(name), fs::Permissions::from_mode(0o600)).unwrap();
            give_to_server(&data.join(name));
        }
        fs::write(
            data.join("pg_hba.conf"),
            "hostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n",
        )
        .unwrap();
        let settings = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        fs::write(data.join("postgresql.conf"), settings + "\nssl = on\n").unwrap();
        server.start_again();
        Some(server)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        Self::url_at(self.port, database)
    }

    /// The address of a database behind another port, such as a proxy's.
    pub(crate) fn url_at(port: u16, database: &str) -> String {
        format!("postgres://storehouse@127.0.0.1:{port}/{database}")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as an administrator would.
    pub(crate) fn stop(&mut self) {
        if let Some((mut keeper, stdin)) = self.keeper.take() {
            drop(stdin);
            keeper.wait().unwrap();
        }
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        assert!(Command::new("kill").args(["-9", &self.process()]).status().unwrap().success());
        self.stop();
    }

    /// Shows every file that it has written, its log ahead among them.
    pub(crate) fn each_file(&self, show: impl Fn(&Path, &[u8])) {
        let mut folders = vec![self.folder.join("data")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { show(&path, &fs::read(&path).unwrap()) }
            }
        }
    }

    /// Keeps it and all that it has started from running, as if the machine stood still.
    pub(crate) fn pause(&self) {
        self.signal_all("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal_all("-CONT");
    }

    /// The server first, so that it starts nothing meanwhile.
    fn signal_all(&self, signal: &str) {
        let process = self.process();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
        assert!(Command::new("pkill").args([signal, "-P", &process]).status().unwrap().success());
    }

    fn process(&self) -> String {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().to_owned()
    }

    /// Starts it again on the same port and data.
    pub(crate) fn start_again(&mut self) {
        let deadline = Instant::now() + START_LIMIT;
        // After SIGKILL its orphans hold the shared memory for a moment more.
        while !self.try_start() {
            assert!(Instant::now() < deadline, "PostgreSQL does not start:\n{}", self.log());
        }
    }

    fn make(durable: bool) -> Option<Self> {
        let Some(binaries) = binaries() else {
            missing();
            return None;
        };
        let owned = tempfile::Builder::new().prefix("storehouse-postgres").tempdir().unwrap();
        let folder = owned.path().to_owned();
        prepare(&binaries, &folder);
        let owned = if durable {
            Some(owned)
        } else {
            drop(owned.keep());
            None
        };
        let mut server = Self { folder, port: 0, durable, keeper: None, owned };
        let deadline = Instant::now() + START_LIMIT;
        while server.keeper.is_none() {
            assert!(Instant::now() < deadline, "PostgreSQL does not start:\n{}", server.log());
            // Between this and the server's own bind another may take the port, and then it is tried again.
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            server.try_start();
        }
        Some(server)
    }

    fn try_start(&mut self) -> bool {
        let binaries = binaries().unwrap();
        let data = self.folder.join("data");
        let _ = fs::remove_file(self.folder.join("server"));
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(&self.folder);
        command.args(as_user()).arg(binaries.join("postgres")).arg("-D").arg(&data);
        command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.arg("-c").arg(format!("unix_socket_directories={}", self.folder.display()));
        command.args(["-c", "max_connections=400"]);
        if !self.durable {
            command.args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]);
        }
        let remove = if self.owned.is_none() { "yes" } else { "no" };
        let mut keeper = command.env("REMOVE", remove).stdin(Stdio::piped()).spawn().unwrap();
        let stdin = keeper.stdin.take().unwrap();
        if self.becomes_ready() {
            self.keeper = Some((keeper, stdin));
            return true;
        }
        // What this attempt leaves is what the next one needs.
        keeper.kill().unwrap();
        keeper.wait().unwrap();
        drop(stdin);
        false
    }

    fn becomes_ready(&self) -> bool {
        let deadline = Instant::now() + START_LIMIT;
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        while Instant::now() < deadline {
            // Both are of this very process, not of one that was killed before it or of a connection that came too early.
            let process = read("server").trim().to_owned();
            let state = read("data/postmaster.pid");
            let mut state = state.lines().map(str::trim);
            if !process.is_empty() && state.next() == Some(&process) && state.nth(6) == Some("ready") {
                return true;
            }
            if self.log().contains(&format!("[{process}] FATAL")) {
                return false;
            }
            sleep(Duration::from_millis(10));
        }
        false
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes the data folder, as the user that will run the server.
fn prepare(binaries: &Path, folder: &Path) {
    give_to_server(folder);
    let mut command = plain_or_other_user(binaries.join("initdb").as_os_str());
    command.arg("-D").arg(folder.join("data"));
    command.args(["-U", "storehouse", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
    let output = command.current_dir(folder).output().unwrap();
    assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
}

/// The server's user owns it from now on.
fn give_to_server(path: &Path) {
    if is_root() {
        assert!(Command::new("chown").arg("postgres").arg(path).status().unwrap().success());
    }
}

fn plain_or_other_user(program: &OsStr) -> Command {
    let prefix = as_user();
    let Some((first, rest)) = prefix.split_first() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}

/// PostgreSQL refuses to run as root.
fn as_user() -> &'static [&'static str] {
    const CHOICES: [&[&str]; 2] = [
        &["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"],
        &["runuser", "-u", "postgres", "--"],
    ];
    if !is_root() {
        return &[];
    }
    let works = |choice: &&&[&str]| {
        let (program, arguments) = choice.split_first().unwrap();
        Command::new(program).args(arguments).arg("true").status().is_ok_and(|status| status.success())
    };
    CHOICES.iter().find(works).copied().expect("a way to run PostgreSQL as the user postgres")
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

/// The folder of `initdb` and `postgres`.
fn binaries() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(find_binaries).clone()
}

fn find_binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

fn missing() {
    let text = "PostgreSQL is not installed (initdb, postgres): NO TEST WAS RUN ON POSTGRESQL. Install it or set TEST_POSTGRES_URL.";
    assert!(std::env::var_os("CI").is_none(), "{text}");
    static SAID: OnceLock<()> = OnceLock::new();
    SAID.get_or_init(|| say(text));
}
