//! The real program as a process of its own, and HTTP over a real connection.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::time::DEADLINE;
use super::{Answer, canary, eventually};

/// The password of everybody who registers with a process: one that production takes too.
pub(crate) const PASSWORD: &str = "canary-4f1c of the harness";

const PROGRAM: &str = env!("CARGO_BIN_EXE_storehouse");

/// A folder to run the program in, and the settings that its processes get; no other setting reaches them.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    variables: Vec<(String, String)>,
    started: AtomicUsize,
}

impl Site {
    /// Any free ports, and a database: an address, or nothing for the default.
    pub(crate) fn new(database: Option<&str>) -> Self {
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
            started: AtomicUsize::new(0),
        };
        let ports = ["GATEWAY_PORT", "AUTH_PORT", "USERS_PORT", "ORDERS_PORT", "INVENTORY_PORT"];
        let site = ports.into_iter().fold(site, |site, port| site.with(port, "0"));
        match database {
            Some(url) => site.with("DATABASE_URL", url),
            None => site,
        }
    }

    /// Another setting; the last of a name counts.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, with arguments, ready to be run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.prepare(Command::new(PROGRAM), arguments)
    }

    /// The program behind another one, such as `setpriv`.
    pub(crate) fn prepare(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).env_clear();
        // Production refuses this; elsewhere no test but that of the limits should meet them.
        if !self.variables.iter().any(|(_, value)| value == "production") {
            command.env("RATE_LIMIT", "off");
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.current_dir(self.folder.path());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command that must fail; answers with the one line that it says.
    #[track_caller]
    pub(crate) fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
        assert_eq!(lines.len(), 1, "one line: {said}");
        lines[0].to_owned()
    }

    /// Starts the system and waits until it is ready.
    pub(crate) async fn start(&self) -> Storehouse {
        self.start_as(self.command(&[])).await
    }

    /// The same by a command of one's own.
    pub(crate) async fn start_as(&self, mut command: Command) -> Storehouse {
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        let (stdout, stderr) =
            (self.path(&format!("stdout-{number}")), self.path(&format!("stderr-{number}")));
        command.stdin(Stdio::null());
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let child = command.spawn().unwrap();
        let mut process = Storehouse { child, addresses: Vec::new(), stdout, stderr };
        process.read_banner().await;
        eventually("the system is ready", async || process.is_ready().await).await;
        process
    }

    /// Starts each part as a process of its own.
    pub(crate) async fn start_split(&self) -> Split {
        let mut split = Split { parts: Vec::new() };
        for part in ["auth", "users", "orders", "inventory", "gateway"] {
            let process = self.start_part(&split, part, "0").await;
            split.parts.push((part, process));
        }
        split
    }

    /// Starts one part on a port, the gateway beside the services that there are.
    async fn start_part(&self, split: &Split, part: &str, port: &str) -> Storehouse {
        let mut command = self.command(&["serve", part]);
        for (service, process) in &split.parts {
            command.env(port_setting(service), process.addresses[0].port().to_string());
        }
        command.env(port_setting(part), port);
        self.start_as(command).await
    }

    /// Starts a part that has ended again, where it was.
    pub(crate) async fn start_again(&self, split: &mut Split, part: &str) {
        let port = split.part(part).addresses[0].port().to_string();
        let process = self.start_part(split, part, &port).await;
        *split.part(part) = process;
    }

    /// All that its processes have said so far.
    pub(crate) fn output(&self) -> String {
        let count = self.started.load(Ordering::SeqCst);
        let read = |name: String| fs::read_to_string(self.path(&name)).unwrap_or_default();
        (0..count)
            .map(|number| read(format!("stdout-{number}")) + &read(format!("stderr-{number}")))
            .collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            canary::check_told("what the processes said", &self.output());
            canary::check_files(&self.path("data/storehouse.db"));
        }
    }
}

