//! What every port serves around a service's own endpoints, and the edge that each answer passes last:
//! request id, problem bodies, panics, and the one log line of a failure.
//!
//! A request passes one edge, that of the port it came in by: where a gateway hands it on within the process, the
//! service's own edge would do the same again.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::openapi::OpenApi;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use bytes::Bytes;
use db::Db;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;
use tower::Service as _;
use tracing::{error, warn};
use uuid::Uuid;

use crate::browser;
use crate::clock::Timestamp;
use crate::docs;
use crate::endpoint::Endpoints;
use crate::identity::Sessions;
use crate::metrics::{self, Metrics, RequestCounts};
use crate::openapi;
use crate::permission::PUBLIC;
use crate::problem::Problem;
use crate::refusals::{Asked, Refusals};
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::shared::Shared;

/// Where the OpenAPI document is served.
pub const DOCUMENT_PATH: &str = "/openapi.json";

/// What every port serves and no document describes.
pub const UNDOCUMENTED: [&str; 4] = [metrics::PATH, DOCUMENT_PATH, docs::PAGE_PATH, docs::SCRIPT_PATH];

/// Whether the process takes work: it starts, is ready, then stops, and lets somebody in; and what else one who asks wants to know, which changes
/// nothing in that.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Told>);

#[derive(Default)]
struct Told {
    phase: watch::Sender<Phase>,
    sessions: Option<Arc<dyn Sessions>>,
    backup: Mutex<Option<LastBackup>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Starting,
    Ready,
    Stopping,
}

/// The last backup that the process knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LastBackup {
    /// When it was made; null if there is none.
    pub made_at: Option<Timestamp>,
    /// How many seconds ago that was.
    pub age_seconds: Option<u64>,
    /// `ok`, or `failed` if the last attempt of this process came to nothing.
    pub result: &'static str,
}

impl Readiness {
    /// Starting; of a process that lets in whom these sessions know, where it has any.
    pub fn new(sessions: Option<Arc<dyn Sessions>>) -> Self {
        Self(Arc::new(Told { sessions, ..Told::default() }))
    }

    /// From now on ready.
    pub fn set_ready(&self) {
        self.0.phase.send_replace(Phase::Ready);
    }

    /// From now on stopping: readiness fails first, so that a balancer looks elsewhere.
    pub fn set_stopping(&self) {
        self.0.phase.send_replace(Phase::Stopping);
    }

    /// Whether it ends.
    pub fn is_stopping(&self) -> bool {
        *self.0.phase.borrow() == Phase::Stopping
    }

