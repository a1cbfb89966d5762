//! A service elsewhere, over HTTP/1.1 with a pool of connections.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kit::problem::Problem;

use super::backends::{Backend, Backends, InFlight, Unsettled};
use super::download::DownloadBody;
use super::upload::{UploadBody, too_large};
use super::{EndOfBody, Limits, RouteTime, bad_gateway, timed_out};

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

/// Why an attempt brought no answer.
enum Failure {
    /// No connection came about, so nothing was sent: any request may go elsewhere.
    Unreached(Problem),
    /// It may have been received. (What a stale connection never took, the client sends again by itself.)
    BrokenOff(Problem),
    /// Another attempt would change nothing.
    Final(Problem),
}

/// Sends the request to one backend after the other until one can be reached, and once more where its
/// connection broke and repeating it does no harm.
pub(super) async fn call(
    client: &HttpClient,
    limits: &Limits,
    backends: &Backends,
    time: &RouteTime,
    request: Request,
    ended: EndOfBody,
) -> Result<Response, Problem> {
    if declared_length(request.headers()).is_some_and(|length| length > limits.max_body as u64) {
        return Err(too_large(limits));
    }
    let (mut parts, body) = cleared(request).into_parts();
    let is_repeatable = parts.method.is_idempotent() && body.is_end_stream();
    let mut upload = UploadBody::new(body, limits, ended);
    let mut may_repeat = is_repeatable;
    let mut last: Option<&Arc<Backend>> = None;
    let mut problem = None;
    // Each failed connection takes a backend out of the choice, unless a check brings it back meanwhile.
    for _ in 0..=backends.len() {
        let Some(backend) = backends.choose(last) else { break };
        let again = (is_repeatable || backends.len() > 1).then(|| parts.clone());
        let returned = (again.is_some() && !is_repeatable).then(|| upload.lend());
        let failure = match attempt(client, backend, parts, upload, time).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        match failure {
            Failure::Unreached(cause) => problem = Some(cause),
            Failure::BrokenOff(cause) if std::mem::take(&mut may_repeat) => problem = Some(cause),
            Failure::BrokenOff(cause) | Failure::Final(cause) => return Err(cause),
        }
        let whole =
            returned.map_or_else(|| is_repeatable.then(UploadBody::empty), |mut home| home.try_recv().ok());
        let (Some(same), Some(whole)) = (again, whole) else { break };
        (parts, upload, last) = (same, whole, Some(backend));
    }
    Err(problem.unwrap_or_else(all_down))
}

/// One request to one backend.
async fn attempt(
    client: &HttpClient,
    backend: &Arc<Backend>,
    mut parts: Parts,
    upload: UploadBody,
    time: &RouteTime,
) -> Result<Response, Failure> {
    let path = parts.uri.path_and_query().cloned();
    parts.uri = uri_at(backend, path.unwrap_or(PathAndQuery::from_static("/")))
        .map_err(|error| Failure::Final(Problem::internal(error)))?;
    let (in_flight, unsettled) = (backend.enter(), Unsettled::new(backend, time));
    let fault = upload.fault();
    let error = match client.request(Request::from_parts(parts, upload)).await {
        Ok(response) => return accept(response, in_flight, unsettled, time),
        Err(error) => error,
    };
    if let Some(fault) = fault.get() {
        return Err(Failure::Final(fault.clone()));
    }
    let cause = full_text(&error);
    if !error.is_connect() {
        unsettled.settle(|counters| &counters.broken);
        return Err(Failure::BrokenOff(bad_gateway(cause)));
    }
    unsettled.settle(|counters| &counters.refused);
    if is_own_fault(&error) {
        return Err(Failure::Unreached(no_room(cause)));
    }
    backend.set_down(&cause);
    let took_too_long = is_timeout(&error);
    Err(Failure::Unreached(if took_too_long { timed_out(cause) } else { bad_gateway(cause) }))
}

/// Takes away what is for the connection to the gateway alone. The client names the backend as the host, as
/// HTTP asks.
fn cleared(mut request: Request) -> Request {
    *request.version_mut() = Version::HTTP_11;
    request.headers_mut().remove(HOST);
    request.extensions_mut().clear();
    request
}

/// This path at a backend.
pub(super) fn uri_at(backend: &Backend, path: PathAndQuery) -> Result<Uri, http::Error> {
    Uri::builder().scheme(Scheme::HTTP).authority(backend.authority.clone()).path_and_query(path).build()
}

fn accept(
    response: http::Response<Incoming>,
    in_flight: InFlight,
    unsettled: Unsettled<'_>,
    time: &RouteTime,
) -> Result<Response, Failure> {
    if let Some(cause) = what_is_improper(&response) {
        unsettled.settle(|counters| &counters.broken);
        return Err(Failure::Final(bad_gateway(cause)));
    }
    unsettled.settle(|counters| &counters.answered);
    let (mut parts, body) = response.into_parts();
    parts.extensions.clear();
    let body = DownloadBody::new(body, &parts.headers, in_flight, time.limit);
    Ok(Response::from_parts(parts, Body::new(body)))
}

fn what_is_improper(response: &http::Response<Incoming>) -> Option<&'static str> {
    let headers = response.headers();
    // It could be read in two ways (RFC 9112, section 6.3).
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Some("the service's answer has both Content-Length and Transfer-Encoding");
    }
    let has_switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    has_switched.then_some("the service switched protocols, which nobody asked for")
}

/// 503: nobody to ask, which is known without asking.
fn all_down() -> Problem {
    Problem::unavailable(1, "The service behind this address is down; it is watched for its return.")
}

/// 503: the gateway itself can open no connection now, which says nothing of the backend.
fn no_room(cause: String) -> Problem {
    Problem::unavailable(1, "The gateway has no connection left for this.").with_cause(cause)
}

/// An error with all that led to it.
pub(super) fn full_text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn is_timeout(error: &Error) -> bool {
    io_causes(error).any(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

/// Whether no connection could be begun here: no file handle is left (in the process or the system), or no port.
pub(super) fn is_own_fault(error: &Error) -> bool {
    // EMFILE and ENFILE, which have no kind of their own: the same on every Unix.
    let has_no_handle = |cause: &io::Error| matches!(cause.raw_os_error(), Some(23 | 24));
    io_causes(error).any(|cause| has_no_handle(cause) || cause.kind() == io::ErrorKind::AddrNotAvailable)
}

fn io_causes(error: &Error) -> impl Iterator<Item = &io::Error> {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.filter_map(|cause| cause.downcast_ref())
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use crate::routes::{Ports, Routes};

    use super::*;

    /// From an address that isn't this machine's no connection can be begun.
    #[tokio::test]
    async fn a_fault_of_the_gateways_own_takes_no_backend_out() {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some([192, 0, 2, 1].into()));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let routes = Routes::built_in(Ports::default());
        let backends = Backends::new(&routes.configs()[0]);
        let time = RouteTime::new(Duration::from_secs(30));
        let request = Request::get("/orders").body(Body::empty()).unwrap();
        let ended = EndOfBody::default();
        let problem = call(&client, &Limits::default(), &backends, &time, request, ended).await.unwrap_err();
        assert_eq!((problem.status(), problem.code()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        assert!(problem.cause().is_some(), "it is logged");
        assert!(backends.any_ready());
    }
}
