//! Connecting to a host, if it may be reached.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tower::Service;

use super::address::Networks;
use super::{OutgoingError, host_of};

/// How long it may take to find a host and to reach one of its addresses, of which each has its share.
const CONNECT_TIME: Duration = Duration::from_secs(8);
const ADDRESS_TIME: Duration = Duration::from_secs(3);

/// Makes connections to hosts that may be reached.
#[derive(Clone)]
pub(super) struct Connector {
    networks: Networks,
}

impl Connector {
    pub(super) fn new(networks: Networks) -> Self {
        Self { networks }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = OutgoingError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, OutgoingError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OutgoingError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let networks = self.networks.clone();
        Box::pin(async move {
            let connected = timeout(CONNECT_TIME, connect(&networks, &uri)).await;
            connected.unwrap_or(Err(OutgoingError::TimedOut)).map(TokioIo::new)
        })
    }
}

async fn connect(networks: &Networks, uri: &Uri) -> Result<TcpStream, OutgoingError> {
    let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let host = host_of(uri).ok_or(OutgoingError::UnknownHost)?;
    let addresses = resolve(host, uri.port_u16().unwrap_or(default_port)).await;
    let addresses = addresses.map_err(|_| OutgoingError::UnknownHost)?;
    let allowed: Vec<SocketAddr> =
        addresses.iter().copied().filter(|address| networks.allow(address.ip())).collect();
    if allowed.is_empty() {
        let is_unknown = addresses.is_empty();
        return Err(if is_unknown { OutgoingError::UnknownHost } else { OutgoingError::AddressRefused });
    }
    let mut failure = OutgoingError::NoConnection;
    for address in allowed {
        match timeout(ADDRESS_TIME, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request is written at once; nothing is gained by holding its end back.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(_)) => failure = OutgoingError::NoConnection,
            Err(_) => failure = OutgoingError::TimedOut,
        }
    }
    Err(failure)
}

/// The addresses of a host. The system's resolver knows spellings that are no IP addresses to us (`127.1`, `0x7f000001`): what comes of them is judged alike.
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host.parse::<IpAddr>() {
        Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
        Err(_) => Ok(lookup_host((host, port)).await?.collect()),
    }
}
