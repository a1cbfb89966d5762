//! A service elsewhere, over HTTP/1.1.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use kit::problem::Problem;

use super::backends::{Backend, Backends, Unsettled};
use super::download::DownloadBody;
use super::pool::{Unanswered, is_own_fault};
use super::upload::{Progress, UploadBody};
use super::{EndOfBody, Limits, RouteTime, bad_gateway, timed_out};

type Upload = http::Request<UploadBody>;

/// Why an attempt brought no answer.
enum Failure {
    /// No connection came about, so nothing was sent: any request may go elsewhere.
    Unreached(Box<Upload>, Problem),
    /// It may have been received. (What a stale connection never took was sent again already.)
    BrokenOff(Problem),
    /// Another attempt would change nothing.
    Final(Problem),
}

/// Sends the request to one backend after the other until one can be reached, and once more where its
/// connection broke and repeating it does no harm.
pub(super) async fn call(
    limits: &Limits,
    backends: &Backends,
    time: &RouteTime,
    max_body: usize,
    request: Request,
    ended: EndOfBody,
) -> Result<Response, Problem> {
    // What its head declares.
    if request.body().size_hint().lower() > max_body as u64 {
        return Err(Problem::body_too_large(max_body));
    }
    let mut request = cleared(request).map(|body| UploadBody::new(body, limits, max_body, ended));
    let progress = request.body().progress();
    // A second DELETE would tell of the first one's success as 404.
    let is_repeatable = request.method().is_safe() && request.body().is_end_stream();
    let mut again = is_repeatable.then(|| without_body(&request));
    let mut last: Option<&Arc<Backend>> = None;
    let mut problem = None;
    // Each failed connection takes a backend out of the choice, unless a check brings it back meanwhile.
    for _ in 0..=backends.len() {
        let Some(backend) = backends.choose(last) else { break };
        let (next, cause) = match attempt(limits, backend, request, &progress, time).await {
            Ok(response) => return Ok(response),
            Err(Failure::Unreached(unsent, cause)) => (Some(*unsent), cause),
            Err(Failure::BrokenOff(cause)) => (again.take().filter(|_| backends.may_repeat()), cause),
            Err(Failure::Final(cause)) => (None, cause),
        };
        let Some(next) = next else { return Err(cause) };
        (request, last, problem) = (next, Some(backend), Some(cause));
    }
    Err(problem.unwrap_or_else(all_down))
}

/// Takes away what is for the connection to the gateway alone.
fn cleared(mut request: Request) -> Request {
    *request.version_mut() = Version::HTTP_11;
    request.extensions_mut().clear();
    if request.uri().authority().is_some() {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    }
    request
}

fn without_body(request: &Upload) -> Upload {
    let mut same = http::Request::new(UploadBody::empty());
    *same.method_mut() = request.method().clone();
    *same.uri_mut() = request.uri().clone();
    *same.headers_mut() = request.headers().clone();
    same
}

/// One request to one backend.
async fn attempt(
    limits: &Limits,
    backend: &Arc<Backend>,
    request: Upload,
    progress: &Progress,
    time: &RouteTime,
) -> Result<Response, Failure> {
    let (in_flight, unsettled) = (backend.enter(), Unsettled::new(backend, time));
    let (response, connection) = match backend.host.pool.send(request, limits.connect_timeout).await {
        Ok(answered) => answered,
        Err(unanswered) => return Err(failure(backend, unanswered, progress, unsettled)),
    };
    if let Some(cause) = what_is_improper(&response) {
        unsettled.settle(|counters| &counters.broken);
        return Err(Failure::Final(bad_gateway(cause)));
    }
    unsettled.settle(|counters| &counters.answered);
    backend.host.hear();
    let (mut parts, body) = response.into_parts();
    parts.extensions.clear();
    // Its own version, and not the service's (RFC 9110, section 2.5).
    parts.version = Version::HTTP_11;
    let mut body = DownloadBody::new(body, &parts.headers, in_flight, time.limit);
    if progress.is_under_way() {
        // A client that reads late must not hold up what it sends.
        connection.detach();
    } else {
        body.drive(connection);
    }
    Ok(Response::from_parts(parts, Body::new(body)))
}

/// Counts what went wrong, and takes a backend out that can't be reached.
fn failure(
    backend: &Backend,
    unanswered: Unanswered,
    progress: &Progress,
    unsettled: Unsettled<'_>,
) -> Failure {
    if let Some(fault) = progress.fault() {
        return Failure::Final(fault.clone());
    }
    let cause = unanswered.text();
    match unanswered {
        Unanswered::Broken(_) => {
            unsettled.settle(|counters| &counters.broken);
            Failure::BrokenOff(bad_gateway(cause))
        }
        Unanswered::Unreached(request, error) => {
            unsettled.settle(|counters| &counters.refused);
            Failure::Unreached(request, unreached(backend, &error, cause))
        }
    }
}

fn unreached(backend: &Backend, error: &io::Error, cause: String) -> Problem {
    if is_own_fault(error) {
        return no_room(cause);
    }
    backend.host.set_down(&cause);
    if error.kind() == io::ErrorKind::TimedOut { timed_out(cause) } else { bad_gateway(cause) }
}

fn what_is_improper(response: &http::Response<Incoming>) -> Option<&'static str> {
    let headers = response.headers();
    // It could be read in two ways (RFC 9112, section 6.3).
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Some("the service's answer has both Content-Length and Transfer-Encoding");
    }
    // The gateway could only pass on what it can't read.
    if headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Some("the service's answer has a Transfer-Encoding other than chunked");
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

#[cfg(test)]
mod tests {
    use super::super::host::Hosts;
    use super::*;
    use crate::routes::Terms;

    /// No file handle is left in the process, or the system; or no port.
    #[test]
    fn a_fault_of_the_gateways_own_takes_no_backend_out() {
        let check = Terms::default().health_check;
        let backend = Backend::new(Hosts::default().of(&"a:1".parse().unwrap(), &check));
        for fault in [24, 23].map(io::Error::from_raw_os_error).into_iter().chain([no_address()]) {
            let problem = unreached(&backend, &fault, fault.to_string());
            assert_eq!((problem.status(), problem.code()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
            assert!(problem.cause().is_some(), "it is logged");
            assert!(backend.is_ready());
        }
        unreached(&backend, &io::ErrorKind::ConnectionRefused.into(), "refused".to_owned());
        assert!(!backend.is_ready());
    }

    /// From an address that isn't this machine's no connection can be begun.
    fn no_address() -> io::Error {
        std::net::TcpListener::bind("192.0.2.1:0").unwrap_err()
    }
}