/// A system whose parts run as processes of their own.
pub(crate) struct Split {
    parts: Vec<(&'static str, Storehouse)>,
}

impl Split {
    pub(crate) fn part(&mut self, name: &str) -> &mut Storehouse {
        let found = self.parts.iter_mut().find(|(part, _)| *part == name);
        &mut found.expect("a part of that name").1
    }
}

fn port_setting(part: &str) -> String {
    format!("{}_PORT", part.to_uppercase())
}

/// A running system; killed at the end, if it still runs.
pub(crate) struct Storehouse {
    child: Child,
    /// Of the gateway, then auth, users and orders; those of them that the process runs.
    pub(crate) addresses: Vec<SocketAddr>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Storehouse {
    pub(crate) fn gateway(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn banner(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// A connection to the gateway.
    pub(crate) async fn connect(&self) -> Wire {
        Wire::connect(self.gateway()).await.unwrap()
    }

    /// Sends text to the gateway as it stands, and gives all that comes until the connection ends.
    pub(crate) async fn exchange(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.gateway()).await.unwrap();
        // What is refused early may be answered before all of it is written.
        let _ = stream.write_all(text.as_bytes()).await;
        let mut answer = Vec::new();
        let end = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer));
        end.await.expect("the connection ends in time").unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn read_banner(&mut self) {
        eventually("the banner is there", async || {
            let banner = self.banner();
            banner.contains("  data ") || banner.contains("  sessions ") || is_dead(self.child.id())
        })
        .await;
        let banner = self.banner();
        let places = banner.lines().take(2).flat_map(|line| line.split([' ', ',', '/']));
        self.addresses = places
            .filter_map(|word| word.replace("localhost", "127.0.0.1").parse::<SocketAddr>().ok())
            .collect();
        assert!(!self.addresses.is_empty(), "{banner}\n{}", self.log());
    }

    pub(crate) async fn is_ready(&self) -> bool {
        let Ok(mut wire) = Wire::connect(self.gateway()).await else { return false };
        wire.get("/health/ready").await.is_ok_and(|answer| answer.status == 200)
    }

    /// Sends a signal: `TERM`, `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Sends a signal and waits for the end; answers with the exit code.
    pub(crate) async fn signal_and_wait(self, name: &str) -> Option<i32> {
        self.signal(name);
        self.exit_code().await
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end, which must have this exit code; answers with what it logged.
    pub(crate) async fn log_at_end(self, code: i32) -> String {
        let stderr = self.stderr.clone();
        let ended = self.exit_code().await;
        let log = fs::read_to_string(stderr).unwrap();
        assert_eq!(ended, Some(code), "{log}");
        log
    }

    /// Waits for its end; answers with the exit code.
    pub(crate) async fn exit_code(mut self) -> Option<i32> {
        eventually("the process ends", async || is_dead(self.child.id())).await;
        self.child.wait().unwrap().code()
    }
}

impl Drop for Storehouse {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process of ours has ended and only waits to be asked for its exit code.
fn is_dead(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with(['Z', 'X']) || rest.is_empty())
}

/// A keep-alive connection.
pub(crate) struct Wire {
    sender: SendRequest<Full<Bytes>>,
    token: Option<String>,
    forwarded_for: Option<String>,
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(Self { sender, token: None, forwarded_for: None })
    }

    /// From now on with a token.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// From now on as if a proxy said so.
    pub(crate) fn forwarded_for(mut self, address: &str) -> Self {
        self.forwarded_for = Some(address.to_owned());
        self
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, String> {
        self.send(Method::GET, path, None, None).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Answer, String> {
        self.send(Method::POST, path, Some(body), None).await
    }

    /// Asks for a stream, whose body is then read bit by bit.
    pub(crate) async fn stream(&mut self, path: &str) -> Result<Incoming, String> {
        let token = format!("Bearer {}", self.token());
        let request = Request::get(path).header("host", "localhost").header("authorization", token);
        let request = request.body(Full::default()).unwrap();
        self.sender.ready().await.map_err(|error| error.to_string())?;
        let response = self.sender.send_request(request).await.map_err(|error| error.to_string())?;
        if response.status() == 200 { Ok(response.into_body()) } else { Err(response.status().to_string()) }
    }

    /// Sends one request, and checks what must hold for every answer; an error means that none came.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Answer, String> {
        let answer = self.exchange(method, path, body, key).await?;
        answer.check(&[502, 503, 504, 507]);
        Ok(answer)
    }

    /// Sends one whose answer may be that something failed.
    pub(crate) async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Answer, String> {
        let what = format!("{method} {path}");
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(address) = &self.forwarded_for {
            request = request.header("x-forwarded-for", address);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::new(text.into())).unwrap();
        self.sender.ready().await.map_err(|error| error.to_string())?;
        let response = self.sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(Answer { what, status: head.status, headers: head.headers, body: body.to_vec() })
    }

    /// Registers an account whose name makes its email, and goes on with its token.
    pub(crate) async fn register(mut self, name: &str) -> (Self, Value) {
        let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD, "username": name});
        let answer = self.post("/auth/register", &body).await.unwrap().expect(201).json();
        (self.with_token(answer["token"].as_str().unwrap()), answer)
    }
}

/// A copy of the program that any user of this machine may run.
pub(crate) fn copy_program(folder: &Path) -> PathBuf {
    let copy = folder.join("storehouse");
    fs::copy(PROGRAM, &copy).unwrap();
    copy
}
