//! A request's body on its way to a service elsewhere.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as _, Frame, SizeHint};
use kit::problem::Problem;
use tokio::time::{Sleep, sleep};

use super::{EndOfBody, Limits};

/// A request's body on its way to a service, within the limits. It fails where they are passed, so that the
/// connection breaks and the service never takes a part for the whole.
pub(crate) struct UploadBody(Option<Box<Upload>>);

/// A body that may have a byte.
struct Upload {
    body: Body,
    limits: Limits,
    /// The largest body, in bytes.
    most: usize,
    remaining: usize,
    /// When the client's time is over; made only where a part isn't there at once.
    ends_at: Option<Pin<Box<Sleep>>>,
    fault: Arc<OnceLock<Problem>>,
    ended: EndOfBody,
}

/// How an upload goes on.
pub(super) struct Progress(Option<Arc<OnceLock<Problem>>>);

impl Progress {
    /// Why it failed.
    pub(super) fn fault(&self) -> Option<&Problem> {
        self.0.as_ref()?.get()
    }

    /// Whether a part of it has yet to be sent: its body has the other end.
    pub(super) fn is_under_way(&self) -> bool {
        self.0.as_ref().is_some_and(|fault| Arc::strong_count(fault) > 1)
    }
}

impl UploadBody {
    pub(super) fn new(body: Body, limits: &Limits, most: usize, ended: EndOfBody) -> Self {
        let upload = |body| Upload {
            body,
            limits: *limits,
            most,
            remaining: most,
            ends_at: None,
            fault: Arc::default(),
            ended,
        };
        Self((!body.is_end_stream()).then(|| Box::new(upload(body))))
    }

    pub(super) fn empty() -> Self {
        Self(None)
    }

    pub(super) fn progress(&self) -> Progress {
        Progress(self.0.as_ref().map(|upload| Arc::clone(&upload.fault)))
    }
}

/// Breaks off an upload; why stands beside it.
#[derive(Debug, thiserror::Error)]
#[error("the client's body broke off or passed a limit")]
pub(crate) struct BrokenOff;

impl Upload {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => {
                let limit = self.limits.body_timeout;
                ready!(self.ends_at.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
                self.fail(too_slow(&self.limits))
            }
            Poll::Ready(None) => {
                self.ended.tell();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => {
                self.fail(Problem::malformed("incomplete_body", "The body ended before it was complete."))
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if data.len() > self.remaining => self.fail(Problem::body_too_large(self.most)),
                Ok(data) => {
                    self.remaining -= data.len();
                    if self.body.is_end_stream() {
                        self.ended.tell();
                    }
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                // Trailers are for one connection, and nothing of ours reads them.
                Err(_) => {
                    self.ended.tell();
                    Poll::Ready(None)
                }
            },
        }
    }

    fn fail(&mut self, problem: Problem) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        // Only the first fault counts; the connection is broken after it.
        let _ = self.fault.set(problem);
        self.ended.tell();
        Poll::Ready(Some(Err(BrokenOff)))
    }
}

impl http_body::Body for UploadBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |upload| upload.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|upload| upload.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |upload| upload.body.size_hint())
    }
}

fn too_slow(limits: &Limits) -> Problem {
    let detail = format!("The body took longer than {} s to arrive.", limits.body_timeout.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
}
