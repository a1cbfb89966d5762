//! An answer's body on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use kit::service::Readiness;
use tokio::time::Instant;
use tokio::time::{Sleep, sleep};
use tracing::warn;

use super::backends::InFlight;
use super::pool::Connection;

/// It counts as a request in flight until it ends, and breaks where the service leaves it lying.
pub(super) struct DownloadBody {
    body: Incoming,
    request: InFlight,
    /// What the body comes over; `None` once it has ended, or if that is driven elsewhere.
    connection: Option<Box<Connection>>,
    /// How long the next part may take; `None` if for ever.
    patience: Option<Duration>,
    /// When that is over; made only where a part isn't there at once.
    ends_at: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl DownloadBody {
    pub(super) fn new(body: Incoming, headers: &HeaderMap, request: InFlight, patience: Duration) -> Self {
        let patience = (!is_event_stream(headers)).then_some(patience);
        Self { body, request, connection: None, patience, ends_at: None, is_waiting: false }
    }

    /// Makes it drive the connection that it comes over, for which another request may follow.
    pub(super) fn drive(&mut self, connection: Box<Connection>) {
        self.connection = Some(connection);
        if self.body.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.request.backend().host.pool.put(connection);
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut body = Pin::new(&mut self.body);
        let Some(connection) = &mut self.connection else { return body.poll_frame(cx) };
        let polled = connection.poll_for(cx, |cx| body.as_mut().poll_frame(cx));
        if self.body.is_end_stream() || matches!(polled, Poll::Ready(None)) {
            self.give_back();
        }
        polled
    }

    /// Waits for the next part, from when it was first missed: a client that reads slowly doesn't count.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(patience) = self.patience else { return Poll::Pending };
        let ends_at = self.ends_at.get_or_insert_with(|| Box::pin(sleep(patience)));
        if !self.is_waiting {
            self.is_waiting = true;
            ends_at.as_mut().reset(Instant::now() + patience);
        }
        ends_at.as_mut().poll(cx)
    }

    fn broken(&self, cause: BoxError) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let backend = self.request.backend();
        backend.counters.broken.increment();
        warn!(backend = backend.address(), %cause, "an answer broke off");
        Poll::Ready(Some(Err(cause)))
    }
}

/// Ends an event stream in order when the process stops: it has no end of its own to wait for.
pub(super) fn until_stopped(response: Response, readiness: &Readiness) -> Response {
    if !is_event_stream(response.headers()) || response.body().is_end_stream() {
        return response;
    }
    let stopping = Box::pin(readiness.stopping());
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(stopping)))
}

/// Events come when they come.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let media =
        headers.get(CONTENT_TYPE).and_then(|value| value.as_bytes().split(|byte| *byte == b';').next());
    media.is_some_and(|media| media.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}

impl http_body::Body for DownloadBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.poll_body(cx) {
            Poll::Pending => {
                ready!(self.poll_patience(cx));
                self.broken("the service left its answer lying within the route's time limit".into())
            }
            Poll::Ready(Some(Err(error))) => self.broken(error.into()),
            Poll::Ready(frame) => {
                self.is_waiting = false;
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_event_stream_is_told_by_its_type() {
        let is_one =
            |text| is_event_stream(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(text))]));
        assert!(is_one("text/event-stream") && is_one("Text/Event-Stream ; charset=utf-8"));
        assert!(
            !is_one("text/event-streams") && !is_one("text/plain") && !is_event_stream(&HeaderMap::new())
        );
    }
}
