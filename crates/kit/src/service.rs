//! What every port serves around a service's own endpoints, and the edge that each answer passes last:
//! request id, problem bodies, panics, and the one log line of a failure.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::openapi::OpenApi;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use db::Db;
use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use tracing::{error, warn};

use crate::docs;
use crate::identity::Public;
use crate::metrics::{self, Metrics, RequestCounts};
use crate::openapi;
use crate::problem::Problem;
use crate::request_id::{RequestId, X_REQUEST_ID};

/// Where the OpenAPI document is served.
pub const DOCUMENT_PATH: &str = "/openapi.json";

/// What every port serves and no document describes.
pub const UNDOCUMENTED: [&str; 4] = [metrics::PATH, DOCUMENT_PATH, docs::PAGE_PATH, docs::SCRIPT_PATH];

/// Whether the process takes work: it starts, is ready, then stops.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    const READY: u8 = 1;
    const STOPPING: u8 = 2;

    /// From now on ready.
    pub fn set_ready(&self) {
        self.0.store(Self::READY, Ordering::Release);
    }

    /// From now on stopping: readiness fails first, so that a balancer looks elsewhere.
    pub fn set_stopping(&self) {
        self.0.store(Self::STOPPING, Ordering::Release);
    }

    /// Whether it takes work.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::READY
    }
}

/// A service, complete.
#[derive(Clone)]
pub struct Service {
    /// The service's name: `orders`.
    pub name: &'static str,
    /// Answers every request, the unknown ones too.
    pub router: Router,
    /// Counts its requests.
    pub counts: Arc<RequestCounts>,
}

/// What [`service`] needs besides the endpoints.
#[derive(Clone)]
pub struct Surroundings {
    /// Whose connection readiness asks for.
    pub db: Db,
    /// Whether the process takes work.
    pub readiness: Readiness,
    /// What the process counts and measures.
    pub metrics: Arc<Metrics>,
    /// Whether `/docs` and `/openapi.json` are served.
    pub docs: bool,
}

/// Completes a service: its endpoints, and what every port serves.
pub fn service<S: Clone + Send + Sync + 'static>(
    name: &'static str,
    surroundings: &Surroundings,
    state: S,
    endpoints: impl FnOnce() -> ApiRouter<S>,
) -> Service {
    let (router, own_document) = openapi::finish(name, endpoints);
    let (health_router, health_document) = openapi::finish("health", health_endpoints);
    let document = openapi::merge([own_document, health_document]);
    let counts = RequestCounts::new(&surroundings.metrics, name, routes(&document));
    let health = Health { name, surroundings: surroundings.clone() };
    let mut router = router.with_state(state).merge(health_router.with_state(health));
    router = router.merge(metrics_router(&surroundings.metrics));
    if surroundings.docs {
        router = router.merge(docs_router(&document));
    }
    Service { name, router: with_edge(router, Arc::clone(&counts)), counts }
}

/// Every route of a service, as metrics show it.
fn routes(document: &OpenApi) -> Vec<String> {
    let documented = document.paths.iter().flat_map(|paths| paths.paths.keys().cloned());
    documented.chain(UNDOCUMENTED.map(str::to_owned)).collect()
}

fn metrics_router(metrics: &Arc<Metrics>) -> Router {
    let metrics = Arc::clone(metrics);
    Router::new()
        .route(metrics::PATH, axum::routing::get(move || metrics::metrics_view(Arc::clone(&metrics))))
}

/// A service's part of the OpenAPI document.
pub fn document<S: Clone + Send + Sync + 'static>(
    name: &str,
    endpoints: impl FnOnce() -> ApiRouter<S>,
) -> OpenApi {
    openapi::merge([openapi::finish(name, endpoints).1, openapi::finish("health", health_endpoints).1])
}

/// `/openapi.json` and `/docs`, its rendering.
pub fn docs_router(document: &OpenApi) -> Router {
    let json: Arc<str> = serde_json::to_string(document).unwrap_or_default().into();
    let serve = move || {
        let json = json.to_string();
        async move { ([(http::header::CONTENT_TYPE, "application/json")], json) }
    };
    Router::new().route(DOCUMENT_PATH, axum::routing::get(serve)).merge(docs::router())
}

/// Wraps a router in the edge; unknown paths and methods become problems there too.
pub fn with_edge(router: Router, counts: Arc<RequestCounts>) -> Router {
    router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|method: Method| async move { method_not_allowed(&method) })
        .layer(axum::middleware::from_fn_with_state(counts, edge))
}

/// 405; the caller adds `Allow`.
pub fn method_not_allowed(method: &Method) -> Problem {
    let detail = format!("{method} is not possible here; `Allow` says what is.");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// The last that an answer passes: gives it the request id, writes a problem's body, turns a panic into a
/// problem, logs a failure, once, and counts the request.
pub async fn edge(State(counts): State<Arc<RequestCounts>>, mut request: Request, next: Next) -> Response {
    let in_flight = counts.begin(&request);
    let id = RequestId::of(request.headers());
    request.headers_mut().insert(X_REQUEST_ID, id.header());
    request.extensions_mut().insert(id.clone());
    // For the log of a failure; both share what they are made of.
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let response = response.unwrap_or_else(|_| Problem::internal("a handler panicked").into_response());
    let response = finish(response, &id, &method, uri.path());
    in_flight.answered(&response);
    response
}

/// Completes an answer at the edge.
pub fn finish(mut response: Response, id: &RequestId, method: &Method, path: &str) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        log_failure(&problem, id, method, path);
        // What was said around the problem stays: `Allow`, whether a page may read it, a note for the log.
        let (rendered, body) = problem.render(id.as_str()).into_parts();
        let (mut parts, _) = response.into_parts();
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.extend(rendered.headers);
        response = Response::from_parts(parts, body);
    }
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id.header());
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn log_failure(problem: &Problem, id: &RequestId, method: &Method, path: &str) {
    let Some(cause) = problem.cause() else { return };
    let status = problem.status().as_u16();
    if problem.status() == StatusCode::INTERNAL_SERVER_ERROR {
        error!(request.id = %id, %method, path, status, cause, "request failed");
    } else {
        warn!(request.id = %id, %method, path, status, cause, "request not served");
    }
}

#[derive(Clone)]
struct Health {
    name: &'static str,
    surroundings: Surroundings,
}

/// How a service is.
#[derive(Serialize, JsonSchema)]
struct HealthView {
    /// `ok`
    status: &'static str,
    /// The service's name.
    service: &'static str,
}

fn health_endpoints() -> ApiRouter<Health> {
    ApiRouter::new()
        .api_route(
            "/health",
            get_with(health_view, openapi::op("health_view", "Whether the process answers", &[])),
        )
        .api_route(
            "/health/ready",
            get_with(health_ready, openapi::op("health_ready", "Whether it can do its work", &[])),
        )
}

async fn health_view(_: Public, State(health): State<Health>) -> Json<HealthView> {
    Json(HealthView { status: "ok", service: health.name })
}

async fn health_ready(_: Public, State(health): State<Health>) -> Result<Json<HealthView>, Problem> {
    check_ready(&health.surroundings).await?;
    Ok(Json(HealthView { status: "ok", service: health.name }))
}

/// 503 while starting, stopping, or without the database.
pub async fn check_ready(surroundings: &Surroundings) -> Result<(), Problem> {
    if !surroundings.readiness.is_ready() {
        return Err(Problem::unavailable(1, "The service is starting or stopping."));
    }
    Ok(surroundings.db.ping().await?)
}
