//! A receiver of messages that does as it is told.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::LOCATION;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use uuid::Uuid;

use crate::harness::eventually;

/// What a receiver does with a message.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Answer(u16),
    /// Sends whoever asks elsewhere.
    Redirect(String),
    /// Closes the connection without an answer.
    HangUp,
    /// Takes it once the test says so.
    Stall,
}

/// A message that arrived, whatever was done with it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) timestamp: String,
    pub(crate) signature: String,
    pub(crate) text: String,
    /// What was answered; 0 for nothing.
    pub(crate) answered: u16,
}

impl Message {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn object(&self) -> Uuid {
        self.json()["object"]["id"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn number(&self) -> i64 {
        self.json()["data"]["number"].as_i64().unwrap()
    }
}

type Judge = Box<dyn Fn(&Message) -> Act + Send>;

struct State {
    /// What is done next, one for each message; then what the judge says.
    acts: Mutex<VecDeque<Act>>,
    judge: Mutex<Judge>,
    messages: Mutex<Vec<Message>>,
    flows: watch::Sender<bool>,
}

/// It listens on a free port until it is dropped with its test.
#[derive(Clone)]
pub(crate) struct Receiver {
    state: Arc<State>,
    port: u16,
    scheme: &'static str,
}

impl Receiver {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same, over TLS.
    pub(crate) async fn start_secure(config: ServerConfig) -> Self {
        Self::start_with(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start_with(secure: Option<TlsAcceptor>) -> Self {
        let scheme = if secure.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            acts: Mutex::default(),
            judge: Mutex::new(Box::new(|_| Act::Answer(204))),
            messages: Mutex::default(),
            flows: watch::Sender::new(false),
        });
        tokio::spawn(listen(listener, secure, Arc::clone(&state)));
        Self { state, port, scheme }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}/hook", self.scheme, self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What to do with the next messages.
    pub(crate) fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.state.acts.lock().unwrap().extend(acts);
    }

    /// What to do with all others.
    pub(crate) fn judge(&self, judge: impl Fn(&Message) -> Act + Send + 'static) {
        *self.state.judge.lock().unwrap() = Box::new(judge);
    }

    /// Lets go what stalls.
    pub(crate) fn flow(&self) {
        self.state.flows.send_replace(true);
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.state.messages.lock().unwrap().clone()
    }

    /// Waits until so many have arrived.
    pub(crate) async fn expect(&self, count: usize) -> Vec<Message> {
        eventually("messages arrive", async || self.messages().len() >= count).await;
        self.messages()
    }
}

async fn listen(listener: TcpListener, secure: Option<TlsAcceptor>, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (state, secure) = (Arc::clone(&state), secure.clone());
        tokio::spawn(async move {
            match secure {
                None => serve(stream, state).await,
                // Who doesn't trust it ends the connection here.
                Some(secure) => {
                    if let Ok(stream) = secure.accept(stream).await {
                        serve(stream, state).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let service = service_fn(move |request| receive(request, Arc::clone(&state)));
    // One that hangs up ends in an error.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn receive(request: Request<Incoming>, state: Arc<State>) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err(io::ErrorKind::ConnectionReset.into()) };
    let header = |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut message = Message {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        text: String::from_utf8(body.to_bytes().to_vec()).unwrap(),
        answered: 0,
    };
    let next = state.acts.lock().unwrap().pop_front();
    let act = next.unwrap_or_else(|| (state.judge.lock().unwrap())(&message));
    let (status, location) = match &act {
        Act::Answer(status) => (*status, None),
        Act::Redirect(to) => (307, Some(to.clone())),
        Act::HangUp => (0, None),
        Act::Stall => (204, None),
    };
    message.answered = status;
    state.messages.lock().unwrap().push(message);
    if matches!(act, Act::Stall) {
        let _ = state.flows.subscribe().wait_for(|flows| *flows).await;
    }
    if status == 0 {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    let mut answer = Response::new(Full::new(Bytes::from_static(b"a body that nobody reads")));
    if status == 204 {
        answer = Response::new(Full::default());
    }
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(location) = location {
        answer.headers_mut().insert(LOCATION, location.parse().unwrap());
    }
    Ok(answer)
}
