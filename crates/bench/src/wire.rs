//! One keep-alive connection, as lean as it can be: prepared bytes out, one answer in. The load generator shares the
//! cores with what it measures, so every microsecond here is one that the server doesn't get.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A request as text; what a real client sends along is there from the start.
pub(crate) struct Request {
    head: String,
    body: String,
}

impl Request {
    pub(crate) fn new(host: &str, method: &str, path: &str) -> Self {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: storehouse-bench\r\nAccept: application/json\r\n"
        );
        Self { head, body: String::new() }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("localhost", "GET", path)
    }

    pub(crate) fn post(path: &str, body: &Value) -> Self {
        let mut request = Self::new("localhost", "POST", path).header("Content-Type", "application/json");
        request.body = body.to_string();
        let length = request.body.len().to_string();
        request.header("Content-Length", &length)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        for part in [name, ": ", value, "\r\n"] {
            self.head.push_str(part);
        }
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        (self.head + "\r\n" + &self.body).into_bytes()
    }
}

/// A connection, and the last answer that came over it.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    body: Body,
    closes: bool,
}

enum Body {
    Plain(usize, usize),
    Chunked(Vec<u8>),
}

/// An answer's head: its status, where its body begins, and how its end is told.
struct Head {
    status: u16,
    end: usize,
    /// `None` if it comes in chunks.
    length: Option<usize>,
    closes: bool,
}

const READ: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(READ), body: Body::Plain(0, 0), closes: false })
    }

    /// Sends a request and reads its answer; tells the status.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            self.fill().await?;
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
        };
        self.closes = head.closes;
        self.body = match head.length {
            Some(length) => {
                while self.buffer.len() < head.end + length {
                    self.fill().await?;
                }
                Body::Plain(head.end, head.end + length)
            }
            None => loop {
                if let Some(body) = decode_chunks(self.buffer.get(head.end..).unwrap_or_default())? {
                    break Body::Chunked(body);
                }
                self.fill().await?;
            },
        };
        Ok(head.status)
    }

    /// The last answer's body.
    pub(crate) fn body(&self) -> &[u8] {
        match &self.body {
            Body::Plain(start, end) => self.buffer.get(*start..*end).unwrap_or_default(),
            Body::Chunked(body) => body,
        }
    }

    /// Whether the server takes no further request here.
    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.buffer.reserve(READ);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

fn head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|error| invalid(&error.to_string()))?;
    let httparse::Status::Complete(end) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let mut head = Head { status, end, length: Some(0), closes: false };
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(header.value).ok().and_then(|text| text.trim().parse().ok());
            head.length = Some(length.ok_or_else(|| invalid("a Content-Length that is no number"))?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.length = None;
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.closes = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    if matches!(status, 204 | 304) {
        head.length = Some(0);
    }
    Ok(Some(head))
}

/// The whole body, or `None` while its last chunk isn't there.
fn decode_chunks(mut bytes: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let parsed = httparse::parse_chunk_size(bytes).map_err(|error| invalid(&error.to_string()))?;
        let httparse::Status::Complete((start, size)) = parsed else { return Ok(None) };
        let end = start + usize::try_from(size).map_err(io::Error::other)?;
        let (Some(chunk), Some(rest)) = (bytes.get(start..end), bytes.get(end + 2..)) else {
            return Ok(None);
        };
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(chunk);
        bytes = rest;
    }
}

/// One request over a connection of its own, answered with success; for what is set up before a measurement.
pub(crate) async fn call(address: SocketAddr, request: Request) -> Result<Value> {
    let bytes = request.bytes();
    let what =
        String::from_utf8_lossy(bytes.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    let mut wire =
        Wire::connect(address).await.with_context(|| format!("{what}: no connection to {address}"))?;
    let status = wire.exchange(&bytes).await.with_context(|| format!("{what}: no answer"))?;
    if !(200..300).contains(&status) {
        bail!("{what}: {status} {}", String::from_utf8_lossy(wire.body()));
    }
    Ok(serde_json::from_slice(wire.body()).unwrap_or(Value::Null))
}

/// The status of one request, whatever it is; `None` if no answer came.
pub(crate) async fn status(address: SocketAddr, request: Request) -> Option<u16> {
    let mut wire = Wire::connect(address).await.ok()?;
    wire.exchange(&request.bytes()).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_an_unfinished_body_is_waited_for() {
        let whole = b"5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\n";
        assert_eq!(decode_chunks(whole).unwrap().unwrap(), b"hello world");
        for length in 0..whole.len() {
            assert!(decode_chunks(&whole[..length]).unwrap().is_none(), "{length}");
        }
        assert!(decode_chunks(b"zz\r\n").is_err());
    }

    #[test]
    fn a_head_tells_how_long_the_body_is() {
        let read =
            |text: &str| head(text.as_bytes()).unwrap().map(|head| (head.status, head.length, head.closes));
        assert_eq!(read("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n"), Some((200, Some(12), false)));
        assert_eq!(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Some((200, None, false)));
        assert_eq!(read("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"), Some((204, Some(0), true)));
        assert_eq!(read("HTTP/1.1 200 OK\r\ncontent-"), None);
    }

    #[test]
    fn a_request_is_framed() {
        let bytes = Request::post("/orders", &serde_json::json!({"a": 1})).token("t").bytes();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("POST /orders HTTP/1.1\r\nHost: localhost\r\n"));
        assert!(text.contains("Content-Length: 7\r\n") && text.contains("Authorization: Bearer t\r\n"));
        assert!(text.ends_with("\r\n\r\n{\"a\":1}"));
    }
}
