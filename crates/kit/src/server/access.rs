//! The access log: one line for each request, when its answer's last byte is handed over or its client is gone.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tracing::{Level, debug, enabled, info};
use uuid::Uuid;

use super::Connection;
use crate::body::declared_length;
use crate::request_id::X_REQUEST_ID;
use crate::service::{AccessNote, Answered};

/// Asked each second by gateways and containers: a line for each would hide the others.
const HEALTH_PATHS: [&str; 2] = ["/health", "/health/ready"];

/// A request that is under way; logs itself when it ends.
pub(super) struct Entry {
    started: Instant,
    connection: Arc<Connection>,
    method: Method,
    uri: Uri,
    request_headers: Option<HeaderMap>,
    request_bytes: Option<u64>,
    answer: Option<Answer>,
}

/// What is known of the answer.
struct Answer {
    status: StatusCode,
    headers: Option<HeaderMap>,
    request_id: Option<HeaderValue>,
    note: AccessNote,
    bytes: u64,
}

impl Entry {
    /// From now on the request takes time.
    ///
    /// In a box, since it goes along with the answer, which is moved often.
    pub(super) fn begin<B>(request: &Request<B>, connection: Arc<Connection>) -> Box<Self> {
        let is_detailed = enabled!(target: "access", Level::DEBUG);
        Box::new(Self {
            started: Instant::now(),
            connection,
            method: request.method().clone(),
            uri: request.uri().clone(),
            request_headers: is_detailed.then(|| request.headers().clone()),
            request_bytes: declared_length(request.headers()),
            answer: None,
        })
    }

    /// Takes note of the answer's head, and counts its body.
    pub(super) fn follow(mut self: Box<Self>, answered: Answered) -> Response<LoggedBody> {
        let (parts, body) = answered.response.into_parts();
        self.answer = Some(Answer {
            status: parts.status,
            headers: self.request_headers.is_some().then(|| parts.headers.clone()),
            request_id: parts.headers.get(X_REQUEST_ID).cloned(),
            note: answered.note,
            bytes: 0,
        });
        Response::from_parts(parts, LoggedBody { body, entry: self })
    }

    fn log(&self, answer: &Answer) {
        let note = &answer.note;
        let request_id = answer.request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-");
        if answer.status == StatusCode::OK && HEALTH_PATHS.contains(&self.uri.path()) {
            debug!(target: "access", path = self.uri.path(), request.id = request_id, "answered a health check");
            return;
        }
        let mut account_text = Uuid::encode_buffer();
        info!(
            target: "access",
            method = self.method.as_str(),
            path = note.path.as_deref().unwrap_or(self.uri.path()),
            status = answer.status.as_u16(),
            duration_ms = self.duration_ms(),
            request.id = request_id,
            client.address = &*self.client(note.client),
            account.id = note.account.map(|account| &*account.hyphenated().encode_lower(&mut account_text)),
            bytes = answer.bytes,
            "answered"
        );
        if let (Some(request), Some(response)) = (&self.request_headers, &answer.headers) {
            debug!(
                target: "access",
                path = note.path.as_deref().unwrap_or(self.uri.path()),
                request.id = request_id,
                request.headers = ?Redacted(request),
                request.bytes = self.request_bytes,
                answer.headers = ?Redacted(response),
                answer.bytes = answer.bytes,
                "headers"
            );
        }
    }

    /// The client's address as text: nearly always that of the connection, which is written once for all its requests.
    fn client(&self, told: Option<IpAddr>) -> Cow<'_, str> {
        match told {
            Some(client) if client != self.connection.address => client.to_string().into(),
            _ => self.connection.address_text.as_str().into(),
        }
    }

    fn duration_ms(&self) -> f64 {
        self.started.elapsed().as_micros() as f64 / 1000.0
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        match self.answer.take() {
            Some(answer) => self.log(&answer),
            None => info!(
                target: "access",
                method = %self.method,
                path = self.uri.path(),
                duration_ms = self.duration_ms(),
                client.address = self.connection.address_text,
                "gone before the answer"
            ),
        }
    }
}

/// An answer's body, whose end is the request's.
pub(super) struct LoggedBody {
    body: Body,
    entry: Box<Entry>,
}

impl http_body::Body for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let (Poll::Ready(Some(Ok(frame))), Some(answer)) = (&polled, &mut self.entry.answer) {
            answer.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Headers for the log, without what would let its reader act as the client.
struct Redacted<'a>(&'a HeaderMap);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = formatter.debug_map();
        for (name, value) in self.0 {
            if is_secret(name) {
                map.entry(name, &"…")
            } else {
                map.entry(name, value)
            };
        }
        map.finish()
    }
}

fn is_secret(name: &HeaderName) -> bool {
    const WORDS: [&str; 5] = ["token", "secret", "api-key", "password", "signature"];
    [AUTHORIZATION, PROXY_AUTHORIZATION, PROXY_AUTHENTICATE, COOKIE, SET_COOKIE].contains(name)
        || name == "idempotency-key"
        || WORDS.iter().any(|word| name.as_str().contains(word))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn d02_secrets_are_left_out_of_headers() {
        let mut headers = HeaderMap::new();
        for name in
            ["authorization", "cookie", "set-cookie", "idempotency-key", "x-api-key", "x-access-token"]
        {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("hunter2"));
        }
        headers.insert("accept", HeaderValue::from_static("text/html"));
        let shown = format!("{:?}", Redacted(&headers));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("text/html"), "{shown}");
    }
}
