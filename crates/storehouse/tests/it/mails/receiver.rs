//! A mail server that does as it is told.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quoted_printable::{ParseMode, decode};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::harness::eventually;

/// What it does with a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Take,
    /// Answers to the recipient's address with this code.
    RefuseRecipient(u16),
    /// Answers with this code once the mail has arrived.
    Refuse(u16),
    /// Closes the connection once the mail has arrived, without an answer.
    HangUp,
    /// Takes it once the test says so.
    Stall,
}

/// A mail that arrived, whatever was done with it.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Its header and its body, as they came.
    pub(crate) head: String,
    body: String,
    pub(crate) act: Act,
    /// The user name and password of the connection that it came by.
    pub(crate) login: Option<String>,
}

impl Mail {
    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> String {
        let unfolded = self.head.replace("\r\n ", " ");
        let line = unfolded
            .split("\r\n")
            .find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
        line.unwrap_or_default()
    }

    /// What it says.
    pub(crate) fn text(&self) -> String {
        let bytes = match self.header("Content-Transfer-Encoding").as_str() {
            "quoted-printable" => decode(&self.body, ParseMode::Strict).unwrap(),
            "base64" => STANDARD.decode(self.body.replace("\r\n", "")).unwrap(),
            _ => self.body.clone().into_bytes(),
        };
        String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
    }
}

/// How a way to it is encrypted.
#[derive(Clone)]
pub(crate) enum Encryption {
    None,
    /// From the start.
    Tls(ServerConfig),
    /// Once it is asked for.
    StartTls(ServerConfig),
}

struct State {
    /// What is done next, one for each mail; then all are taken.
    acts: Mutex<VecDeque<Act>>,
    mails: Mutex<Vec<Mail>>,
    flows: watch::Sender<bool>,
}

/// It listens on a free port until it is dropped with its test.
#[derive(Clone)]
pub(crate) struct Receiver {
    state: Arc<State>,
    port: u16,
    encryption: Encryption,
}

impl Receiver {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        Self::start_with(Encryption::None).await
    }

    pub(crate) async fn start_with(encryption: Encryption) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            acts: Mutex::default(),
            mails: Mutex::default(),
            flows: watch::Sender::new(false),
        });
        tokio::spawn(listen(listener, encryption.clone(), Arc::clone(&state)));
        Self { state, port, encryption }
    }

    pub(crate) fn url(&self) -> String {
        let (scheme, query) = match self.encryption {
            Encryption::None => ("smtp", ""),
            Encryption::Tls(_) => ("smtps", ""),
            Encryption::StartTls(_) => ("smtp", "?tls=required"),
        };
        format!("{scheme}://127.0.0.1:{}{query}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What to do with the next mails.
    pub(crate) fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.state.acts.lock().unwrap().extend(acts);
    }

    /// Lets go what stalls.
    pub(crate) fn flow(&self) {
        self.state.flows.send_replace(true);
    }

    /// All that arrived, taken or not.
    pub(crate) fn arrived(&self) -> Vec<Mail> {
        self.state.mails.lock().unwrap().clone()
    }

    /// Those that were taken.
    pub(crate) fn taken(&self) -> Vec<Mail> {
        self.arrived().into_iter().filter(|mail| matches!(mail.act, Act::Take | Act::Stall)).collect()
    }

    /// Waits until so many have arrived.
    pub(crate) async fn expect(&self, count: usize) -> Vec<Mail> {
        eventually("mails arrive", async || self.arrived().len() >= count).await;
        self.arrived()
    }
}

async fn listen(listener: TcpListener, encryption: Encryption, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (encryption, state) = (encryption.clone(), Arc::clone(&state));
        // One that hangs up, or doesn't trust it, ends in an error.
        tokio::spawn(async move { drop(serve(stream, encryption, state).await) });
    }
}

async fn serve(stream: TcpStream, encryption: Encryption, state: Arc<State>) -> io::Result<()> {
    let (stream, starts): (Box<dyn Stream>, _) = match encryption {
        Encryption::None => (Box::new(stream), None),
        Encryption::Tls(config) => (encrypted(stream, config).await?, None),
        Encryption::StartTls(config) => (Box::new(stream), Some(config)),
    };
    let mut talk = Talk { stream: BufReader::new(stream), state, login: None };
    talk.say("220 ready").await?;
    let Some(config) = starts else { return talk.run().await };
    // Nobody tells it anything before.
    while talk.line().await? != "STARTTLS" {
        talk.say("250-here\r\n250 STARTTLS").await?;
    }
    talk.say("220 go on").await?;
    talk.stream = BufReader::new(encrypted(talk.stream.into_inner(), config).await?);
    talk.run().await
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn encrypted(stream: impl Stream + 'static, config: ServerConfig) -> io::Result<Box<dyn Stream>> {
    Ok(Box::new(TlsAcceptor::from(Arc::new(config)).accept(stream).await?))
}

/// A connection.
struct Talk {
    stream: BufReader<Box<dyn Stream>>,
    state: Arc<State>,
    login: Option<String>,
}

impl Talk {
    async fn run(mut self) -> io::Result<()> {
        let (mut from, mut to, mut act) = (String::new(), Vec::new(), Act::Take);
        loop {
            let line = self.line().await?;
            let (verb, rest) = line.split_at(line.find(' ').unwrap_or(line.len()));
            match verb {
                "EHLO" => self.say("250-here\r\n250-AUTH PLAIN\r\n250 8BITMIME").await?,
                "AUTH" => {
                    let login = STANDARD.decode(rest.trim().trim_start_matches("PLAIN ")).unwrap();
                    self.login = Some(String::from_utf8(login).unwrap().replace('\0', " ").trim().to_owned());
                    self.say("235 welcome").await?;
                }
                "MAIL" => {
                    act = self.state.acts.lock().unwrap().pop_front().unwrap_or(Act::Take);
                    (from, to) = (address(rest), Vec::new());
                    self.say("250 so be it").await?;
                }
                "RCPT" => {
                    to.push(address(rest));
                    match act {
                        Act::RefuseRecipient(code) => self.say(&format!("{code} not here")).await?,
                        _ => self.say("250 so be it").await?,
                    }
                }
                "DATA" => {
                    self.say("354 go on").await?;
                    self.take(&from, &to, act).await?;
                }
                _ => return self.say("221 bye").await,
            }
        }
    }

    async fn take(&mut self, from: &str, to: &[String], act: Act) -> io::Result<()> {
        let mut text = String::new();
        loop {
            let line = self.line().await?;
            match line.as_str() {
                "." => break,
                line => text += &format!("{}\r\n", line.strip_prefix('.').unwrap_or(line)),
            }
        }
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let (head, body, login) = (head.to_owned(), body.to_owned(), self.login.clone());
        let mail = Mail { from: from.to_owned(), to: to.to_vec(), head, body, act, login };
        self.state.mails.lock().unwrap().push(mail);
        match act {
            Act::Refuse(code) => return self.say(&format!("{code} no")).await,
            Act::HangUp => return Err(io::ErrorKind::ConnectionReset.into()),
            Act::Stall => drop(self.state.flows.subscribe().wait_for(|flows| *flows).await),
            Act::Take | Act::RefuseRecipient(_) => {}
        }
        self.say("250 taken").await
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(format!("{text}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches("\r\n").to_owned())
    }
}

/// What stands between `<` and `>`.
fn address(text: &str) -> String {
    text.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}
