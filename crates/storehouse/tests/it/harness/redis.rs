//! A private Redis from the installed program, which keeps nothing on disk.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::{eventually, say};

/// Runs the server until standard input closes, which the system does when the test process ends, however it ends.
const KEEPER: &str = r#"
trap '' HUP INT TERM
"$@" </dev/null >/dev/null 2>&1 &
server=$!
echo "$server" >server
cat >/dev/null
exec 2>/dev/null
kill -9 "$server"
wait "$server"
"#;

/// It ends with this value, or with the process.
pub(crate) struct Redis {
    folder: TempDir,
    port: u16,
    keeper: Option<(Child, ChildStdin)>,
}

impl Redis {
    /// Starts one; without the program it is a failure in CI, and elsewhere said aloud.
    pub(crate) async fn start() -> Option<Self> {
        if !Self::is_installed() {
            let text = "Redis is not installed (redis-server): NO TEST WAS RUN WITH REDIS.";
            assert!(std::env::var_os("CI").is_none(), "{text}");
            say(text);
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut redis = Self { folder: tempfile::tempdir().unwrap(), port, keeper: None };
        redis.start_again().await;
        Some(redis)
    }

    pub(crate) fn is_installed() -> bool {
        program().is_some()
    }

    /// Starts it on the same port, with nothing in it.
    pub(crate) async fn start_again(&mut self) {
        let mut command = Command::new("sh");
        command
            .args(["-c", KEEPER, "keeper"])
            .arg(program().unwrap())
            .args(["--port", &self.port.to_string()]);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let mut keeper = command.current_dir(self.folder.path()).stdin(Stdio::piped()).spawn().unwrap();
        let stdin = keeper.stdin.take().unwrap();
        self.keeper = Some((keeper, stdin));
        let client = self.client();
        let answers = async || client.get_multiplexed_async_connection().await.is_ok();
        eventually("Redis answers", answers).await;
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn client(&self) -> redis::Client {
        redis::Client::open(self.url()).unwrap()
    }

    /// A port where it is reached over TLS.
    pub(crate) async fn over_tls(&self, config: ServerConfig) -> u16 {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("localhost:0").await.unwrap();
        let (port, own_port) = (listener.local_addr().unwrap().port(), self.port);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Who doesn't trust the certificate goes away.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut server = TcpStream::connect(("127.0.0.1", own_port)).await.unwrap();
                    drop(copy_bidirectional(&mut client, &mut server).await);
                });
            }
        });
        port
    }

    /// Ends it, and with it all that it knew.
    pub(crate) fn stop(&mut self) {
        if let Some((mut keeper, stdin)) = self.keeper.take() {
            drop(stdin);
            keeper.wait().unwrap();
        }
    }

    /// Keeps it from running, with its connections open.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = std::fs::read_to_string(self.folder.path().join("server")).unwrap();
        assert!(Command::new("kill").args([signal, process.trim()]).status().unwrap().success());
    }

    /// Forgets all.
    pub(crate) async fn clear(&self) {
        self.command(&["FLUSHALL"]).await;
    }

    /// Changes a setting.
    pub(crate) async fn set(&self, setting: &str, value: &str) {
        self.command(&["CONFIG", "SET", setting, value]).await;
    }

    async fn command(&self, words: &[&str]) {
        let mut connection = self.client().get_multiplexed_async_connection().await.unwrap();
        let (command, arguments) = words.split_first().unwrap();
        redis::cmd(command).arg(arguments).exec_async(&mut connection).await.unwrap();
    }

    /// Every key with how long it lives, in milliseconds.
    pub(crate) async fn keys(&self) -> Vec<(String, i64)> {
        let mut connection = self.client().get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        let mut found = Vec::new();
        for key in keys {
            let time = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
            found.push((key, time));
        }
        found
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([Path::new("/usr/bin").to_owned()]);
    folders.map(|folder| folder.join("redis-server")).find(|program| program.is_file())
}
