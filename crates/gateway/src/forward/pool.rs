//! The connections to one backend: each sends one request after the other, and rests between them.
//!
//! A connection has no task of its own: whoever waits for its answer, or reads it, drives it. So a request stays in the
//! task of its client's connection, and a short answer goes on to the client in one piece. Only where an answer comes before
//! the request's last byte does it go on by itself, and it isn't used again.

use std::collections::HashMap;
use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use kit::body::BODY_DEADLINE;
use kit::stream::Stream;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::runtime::{self, Handle};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, timeout};

use super::upload::UploadBody;

/// Below the 75 s after which a service ends an idle connection, so that a resting one is seldom stale.
const MAX_REST: Duration = Duration::from_secs(60);

/// So many connections rest on each runtime; one more is closed.
const MAX_RESTING: usize = 256;

const HTTP_PORT: u16 = 80;

/// Why a request brought no answer.
pub(super) enum Unanswered {
    /// No connection came about: here is the request again.
    Unreached(Box<Request<UploadBody>>, io::Error),
    /// It may have been received.
    Broken(hyper::Error),
}

impl Unanswered {
    /// The error with all that led to it.
    pub(super) fn text(&self) -> String {
        let error = match self {
            Self::Unreached(_, error) => return format!("can't connect: {error}"),
            Self::Broken(error) => error,
        };
        let causes = std::iter::successors(error.source(), |&cause| cause.source());
        causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
    }
}

type Driver = http1::Connection<TokioIo<Stream>, UploadBody>;

/// A connection and what drives it.
pub(super) struct Connection {
    sender: SendRequest<UploadBody>,
    /// `None` once it has ended.
    driver: Option<Driver>,
}

impl Connection {
    async fn open(authority: &Authority, limit: Duration) -> io::Result<Box<Self>> {
        let opened = timeout(limit, connect(authority, limit)).await;
        let stream = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        stream.set_nodelay(true)?;
        watch(&stream)?;
        let (sender, driver) =
            http1::handshake(TokioIo::new(Stream(stream))).await.map_err(io::Error::other)?;
        Ok(Box::new(Self { sender, driver: Some(driver) }))
    }

    /// The answer; its body comes while somebody polls for it.
    async fn send(
        &mut self,
        request: Request<UploadBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<UploadBody>>> {
        // It may not wait for its turn: nobody would be woken for that.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        poll_fn(|cx| self.poll_for(cx, |cx| answer.as_mut().poll(cx))).await
    }

    /// Polls for what it brings, and drives it as far as that needs. Nothing else brings it, so that has nobody to wake;
    /// and what came already is taken without a word to the task, which would be run once more for it.
    pub(super) fn poll_for<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut nobody = Context::from_waker(Waker::noop());
        let mut polled = poll(&mut nobody);
        for waker in [Waker::noop(), cx.waker()] {
            if polled.is_pending() {
                self.drive(waker);
                polled = poll(&mut nobody);
            }
        }
        polled
    }

    fn drive(&mut self, waker: &Waker) {
        let mut cx = Context::from_waker(waker);
        if self.driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(&mut cx).is_ready()) {
            // Dropped, it gives back a request that it never began.
            self.driver = None;
        }
    }

    /// Lets it go on by itself, to its end, for as long as a request's body may take.
    pub(super) fn detach(self) {
        if let Some(driver) = self.driver {
            // Its error reaches whoever reads the answer.
            tokio::spawn(async { drop(timeout(BODY_DEADLINE, driver).await) });
        }
    }

    /// Whether it can take another request.
    fn is_ready(&mut self) -> bool {
        if !self.sender.is_ready() {
            self.drive(Waker::noop());
        }
        self.sender.is_ready()
    }
}