    /// Resolves when it ends.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut phase = self.0.phase.subscribe();
        async move {
            // With nobody left who could say so it has ended, too.
            let _ = phase.wait_for(|phase| *phase == Phase::Stopping).await;
        }
    }

    /// 503 unless it takes work. The database isn't asked: this answers at once.
    pub fn check(&self) -> Result<(), Problem> {
        if *self.0.phase.borrow() != Phase::Ready {
            return Err(Problem::unavailable(1, "The process is starting or stopping."));
        }
        if self.0.sessions.as_ref().is_some_and(|sessions| !sessions.hears_feed()) {
            let detail = "The process hasn't heard from its database for seconds who is logged out, so it lets nobody in.";
            return Err(Problem::unavailable(1, detail));
        }
        Ok(())
    }

    /// Says what is known of backups, where they are made.
    pub fn tell_backup(&self, last: LastBackup) {
        *self.0.backup.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    /// What is known of backups; nothing where none are made.
    pub fn backup(&self) -> Option<LastBackup> {
        *self.0.backup.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What answers requests, the unknown ones too: a service's endpoints, or the gateway's pipeline.
pub trait Answers: Send + Sync {
    /// The answer to a request.
    fn answer(&self, request: Request) -> BoxFuture<'_, Answered>;
}

/// An answer, and what the access log shall say of its request.
#[derive(Debug)]
pub struct Answered {
    /// The answer; a problem among its extensions is written at the edge.
    pub response: Response,
    /// For the log.
    pub note: AccessNote,
}

/// What the access log can't see for itself.
#[derive(Clone, Debug, Default)]
pub struct AccessNote {
    /// The client's own address, where a proxy that we trust stands between.
    pub client: Option<IpAddr>,
    /// The account that asked.
    pub account: Option<Uuid>,
    /// The path that was served, where it was not written as sent.
    pub path: Option<String>,
    /// The place of the route that it took among those that metrics count.
    pub route: Option<usize>,
}

impl From<Response> for Answered {
    fn from(response: Response) -> Self {
        Self { response, note: AccessNote::default() }
    }
}

impl Answers for Router {
    fn answer(&self, request: Request) -> BoxFuture<'_, Answered> {
        let answer = self.clone().call(request);
        Box::pin(async {
            match answer.await {
                Ok(response) => response.into(),
                Err(never) => match never {},
            }
        })
    }
}

/// A service, complete.
#[derive(Clone)]
pub struct Service {
    /// The service's name: `orders`.
    pub name: &'static str,
    answers: Arc<dyn Answers>,
    counts: Arc<RequestCounts>,
    /// Where denials are counted, unless that is a service's behind this one.
    refusals: Option<Arc<Refusals>>,
}

impl Service {
    /// What answers, and what counts its requests.
    pub fn new(name: &'static str, answers: impl Answers + 'static, counts: Arc<RequestCounts>) -> Self {
        Self { name, answers: Arc::new(answers), counts, refusals: None }
    }

    /// Counts what it denies.
    fn counting(self, refusals: Arc<Refusals>) -> Self {
        Self { refusals: Some(refusals), ..self }
    }

    /// Answers a request from outside. The answer has passed the edge: it has a request id, a problem's body, and the
    /// headers of every answer; a failure was logged.
    pub fn answer(&self, mut request: Request) -> impl Future<Output = Answered> + Send {
        let id = RequestId::of(request.headers());
        request.headers_mut().insert(X_REQUEST_ID, id.header());
        // For the log of a failure; both share what they are made of.
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let answered = self.answer_inside(request);
        async move {
            let mut answered = answered.await;
            finish(&mut answered.response, &id, &method, uri.path());
            answered
        }
    }

    /// Answers a request that passes the edge of a gateway in this process; a panic becomes a problem, and it counts.
    pub fn answer_inside(&self, request: Request) -> impl Future<Output = Answered> + Send {
        let in_flight = self.counts.begin(&request);
        let watched = self.refusals.as_deref().map(|refusals| (refusals, Asked::of(&request)));
        // Begun out here, so that the future to be moved about has no request inside.
        let answered = AssertUnwindSafe(self.answers.answer(request)).catch_unwind();
        async move {
            let answered = answered.await.unwrap_or_else(|_| {
                let problem = Problem::internal("a handler panicked");
                Answered::from(problem.into_response())
            });
            if let Some((refusals, asked)) = watched {
                refusals.note(&asked, &answered.response, || self.counts.asked(&in_flight));
            }
            in_flight.answered(&answered);
            answered
        }
    }

    /// The answer to a request that was refused before it could be asked for anything.
    pub(crate) fn refuse(&self, problem: Problem, method: &Method) -> Answered {
        self.counts.count_refused(method, problem.status());
        let mut response = problem.into_response();
        finish(&mut response, &RequestId::new(), method, "-");
        response.into()
    }
}

/// Serves a router as it is, and counts nothing that anybody reads: for tests.
impl From<Router> for Service {
    fn from(router: Router) -> Self {
        Self::new("none", router, Arc::default())
    }
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
    /// What is denied, to be written down.
    pub refusals: Arc<Refusals>,
    /// Whether `/docs` and `/openapi.json` are served.
    pub docs: bool,
}

/// Completes a service: its endpoints, and what every port serves.
pub fn service<S: AsRef<Shared> + Send + Sync + 'static>(
    name: &'static str,
    surroundings: &Surroundings,
    state: Arc<S>,
    endpoints: fn() -> Endpoints<S>,
) -> Service {
    let (router, own_document) = openapi::finish(name, move || endpoints().into_router());
    let (health_router, health_document) = openapi::finish("health", health_endpoints);
    let document = openapi::merge([own_document, health_document]);
    let counts = RequestCounts::new(&surroundings.metrics, name, routes(&document));
    let health = Health { name, surroundings: surroundings.clone() };
    let mut router = router.with_state(state).merge(health_router.with_state(health));
    router = router.merge(metrics_router(&surroundings.metrics));
    if surroundings.docs {
        router = router.merge(docs_router(Box::new(move || self::document(name, endpoints))));
    }
    Service::new(name, with_fallbacks(router), counts).counting(Arc::clone(&surroundings.refusals))
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
pub fn document<S: AsRef<Shared> + Send + Sync + 'static>(
    name: &str,
    endpoints: fn() -> Endpoints<S>,
) -> OpenApi {
    let own = openapi::finish(name, move || endpoints().into_router()).1;
    openapi::merge([own, openapi::finish("health", health_endpoints).1])
}

