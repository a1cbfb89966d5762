//! Hands a request on to its service: as a call within this process, or over HTTP.

mod backends;
mod check;
mod download;
mod host;
mod http;
mod local;
mod pool;
mod ready;
mod upload;

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::http::StatusCode;
use axum::extract::Request;
use axum::response::Response;
pub(crate) use backends::Backends;
pub use backends::{Backend, Counters};
pub(crate) use host::Hosts;
use http_body::Body as _;
use kit::identity::Verified;
use kit::problem::Problem;
use kit::server::{Alarm, Peer};
use kit::service::{Readiness, Service};
pub(crate) use ready::Ready;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::client_address::Client;

/// Times on the way to a service.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a connection to a service may take to come about.
    pub connect_timeout: Duration,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(3), body_timeout: kit::body::BODY_DEADLINE }
    }
}

/// Where a route leads.
pub(crate) enum Upstream {
    /// A service of this process.
    Local(Service),
    /// A service elsewhere, at one address or several.
    Http(Backends),
}

/// A route's time for an answer, and for each of its parts.
struct RouteTime {
    limit: Duration,
    alarm: Alarm,
    /// Whether it passed without an answer.
    is_over: AtomicBool,
}

impl RouteTime {
    fn of(request: &Request, limit: Duration) -> Self {
        let alarm = request.extensions().get::<Peer>().map(|peer| peer.alarm.clone()).unwrap_or_default();
        Self { limit, alarm, is_over: AtomicBool::new(false) }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// The way to all services.
pub(crate) struct Forward {
    limits: Limits,
    readiness: Readiness,
}

impl Forward {
    pub(crate) fn new(limits: Limits, readiness: Readiness) -> Self {
        Self { limits, readiness }
    }

    /// The answer of a service of this process.
    pub(crate) fn to_local<'a>(
        &'a self,
        service: &'a Service,
        limit: Duration,
        request: Request,
        caller: Option<Verified>,
        client: &Client,
    ) -> impl Future<Output = Result<Response, Problem>> + Send + use<'a> {
        let time = RouteTime::of(&request, limit);
        let (ended, body_ended) = EndOfBody::of(&request);
        let answer = local::call(service, request, caller, client.address, ended);
        async move { self.await_answer(&time, body_ended, pin!(answer)).await }
    }

    /// The answer of a service elsewhere, or why there is none.
    pub(crate) async fn to_backend(
        &self,
        backends: &Backends,
        limit: Duration,
        max_body: usize,
        request: Request,
    ) -> Result<Response, Problem> {
        let time = RouteTime::of(&request, limit);
        let (ended, body_ended) = EndOfBody::of(&request);
        let answer = pin!(http::call(&self.limits, backends, &time, max_body, request, ended));
        let response = self.await_answer(&time, body_ended, answer).await??;
        Ok(download::until_stopped(response, &self.readiness))
    }

    /// Asks the services elsewhere again and again whether they take work.
    pub(crate) async fn watch(&self, hosts: &Hosts) {
        check::watch(&self.limits, hosts).await;
    }

    /// The service's time runs from the last byte of the request; until then the client's own limit holds.
    async fn await_answer<A>(
        &self,
        time: &RouteTime,
        body_ended: Option<oneshot::Receiver<()>>,
        mut answer: Pin<&mut impl Future<Output = A>>,
    ) -> Result<A, Problem> {
        if let Some(body_ended) = body_ended {
            tokio::select! {
                biased;
                answer = answer.as_mut() => return Ok(answer),
                _ = timeout(self.limits.body_timeout, body_ended) => {}
            }
        }
        time.alarm.limit(time.limit, answer).await.ok_or_else(|| {
            // Before the answer is dropped, which then knows why.
            time.is_over.store(true, Ordering::Relaxed);
            timed_out("no answer within the route's time limit")
        })
    }
}

/// 504: the service didn't answer in time.
fn timed_out(cause: impl std::fmt::Display) -> Problem {
    let detail = "The service took too long to answer. What you asked for may have been done: look before you repeat it.";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", detail).with_cause(cause)
}

/// 502: the service can't be reached, or gave no proper answer.
fn bad_gateway(cause: impl std::fmt::Display) -> Problem {
    let detail = "The service behind this address can't be reached or gave no proper answer.";
    Problem::new(StatusCode::BAD_GATEWAY, "bad_gateway", detail).with_cause(cause)
}

/// Tells that the last byte of a request has come, also by being dropped.
#[derive(Default)]
struct EndOfBody(Option<oneshot::Sender<()>>);

impl EndOfBody {
    /// With what hears of it; of an empty body there is nothing to tell.
    fn of(request: &Request) -> (Self, Option<oneshot::Receiver<()>>) {
        if request.body().is_end_stream() {
            return (Self::default(), None);
        }
        let (sender, body_ended) = oneshot::channel();
        (Self(Some(sender)), Some(body_ended))
    }

    fn tell(&mut self) {
        if let Some(sender) = self.0.take() {
            // Nobody listens any more once the answer is there.
            let _ = sender.send(());
        }
    }
}