/// Connects to one of the host's addresses, of which each gets its share of the time.
async fn connect(authority: &Authority, limit: Duration) -> io::Result<TcpStream> {
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(HTTP_PORT);
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut failed = None;
    for address in addresses {
        let error = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        failed = Some(more_telling(failed, address, error));
    }
    Err(failed.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address")))
}

/// Of two failures the one that tells more of the backend: that this machine has no IPv6 tells nothing.
fn more_telling(before: Option<io::Error>, address: SocketAddr, error: io::Error) -> io::Error {
    match before {
        Some(before) if address.is_ipv6() && error.kind() == io::ErrorKind::AddrNotAvailable => before,
        _ => error,
    }
}

/// So that a backend that vanished without a word ends what waits for it, an event stream for one, which may be silent for long.
fn watch(stream: &TcpStream) -> io::Result<()> {
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(10));
    SockRef::from(stream).set_tcp_keepalive(&keepalive.with_interval(Duration::from_secs(5)))
}

/// Whether no connection could be begun here: no file handle is left (in the process or the system), or no port.
pub(super) fn is_own_fault(error: &io::Error) -> bool {
    // EMFILE and ENFILE, which have no kind of their own: the same on every Unix.
    matches!(error.raw_os_error(), Some(23 | 24)) || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// The connections to one backend that carry no request just now, of each runtime its own: a request is answered on the
/// thread that it came to.
pub(super) struct Pool {
    authority: Authority,
    host: HeaderValue,
    resting: Mutex<HashMap<runtime::Id, Vec<Resting>>>,
}

struct Resting {
    connection: Box<Connection>,
    since: Instant,
}

impl Resting {
    fn is_too_old(&self) -> bool {
        self.since.elapsed() >= MAX_REST
    }
}

impl Pool {
    pub(super) fn new(authority: Authority) -> Self {
        let host = match authority.port_u16() {
            None | Some(HTTP_PORT) => HeaderValue::try_from(authority.host()),
            Some(port) => HeaderValue::try_from(format!("{}:{port}", authority.host())),
        };
        // An authority has no character that a header can't have.
        let host = host.unwrap_or(HeaderValue::from_static(""));
        Self { authority, host, resting: Mutex::default() }
    }

    /// Sends the request over a resting connection, else over a new one.
    pub(super) async fn send(
        &self,
        mut request: Request<UploadBody>,
        connect_timeout: Duration,
    ) -> Result<(Response<Incoming>, Box<Connection>), Unanswered> {
        request.headers_mut().insert(HOST, self.host.clone());
        while let Some(mut connection) = self.take() {
            match connection.send(request).await {
                Ok(response) => return Ok((response, connection)),
                // The backend had closed it before a byte of the request was out.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Unanswered::Broken(error.into_error())),
                },
            }
        }
        let mut connection = match Connection::open(&self.authority, connect_timeout).await {
            Ok(connection) => connection,
            Err(error) => return Err(Unanswered::Unreached(Box::new(request), error)),
        };
        match connection.send(request).await {
            Ok(response) => Ok((response, connection)),
            Err(mut error) => Err(match error.take_message() {
                // Closed before a byte was out, so it is as if it had never been.
                Some(unsent) => {
                    Unanswered::Unreached(Box::new(unsent), io::ErrorKind::ConnectionReset.into())
                }
                None => Unanswered::Broken(error.into_error()),
            }),
        }
    }

    /// The one that has rested least, so that those too many grow old.
    fn take(&self) -> Option<Box<Connection>> {
        let taken = self.resting().get_mut(&Handle::current().id())?.pop()?;
        (!taken.is_too_old()).then_some(taken.connection)
    }

    /// Keeps it for another request, if it can take one.
    pub(super) fn put(&self, mut connection: Box<Connection>) {
        if !connection.is_ready() {
            // The answer came before the last bytes of the request were out.
            return connection.detach();
        }
        let mut all = self.resting();
        let resting = all.entry(Handle::current().id()).or_default();
        if resting.len() < MAX_RESTING {
            resting.push(Resting { connection, since: Instant::now() });
        }
    }

    /// Closes those that have rested too long, or that the backend has closed.
    pub(super) fn sweep(&self) {
        for resting in self.resting().values_mut() {
            resting.retain_mut(|one| {
                one.connection.drive(Waker::noop());
                one.connection.is_ready() && !one.is_too_old()
            });
        }
    }

    fn resting(&self) -> MutexGuard<'_, HashMap<runtime::Id, Vec<Resting>>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A pool, and its backend, which answers all requests the same.
    async fn pool() -> Pool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(1..) = stream.read(&mut [0; 1000]).await {
                        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
                    }
                });
            }
        });
        Pool::new(address.to_string().parse().unwrap())
    }

    async fn ask(pool: &Pool) -> Box<Connection> {
        let request = Request::new(UploadBody::empty());
        let Ok((answer, connection)) = pool.send(request, Duration::from_secs(30)).await else { panic!() };
        assert_eq!(answer.status(), 204);
        connection
    }

    fn count(pool: &Pool) -> usize {
        pool.resting().values().map(Vec::len).sum()
    }

    fn grow_old(pool: &Pool) {
        for resting in pool.resting().values_mut().flatten() {
            resting.since -= MAX_REST;
        }
    }

    #[tokio::test]
    async fn none_rests_too_long() {
        let pool = pool().await;
        pool.put(ask(&pool).await);
        grow_old(&pool);
        let (another, third) = (ask(&pool).await, ask(&pool).await);
        assert_eq!(count(&pool), 0, "the old one was not taken");
        pool.put(another);
        grow_old(&pool);
        pool.put(third);
        pool.sweep();
        assert_eq!(count(&pool), 1);
    }

    #[tokio::test]
    async fn what_the_backend_closed_is_swept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::new(listener.local_addr().unwrap().to_string().parse().unwrap());
        let backend = async {
            let mut stream = listener.accept().await.unwrap().0;
            assert!(stream.read(&mut [0; 1000]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            stream
        };
        let (connection, stream) = tokio::join!(ask(&pool), backend);
        pool.put(connection);
        pool.sweep();
        assert_eq!(count(&pool), 1);
        drop(stream);
        let swept = async {
            while count(&pool) > 0 {
                tokio::task::yield_now().await;
                pool.sweep();
            }
        };
        timeout(Duration::from_secs(30), swept).await.unwrap();
    }

    #[tokio::test]
    async fn only_so_many_rest() {
        let pool = pool().await;
        let mut all = Vec::new();
        for _ in 0..MAX_RESTING + 2 {
            all.push(ask(&pool).await);
        }
        all.into_iter().for_each(|connection| pool.put(connection));
        assert_eq!(count(&pool), MAX_RESTING);
    }

    /// What another runtime drives might never wake this one.
    #[tokio::test]
    async fn each_runtime_has_its_own() {
        let pool = std::sync::Arc::new(pool().await);
        pool.put(ask(&pool).await);
        let same = std::sync::Arc::clone(&pool);
        let elsewhere = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move { same.take().is_some() })
        });
        assert!(!elsewhere.join().unwrap() && pool.take().is_some());
    }

    #[tokio::test]
    async fn a_backend_that_vanishes_is_noticed() {
        let connection = ask(&pool().await).await;
        let stream = connection.driver.unwrap().into_parts().io.into_inner();
        let socket = SockRef::from(&stream.0);
        let times = (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(times, (Duration::from_secs(10), Duration::from_secs(5)));
    }

    #[test]
    fn what_a_backend_said_outweighs_what_is_missing_here() {
        let [refused, missing] = [io::ErrorKind::ConnectionRefused, io::ErrorKind::AddrNotAvailable];
        for (before, address, error, told) in [
            (Some(refused), "[::1]:80", missing, refused),
            (Some(missing), "127.0.0.1:80", refused, refused),
            // Here no port is left.
            (Some(refused), "127.0.0.1:80", missing, missing),
            (None, "[::1]:80", missing, missing),
        ] {
            let before = before.map(io::Error::from);
            assert_eq!(more_telling(before, address.parse().unwrap(), error.into()).kind(), told);
        }
    }

    #[test]
    fn the_host_is_named_with_a_port_that_is_not_its_default() {
        for (authority, host) in [("a", "a"), ("a:80", "a"), ("a:8080", "a:8080"), ("[::1]:81", "[::1]:81")] {
            assert_eq!(Pool::new(authority.parse().unwrap()).host, host);
        }
    }
}