/// `/openapi.json` and `/docs`, its rendering. The document is written when somebody first asks for it, since it takes longer than all the rest of a start.
pub fn docs_router(document: Box<dyn FnOnce() -> OpenApi + Send>) -> Router {
    let written = move || Bytes::from(serde_json::to_string(&document()).unwrap_or_default());
    let json = Arc::new(LazyLock::new(written));
    let serve = move || {
        let json = Bytes::clone(&json);
        async move { ([(http::header::CONTENT_TYPE, "application/json")], json) }
    };
    Router::new().route(DOCUMENT_PATH, axum::routing::get(serve)).merge(docs::router())
}

/// Makes problems of unknown paths and methods.
fn with_fallbacks(router: Router) -> Router {
    router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|method: Method| async move { method_not_allowed(&method) })
}

/// 405; the caller adds `Allow`.
pub fn method_not_allowed(method: &Method) -> Problem {
    let detail = format!("{method} is not possible here; `Allow` says what is.");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// Completes an answer at the edge.
fn finish(response: &mut Response, id: &RequestId, method: &Method, path: &str) {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        log_failure(&problem, id, method, path);
        // What was said around the problem stays: `Allow`, whether a page may read it.
        let (rendered, body) = problem.render(id.as_str()).into_parts();
        response.headers_mut().extend(rendered.headers);
        if *method != Method::HEAD {
            *response.body_mut() = body;
        }
    }
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id.header());
    browser::tell(headers);
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
    /// The last nightly backup; only of `/health/ready`, and where the setting BACKUP_FOLDER names a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<LastBackup>,
}

/// These alone know nobody: they hold nothing by which a caller could be known, and so are no [`Endpoints`].
fn health_endpoints() -> ApiRouter<Health> {
    let view = openapi::op("health_view", "Whether the process answers", &[]);
    let ready = openapi::op("health_ready", "Whether it can do its work", &[]);
    ApiRouter::new()
        .api_route("/health", get_with(health_view, |of| PUBLIC.describe(view(of))))
        .api_route("/health/ready", get_with(health_ready, |of| PUBLIC.describe(ready(of))))
}

async fn health_view(State(health): State<Health>) -> Json<HealthView> {
    Json(HealthView { status: "ok", service: health.name, backup: None })
}

async fn health_ready(State(health): State<Health>) -> Result<Json<HealthView>, Problem> {
    check_ready(&health.surroundings).await?;
    let backup = health.surroundings.readiness.backup();
    Ok(Json(HealthView { status: "ok", service: health.name, backup }))
}

/// 503 while starting, stopping, letting nobody in, or without the database.
pub async fn check_ready(surroundings: &Surroundings) -> Result<(), Problem> {
    surroundings.readiness.check()?;
    Ok(surroundings.db.ping().await?)
}
