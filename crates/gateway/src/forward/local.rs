//! A service of this very process, called as a function. Who the client is stands in extensions, not in headers.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Body as _, Frame, SizeHint};
use kit::identity::Verified;
use kit::server::Peer;
use kit::service::Service;

use super::EndOfBody;

/// Calls the service; it enforces its own limits on the body.
pub(super) fn call(
    service: &Service,
    request: Request,
    caller: Option<Verified>,
    client: Option<IpAddr>,
    ended: EndOfBody,
) -> impl Future<Output = Response> + Send {
    let (mut parts, body) = request.into_parts();
    // What stands in an extension no client can have put there.
    if let Some(peer) = parts.extensions.get_mut::<Peer>() {
        peer.client = client;
    }
    if let Some(verified) = caller {
        parts.extensions.insert(verified);
    }
    let body = if body.is_end_stream() { body } else { Body::new(WatchedBody { body, ended }) };
    service.answer_inside(Request::from_parts(parts, body)).map(|answered| answered.response)
}

/// Whether the service says that it takes work. A question of the gateway's own, so the edge is the service's, which logs why not.
pub(super) async fn is_ready(service: &Service) -> bool {
    let request = Request::get("/health/ready").body(Body::empty()).unwrap_or_default();
    service.answer(request).await.response.status().is_success()
}

/// A request's body that tells when its last byte was read.
struct WatchedBody {
    body: Body,
    ended: EndOfBody,
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if self.body.is_end_stream() || matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.ended.tell();
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
