//! A request's body on its way to a service elsewhere.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as _, Frame, SizeHint};
use kit::problem::Problem;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::{EndOfBody, Limits};

/// A request's body on its way to a service, within the limits. It fails where they are passed, so that the
/// connection breaks and the service never takes a part for the whole.
pub(crate) struct UploadBody {
    body: Body,
    limits: Limits,
    remaining: usize,
    ends_at: Option<Pin<Box<Sleep>>>,
    fault: Arc<OnceLock<Problem>>,
    ended: EndOfBody,
    /// Where it goes if it is dropped before anybody asked for its first byte.
    home: Option<oneshot::Sender<Self>>,
}

impl UploadBody {
    pub(super) fn new(body: Body, limits: &Limits, ended: EndOfBody) -> Self {
        Self {
            ends_at: (!body.is_end_stream()).then(|| Box::pin(sleep(limits.body_timeout))),
            body,
            limits: *limits,
            remaining: limits.max_body,
            fault: Arc::default(),
            ended,
            home: None,
        }
    }

    pub(super) fn empty() -> Self {
        Self::new(Body::empty(), &Limits::default(), EndOfBody::default())
    }

    /// Where the fault will stand by which it fails.
    pub(super) fn fault(&self) -> Arc<OnceLock<Problem>> {
        Arc::clone(&self.fault)
    }

    /// Where it will come back whole, if a connection that never came about drops it.
    pub(super) fn lend(&mut self) -> oneshot::Receiver<Self> {
        let (home, returned) = oneshot::channel();
        self.home = Some(home);
        returned
    }

    fn fail(&mut self, problem: Problem) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        // Only the first fault counts; the connection is broken after it.
        let _ = self.fault.set(problem);
        self.ended.tell();
        Poll::Ready(Some(Err(BrokenOff)))
    }
}

/// Breaks off an upload; why stands beside it.
#[derive(Debug, thiserror::Error)]
#[error("the client's body broke off or passed a limit")]
pub(crate) struct BrokenOff;

impl Drop for UploadBody {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else { return };
        let whole = Self {
            body: std::mem::take(&mut self.body),
            limits: self.limits,
            remaining: self.remaining,
            ends_at: self.ends_at.take(),
            fault: self.fault(),
            ended: std::mem::take(&mut self.ended),
            home: None,
        };
        // Nobody waits for it once there is an answer.
        let _ = home.send(whole);
    }
}

impl http_body::Body for UploadBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.home = None;
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => {
                if let Some(ends_at) = &mut self.ends_at {
                    ready!(ends_at.as_mut().poll(cx));
                    let problem = too_slow(&self.limits);
                    return self.fail(problem);
                }
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.ended.tell();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => {
                self.fail(Problem::malformed("incomplete_body", "The body ended before it was complete."))
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if data.len() > self.remaining => {
                    let problem = too_large(&self.limits);
                    self.fail(problem)
                }
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

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pub(super) fn too_large(limits: &Limits) -> Problem {
    let detail = format!("The body is larger than {} bytes.", limits.max_body);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

fn too_slow(limits: &Limits) -> Problem {
    let detail = format!("The body took longer than {} s to arrive.", limits.body_timeout.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
}
