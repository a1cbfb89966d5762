//! How every port is served: HTTP/1.1 with limits on what a client may send and on how long it may take.
//!
//! A head is read whole and judged before the HTTP library sees it (`guard`, `head`), so a limit or a framing
//! rule is written once, and its refusal is an ordinary answer: a problem with a request id, in the access log.
//! Files in reading order: this one (listener and connections), `connections` (how many there may be), `head` (which heads are refused), `guard`
//! (the stream that applies it, and the time limits), `timer` (what those are kept with), `unread` (bodies that nobody has read),
//! `workers` (the threads), `access` (the log line of each request).

mod access;
mod connections;
mod guard;
mod head;
mod timer;
mod unread;
mod workers;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::yield_now;
use tracing::{debug, warn};

pub use connections::Connections;

use guard::{Guard, Refused};
pub use timer::Alarm;
use timer::OneTimer;
use unread::Unread;
pub use workers::Workers;

use crate::problem::Problem;
use crate::service::Service;
use crate::stream::Stream;

/// What a client may send, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From a head's first byte, or from the connection's start, to the head's end.
    pub header_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
    /// How long a write of an answer may stand still.
    pub write_timeout: Duration,
    /// How long requests in flight may go on after the signal to stop.
    pub shutdown_timeout: Duration,
    /// Headers of a request.
    pub max_headers: usize,
    /// All header lines of a request together, in bytes.
    pub max_header_bytes: usize,
    /// A request's URL, in bytes.
    pub max_url: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(30),
            max_headers: 100,
            max_header_bytes: 16 * 1024,
            max_url: 8 * 1024,
        }
    }
}

/// Whether a whole head, with the empty line at its end, is let through: for fuzzing.
pub fn check_head(head: &[u8], limits: &Limits) -> Result<(), Problem> {
    head::inspect(head, limits).map(drop)
}

/// The other end of the connection that a request came over; an extension of every request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The client's own address, once the gateway of this process has worked it out.
    pub client: Option<IpAddr>,
    /// Times what is done for it.
    pub alarm: Alarm,
}

impl Peer {
    /// Of a new connection.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, client: None, alarm: Alarm::default() }
    }
}

/// Takes a port; fails where another process has it.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("can't listen on {address}: {error}")))
}

/// Serves until `shutdown` turns true or its sender is gone, then lets requests in flight end.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    limits: Limits,
    connections: Arc<Connections>,
    workers: Arc<Workers>,
    shutdown: watch::Receiver<bool>,
) {
    let (running, mut all_ended) = mpsc::channel::<Infallible>(1);
    let mut stop = pin!(signal(shutdown.clone()));
    // A burst of new connections must not stand as one block before those that are there: each thread takes about one a turn.
    let newcomers = Arc::new(Semaphore::new(workers.count()));
    let accept = || async { (Arc::clone(&newcomers).acquire_owned().await, listener.accept().await) };
    loop {
        let (turn, accepted) = tokio::select! {
            biased;
            () = stop.as_mut() => break,
            accepted = accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // An answer would cost what there is too little of.
                let Some(place) = connections.enter(peer.ip()) else { continue };
                let (service, shutdown, running) = (service.clone(), shutdown.clone(), running.clone());
                workers.spawn(async move {
                    // It is watched by the runtime that serves it.
                    match stream.into_std().and_then(TcpStream::from_std) {
                        Ok(stream) => {
                            // Once round, in which the thread comes to all that was there before, and learns what this one sent.
                            yield_now().await;
                            drop(turn);
                            serve_connection(stream, Peer::new(peer), service, limits, shutdown).await;
                        }
                        Err(error) => warn!(%error, "a connection can't be served"),
                    }
                    drop((running, place));
                });
            }
            Err(error) => after_failed_accept(&error).await,
        }
    }
    drop((listener, running));
    // Nothing is ever sent: it ends when the last connection has dropped its end.
    all_ended.recv().await;
}

/// Ends when the value turns true, or its sender is gone.
async fn signal(mut shutdown: watch::Receiver<bool>) {
    // Either way it is time to stop.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Out of file descriptors or memory, so accepting at once again would only spin.
async fn after_failed_accept(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        return;
    }
    warn!(%error, "can't accept connections; trying again");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn serve_connection(
    stream: TcpStream,
    peer: Peer,
    service: Service,
    limits: Limits,
    shutdown: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "can't switch off Nagle's algorithm");
    }
    let refused = Arc::new(Refused::default());
    let io = TokioIo::new(Guard::new(Stream(stream), limits, Arc::clone(&refused)));
    let peer_address = peer.address;
    let address = peer_address.ip().to_canonical();
    let connection =
        Arc::new(Connection { peer, address, address_text: address.to_string(), service, refused });
    let service = service_fn(move |request| answer(request, Arc::clone(&connection)));
    let connection = http1::Builder::new()
        .timer(OneTimer::default())
        .header_read_timeout(limits.idle_timeout)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Ok(ended),
        () = signal(shutdown) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(limits.shutdown_timeout, connection).await
        }
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(peer = %peer_address, %error, "connection ended early"),
        Err(_) => warn!(peer = %peer_address, "connection dropped: its request outlasted the shutdown"),
    }
}

/// What all requests of one connection share.
struct Connection {
    peer: Peer,
    address: IpAddr,
    address_text: String,
    service: Service,
    refused: Arc<Refused>,
}

async fn answer(
    request: Request<Incoming>,
    connection: Arc<Connection>,
) -> Result<Response<access::LoggedBody>, Infallible> {
    // Where a chunked body ends only the HTTP library knows, so the guard can't find the next head after it.
    let closes = request.headers().contains_key(TRANSFER_ENCODING) || connection.refused.is(&request);
    let entry = access::Entry::begin(&request, Arc::clone(&connection));
    let unread = (!request.body().is_end_stream()).then(|| Unread::new(request.headers()));
    let mut answered = match admit(request, &connection, unread.as_ref()) {
        Ok(request) => connection.service.answer(request).await,
        Err(refusal) => connection.service.refuse(refusal.0, &refusal.1),
    };
    let has_rest = match &unread {
        Some(unread) if !closes => unread.has_rest().await,
        _ => false,
    };
    if closes || has_rest {
        answered.response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(entry.follow(answered))
}

/// The request as the router takes it, its target in origin form (RFC 9112, section 3.2.1).
fn admit(
    request: Request<Incoming>,
    connection: &Connection,
    unread: Option<&Unread>,
) -> Result<Request<Body>, Box<(Problem, http::Method)>> {
    if let Some(problem) = connection.refused.problem(&request) {
        return Err(Box::new((problem, request.method().clone())));
    }
    let (mut parts, body) = request.into_parts();
    let body = unread.map_or_else(Body::empty, |unread| Body::new(unread.lend(body)));
    if let Some(authority) = parts.uri.authority() {
        let host = parts.headers.get(HOST).map(HeaderValue::as_bytes);
        if host.is_some_and(|host| !host.eq_ignore_ascii_case(authority.as_str().as_bytes())) {
            let problem = Problem::malformed(
                "malformed_request",
                "The URL and the `Host` header name different hosts.",
            );
            return Err(Box::new((problem, parts.method)));
        }
        parts.uri =
            parts.uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| Uri::from(path.clone()));
    }
    parts.extensions.insert(connection.peer.clone());
    Ok(Request::from_parts(parts, body))
}
