//! What of a request's body nobody has read when it is answered. The HTTP library goes on with the connection only if all of it has come; a client that sends
//! head and body apart would have its next request closed in its face. So what is small is awaited for a moment, and else the answer says that the
//! connection ends (RFC 9112, section 9.6).

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// So much is read and thrown away.
const SMALL: u64 = 64 * 1024;
/// So long the rest of a body may be on its way.
const MOMENT: Duration = Duration::from_millis(250);

/// Where a body comes back to when it is dropped before its end.
type Back = Arc<Mutex<Option<Incoming>>>;

/// The body of a request that has one.
pub(super) struct Unread {
    back: Back,
    /// Who waits to be told to go on sends nothing after another answer.
    is_held_back: bool,
}

impl Unread {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        Self { back: Back::default(), is_held_back: headers.contains_key(EXPECT) }
    }

    /// The body as the service takes it.
    pub(super) fn lend(&self, body: Incoming) -> Lent {
        Lent { body: Some(body), back: Arc::clone(&self.back) }
    }

    /// Reads what came back; tells whether the connection must end.
    pub(super) async fn has_rest(&self) -> bool {
        let Some(body) = lock(&self.back).take() else { return false };
        if self.is_held_back || body.size_hint().lower() > SMALL {
            return true;
        }
        !tokio::time::timeout(MOMENT, drain(body)).await.unwrap_or(false)
    }
}

fn lock(back: &Back) -> MutexGuard<'_, Option<Incoming>> {
    back.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether its end came.
async fn drain(mut body: Incoming) -> bool {
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        size += frame.data_ref().map_or(0, |data| data.len() as u64);
        if size > SMALL {
            return false;
        }
    }
    true
}

/// A body that a service reads, or doesn't.
pub(super) struct Lent {
    body: Option<Incoming>,
    back: Back,
}

impl Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *lock(&self.back) = Some(body);
        }
    }
}
