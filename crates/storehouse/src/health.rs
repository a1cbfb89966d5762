//! `storehouse health`: one plain request, for people and for container health checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::part::Part;
use crate::runtime::block_on;
use crate::settings::Settings;

const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_ANSWER: usize = 64 * 1024;

/// Where a part of these settings answers on this machine.
pub(crate) fn url_of(part: Part, settings: &Settings) -> String {
    let address = settings.listen.address(part);
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}/health/ready", SocketAddr::new(ip, address.port()))
}

/// The answer's text if it is a 200; any other one is an error.
pub(crate) fn ask(url: &str) -> Result<String> {
    let uri = target(url)?;
    let answer = block_on(async { Ok(tokio::time::timeout(PATIENCE, get(&uri)).await) });
    let (status, body) = answer?
        .with_context(|| format!("no answer from {uri} within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("no answer from {uri}: is it running?"))?;
    ensure!(status == StatusCode::OK, "not ready: {uri} answered {status} {body}");
    Ok(format!("ready: {uri} answered {body}\n"))
}

fn target(url: &str) -> Result<Uri> {
    let refusal =
        || format!("{url:?} is neither a part nor an http:// address such as http://localhost:8000");
    let uri: Uri = url.parse().with_context(refusal)?;
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    ensure!(uri.scheme_str() == Some("http") && has_host, refusal());
    if uri.path() == "/" {
        Ok(format!("{}/health/ready", url.trim_end_matches('/')).parse()?)
    } else {
        Ok(uri)
    }
}

async fn get(uri: &Uri) -> Result<(StatusCode, String)> {
    let host = uri.host().unwrap_or_default();
    let address = (host.trim_start_matches('[').trim_end_matches(']'), uri.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, uri.authority().map_or(host, |authority| authority.as_str()))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let Ok(body) = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await else {
        bail!("the answer broke off or is too long");
    };
    connection.abort();
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request, and hands back its first line.
    fn answer_once(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).lines().next().unwrap().to_owned()
        });
        (url, server)
    }

    #[test]
    fn a_ready_gateway_is_ready() {
        let (url, server) = answer_once("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}");
        assert!(ask(&url).unwrap().contains("{\"status\":\"ok\"}"));
        assert_eq!(server.join().unwrap(), "GET /health/ready HTTP/1.1");
    }

    #[test]
    fn any_other_answer_is_a_failure() {
        let (url, server) = answer_once("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        let error = ask(&format!("{url}/health?x=1")).unwrap_err().to_string();
        assert!(error.contains("503"), "{error}");
        assert_eq!(server.join().unwrap(), "GET /health?x=1 HTTP/1.1");
    }

    #[test]
    fn addresses_are_understood_or_refused() {
        assert_eq!(target("http://[::1]:80/").unwrap().to_string(), "http://[::1]:80/health/ready");
        for bad in ["https://x", "localhost:8000", "", "http://", "ftp://x"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
