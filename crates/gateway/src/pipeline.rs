//! A request's way through the gateway, from top to bottom.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::{BoxFuture, Either};
use http::header::{ALLOW, ORIGIN};
use http::{HeaderValue, Method};
use ipnet::IpNet;
use kit::client::ClientKey;
use kit::identity::{Sessions, Verified};
use kit::limit::Policy;
use kit::metrics::{Metrics, RequestCounts};
use kit::problem::Problem;
use kit::service::{AccessNote, Answered, Answers, Readiness};
use kit::token::Tokens;

use crate::client_address::Client;
use crate::cors::Cors;
use crate::forward::{Backend, Backends, Forward, Hosts, Ready, Upstream};
use crate::limit::{self, Count};
use crate::routes::{Route, Table};
use crate::{MetricsAccess, authenticate, cors, headers, own, path};

/// All that a request meets; never changed once made.
pub(crate) struct Gateway {
    pub(crate) table: Table<Upstream>,
    pub(crate) counts: Arc<RequestCounts>,
    pub(crate) docs: Option<Router>,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) metrics_access: MetricsAccess,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) cors: Cors,
    pub(crate) tokens: Arc<Tokens>,
    /// Knows which sessions have ended; without it that is left to the services.
    pub(crate) sessions: Option<Arc<dyn Sessions>>,
    pub(crate) client_key: ClientKey,
    /// Holds where a route has no policy of its own; `None` where rates don't count.
    pub(crate) default_policy: Option<Policy>,
    pub(crate) forward: Forward,
    pub(crate) hosts: Hosts,
    /// How the services are.
    pub(crate) ready: Ready,
}

impl Gateway {
    /// Every backend elsewhere with its route's path.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = (&str, &Backend)> {
        self.table.iter().flat_map(|route| {
            let backends = match &route.upstream {
                Upstream::Http(backends) => Some(backends),
                Upstream::Local(_) => None,
            };
            backends.into_iter().flat_map(Backends::iter).map(move |backend| (&*route.path, &**backend))
        })
    }
}

/// Every request goes the one way; the edge around it gives the request id and finishes the answer.
pub(crate) struct Pipeline(pub(crate) Arc<Gateway>);

impl Answers for Pipeline {
    fn answer(&self, request: Request) -> BoxFuture<'_, Answered> {
        Box::pin(handle(&self.0, request))
    }
}

async fn handle(gateway: &Gateway, request: Request) -> Answered {
    let origin = request.headers().get(ORIGIN).cloned();
    let client = Client::of(&request, &gateway.trusted_proxies);
    let mut note = AccessNote { client: client.address, ..AccessNote::default() };
    let answered = answer(gateway, request, &client, &mut note).await;
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    gateway.cors.decorate(origin.as_ref(), response.headers_mut());
    Answered { response, note }
}

/// The order of the phases stands here, and nowhere else.
async fn answer(
    gateway: &Gateway,
    mut request: Request,
    client: &Client,
    note: &mut AccessNote,
) -> Result<Response, Problem> {
    if let Some(normalised) = path::normalise(request.uri().path())? {
        path::replace(request.uri_mut(), &normalised)?;
        note.path = Some(normalised);
    }
    // Only now, or another spelling of an own path would be a route's.
    if own::serves(gateway, request.uri().path()) {
        note.route = gateway.counts.place(request.uri().path());
        if cors::is_preflight(&request) {
            return Ok(gateway.cors.preflight(request.headers(), &own::ALLOWED));
        }
        // In a box, as all that is seldom or slow: the future of each request has the size of its largest part, and is copied.
        return Box::pin(own::answer(gateway, request)).await;
    }
    let route = gateway.table.find(request.uri().path()).ok_or_else(Problem::not_found)?;
    note.route = route.place;
    if cors::is_preflight(&request) {
        return Ok(gateway.cors.preflight(request.headers(), &route.allow));
    }
    if !route.allows(request.method()) {
        return Ok(not_allowed(request.method(), &route.allow));
    }
    let caller = authenticate::caller(gateway, route, request.uri().path(), request.headers()).await;
    note.account = caller.as_ref().ok().and_then(Option::as_ref).map(Verified::account);
    // After the token, which says who is counted; before its fault is told, so that guessing tokens ends in 429.
    let policy = route.policy.as_ref().or(gateway.default_policy.as_ref());
    let count = policy.and_then(|policy| limit::count(policy, &caller, gateway.sessions.is_some(), client));
    let answered = match (count.as_ref().and_then(Count::refusal), caller) {
        (Some(refusal), _) | (None, Err(refusal)) => Err(refusal),
        (None, Ok(caller)) => forward(gateway, route, request, caller, client).await,
    };
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    if let Some(count) = count {
        count.tell(&mut response);
    }
    Ok(response)
}

/// Begun out here, so that the future of a call within the process has no request inside.
fn forward<'a>(
    gateway: &'a Gateway,
    route: &'a Route<Upstream>,
    mut request: Request,
    caller: Option<Verified>,
    client: &Client,
) -> impl Future<Output = Result<Response, Problem>> + Send + use<'a> {
    headers::clean_request(request.headers_mut());
    match &route.upstream {
        Upstream::Local(service) => {
            Either::Left(gateway.forward.to_local(service, route.timeout, request, caller, client))
        }
        Upstream::Http(backends) => {
            headers::tell_client(request.headers_mut(), client, &gateway.client_key);
            let answer = gateway.forward.to_backend(backends, route.timeout, route.max_body, request);
            Either::Right(Box::pin(async {
                let mut response = answer.await?;
                headers::clean_response(response.headers_mut());
                Ok(response)
            }))
        }
    }
}

fn not_allowed(method: &Method, allow: &HeaderValue) -> Response {
    let mut response = kit::service::method_not_allowed(method).into_response();
    response.headers_mut().insert(ALLOW, allow.clone());
    response
}
