//! A service elsewhere, over HTTP/1.1 with a pool of connections.

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, StatusCode, Uri, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kit::problem::Problem;
use tokio::time::{Sleep, sleep};

use super::{EndOfBody, Limits, bad_gateway, timed_out};

pub(crate) type HttpClient = Client<HttpConnector, UploadBody>;

/// Below the 75 s after which a service ends an idle connection, so that a pooled one is seldom stale.
const POOL_IDLE: Duration = Duration::from_secs(60);

/// A client with a pool of its own.
pub(crate) fn client(limits: &Limits) -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(limits.connect_timeout));
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .build(connector)
}

/// Sends the request, and once more where its connection broke and repeating it does no harm. A request that
/// a stale connection never took is sent again by the client itself.
pub(super) async fn call(
    client: &HttpClient,
    limits: &Limits,
    authority: &Authority,
    request: Request,
    ended: EndOfBody,
) -> Result<Response, Problem> {
    let request = address(request, authority)?;
    if declared_length(request.headers()).is_some_and(|length| length > limits.max_body as u64) {
        return Err(too_large(limits));
    }
    let again = repeatable(&request);
    let fault = Arc::new(OnceLock::new());
    let (parts, body) = request.into_parts();
    let body = UploadBody {
        ends_at: (!body.is_end_stream()).then(|| Box::pin(sleep(limits.body_timeout))),
        body,
        limits: *limits,
        remaining: limits.max_body,
        fault: Arc::clone(&fault),
        ended,
    };
    let mut sent = client.request(Request::from_parts(parts, body)).await;
    if let (Err(error), Some(request)) = (&sent, again)
        && !error.is_connect()
    {
        sent = client.request(request).await;
    }
    match sent {
        Ok(response) => accept(response),
        Err(error) => Err(fault.get().cloned().unwrap_or_else(|| failure(&error))),
    }
}

/// Points the request at the service; the path and the query stay.
fn address(mut request: Request, authority: &Authority) -> Result<Request, Problem> {
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(authority.clone());
    *request.uri_mut() = Uri::from_parts(uri).map_err(Problem::internal)?;
    *request.version_mut() = Version::HTTP_11;
    // The client sets it to the service's own, as HTTP asks.
    request.headers_mut().remove(HOST);
    request.extensions_mut().clear();
    Ok(request)
}

/// A second copy of a request without a body whose repetition changes nothing.
fn repeatable(request: &Request) -> Option<Request<UploadBody>> {
    if !request.method().is_idempotent() || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(UploadBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// An answer with two lengths could be read in two ways (RFC 9112, section 6.3).
fn accept(response: http::Response<Incoming>) -> Result<Response, Problem> {
    let headers = response.headers();
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Err(bad_gateway("the service's answer has both Content-Length and Transfer-Encoding"));
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(bad_gateway("the service switched protocols, which nobody asked for"));
    }
    let mut response = response.map(Body::new);
    response.extensions_mut().clear();
    Ok(response)
}

fn failure(error: &Error) -> Problem {
    let mut text = error.to_string();
    let mut took_too_long = false;
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        let broken = inner.downcast_ref::<io::Error>();
        took_too_long |= broken.is_some_and(|broken| broken.kind() == io::ErrorKind::TimedOut);
        cause = inner.source();
    }
    if error.is_connect() && took_too_long { timed_out(text) } else { bad_gateway(text) }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limits: &Limits) -> Problem {
    let detail = format!("The body is larger than {} bytes.", limits.max_body);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

fn too_slow(limits: &Limits) -> Problem {
    let detail = format!("The body took longer than {} s to arrive.", limits.body_timeout.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
}

/// A request's body on its way to a service, within the limits. It fails where they are passed, so that the
/// connection breaks and the service never takes a part for the whole.
pub(crate) struct UploadBody {
    body: Body,
    limits: Limits,
    remaining: usize,
    ends_at: Option<Pin<Box<Sleep>>>,
    fault: Arc<OnceLock<Problem>>,
    ended: EndOfBody,
}

impl UploadBody {
    fn empty() -> Self {
        Self {
            body: Body::empty(),
            limits: Limits::default(),
            remaining: 0,
            ends_at: None,
            fault: Arc::default(),
            ended: EndOfBody::default(),
        }
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

impl http_body::Body for UploadBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
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
