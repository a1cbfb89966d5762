//! Requests that the system makes itself, to addresses that somebody chose: the only way out of a process.
//!
//! Where a name leads is looked up for each connection, every address is judged then and there, and the connection goes to an address that was judged: so
//! neither a redirect, which is never followed, nor a name that leads elsewhere the second time, gets behind the wall (security.md, I05).
//! The connection is made without a proxy, and no cookie is kept. `address` judges, `connect` connects, `trust` says whose certificates are believed.

mod address;
mod connect;
mod trust;

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ipnet::IpNet;
use tokio::time::timeout;

use self::address::Networks;
use self::connect::Connector;
use self::trust::tls_fault;

pub use self::trust::Authorities;

/// How much of an answer is read; it is only read so that the connection can be used again.
const MOST_OF_ANSWER: usize = 64 * 1024;
/// How long the end of an answer is waited for, once its status is known.
const ANSWER_REST: Duration = Duration::from_secs(2);
/// How many connections to one host rest, and how long.
const RESTING: usize = 8;
const RESTING_TIME: Duration = Duration::from_secs(30);

/// Why there was no answer, in our own words: a library's could tell what nobody else should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutgoingError {
    /// The name leads nowhere, or nobody tells.
    UnknownHost,
    /// Where it leads is not to be reached from here.
    AddressRefused,
    /// Nobody takes the connection.
    NoConnection,
    /// Who vouches for the other side isn't trusted.
    UnknownAuthority,
    /// The certificate's time is over, or hasn't come.
    Expired,
    /// The certificate is somebody else's.
    OtherHost,
    /// No safe connection for another reason.
    Tls,
    /// It took too long.
    TimedOut,
    /// The connection broke, or what came was no HTTP.
    Broken,
}

impl OutgoingError {
    /// Said to a person.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownHost => "the host's name leads nowhere",
            Self::AddressRefused => {
                "the host's address is private or reserved, which the settings don't allow"
            }
            Self::NoConnection => "nothing takes connections there",
            Self::UnknownAuthority => "no safe connection: the certificate's authority isn't trusted here",
            Self::Expired => "no safe connection: the certificate has expired, or isn't valid yet",
            Self::OtherHost => "no safe connection: the certificate is another host's",
            Self::Tls => "no safe connection: TLS failed",
            Self::TimedOut => "no answer in time",
            Self::Broken => "the connection broke before the answer",
        }
    }
}

impl fmt::Display for OutgoingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Error for OutgoingError {}

/// Sends requests to addresses that are public, or that the settings allow. Clones share its connections.
#[derive(Clone)]
pub struct Outgoing {
    networks: Networks,
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
}

impl Outgoing {
    /// With the networks that may be reached although they are not public, and who vouches for others. An error if TLS can't be had.
    pub fn new(allowed: Vec<IpNet>, authorities: Authorities) -> io::Result<Self> {
        let networks = Networks::new(allowed);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(authorities.client()?)
            .https_or_http()
            .enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(RESTING_TIME)
            .pool_max_idle_per_host(RESTING)
            .build(connector.wrap_connector(Connector::new(networks.clone())));
        Ok(Self { networks, client })
    }

    /// Whether an address may be reached.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.networks.allow(address)
    }

    /// Sends a request and answers with the status of what came back within a time.
    pub async fn send(&self, request: Request<Bytes>, within: Duration) -> Result<StatusCode, OutgoingError> {
        let sent = timeout(within, self.client.request(request.map(Full::new)));
        let answer = sent.await.map_err(|_| OutgoingError::TimedOut)?.map_err(|error| cause(&error))?;
        let (head, body) = answer.into_parts();
        // What it says is nobody's business: whether it comes to an end doesn't matter either.
        let _ = timeout(ANSWER_REST, skip(body)).await;
        Ok(head.status)
    }
}

/// Reads a body to its end, if that isn't far.
async fn skip(mut body: Incoming) {
    let mut room = MOST_OF_ANSWER;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match room.checked_sub(length) {
            Some(rest) => room = rest,
            None => return,
        }
    }
}

/// Our own error or that of TLS among those that the client wraps it in.
fn cause(error: &legacy::Error) -> OutgoingError {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(cause) = error.downcast_ref::<OutgoingError>().copied().or_else(|| tls_fault(error)) {
            return cause;
        }
        next = inside(error);
    }
    if error.is_connect() { OutgoingError::Tls } else { OutgoingError::Broken }
}

/// What an error wraps; of an I/O error the source would be that of what it wraps.
fn inside<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The host of an address, an IPv6 one without its brackets.
pub fn host_of(uri: &Uri) -> Option<&str> {
    let host = uri.host()?;
    Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What comes of asking somebody who says this to everybody, and then nothing more.
    async fn ask(scheme: &str, said: Vec<u8>) -> Result<StatusCode, OutgoingError> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(&said).await;
            std::future::pending::<()>().await;
        });
        let outgoing = Outgoing::new(vec!["127.0.0.0/8".parse().unwrap()], Authorities::default()).unwrap();
        let request = Request::post(format!("{scheme}://127.0.0.1:{port}/")).body(Bytes::from("{}")).unwrap();
        let answer = outgoing.send(request, Duration::from_millis(500)).await;
        server.abort();
        answer
    }

    #[tokio::test]
    async fn whatever_comes_back_the_answer_is_a_status_or_a_word_of_ours() {
        assert_eq!(ask("http", Vec::new()).await, Err(OutgoingError::TimedOut));
        assert_eq!(ask("http", b"SSH-2.0-x\r\n\r\n".to_vec()).await, Err(OutgoingError::Broken));
        assert_eq!(ask("https", b"HTTP/1.1 400 No\r\n\r\n".to_vec()).await, Err(OutgoingError::Tls));
        let found = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(ask("http", found.to_vec()).await, Ok(StatusCode::FOUND));
        let mut long = b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n".to_vec();
        long.resize(300_000, b'x');
        assert_eq!(ask("http", long).await, Ok(StatusCode::OK), "the rest is not waited for");
    }
}
