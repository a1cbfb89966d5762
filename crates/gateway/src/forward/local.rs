//! A service of this very process: its router is called as a function.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use kit::identity::Verified;
use kit::problem::Problem;
use kit::server::ClientAddress;
use tower::ServiceExt;

use super::EndOfBody;

/// Calls the service; it enforces its own limits on the body.
pub(super) async fn call(
    router: &Router,
    request: Request,
    caller: Option<Verified>,
    client: Option<IpAddr>,
    ended: EndOfBody,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    parts.extensions.clear();
    // What stands in an extension no client can have put there.
    if let Some(address) = client {
        parts.extensions.insert(ClientAddress(address));
    }
    if let Some(verified) = caller {
        parts.extensions.insert(verified);
    }
    let body = WatchedBody { body, ended };
    let request = Request::from_parts(parts, Body::new(body));
    match router.clone().oneshot(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// Whether the service says that it takes work.
pub(super) async fn is_ready(router: &Router) -> bool {
    let request = Request::get("/health/ready").body(Body::empty()).unwrap_or_default();
    let answer = call(router, request, None, None, EndOfBody::default()).await;
    answer.is_ok_and(|response| response.status().is_success())
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
