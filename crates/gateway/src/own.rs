//! What the gateway answers itself; these paths win over routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::Request;
use axum::response::{Html, IntoResponse, Response};
use http::header::{ACCEPT, ALLOW, AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use kit::problem::Problem;
use kit::secret::Secret;
use kit::service::LastBackup;
use serde::Serialize;
use tower::ServiceExt;

use crate::MetricsAccess;
use crate::pipeline::Gateway;

const INDEX: &str = include_str!("index.html");
const INDEX_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const DOCS_LINKS: [&str; 2] = ["href=\"/docs\"", "href=\"/openapi.json\""];

/// What it answers itself, always.
const PATHS: [&str; 5] = ["/", "/health", "/health/ready", "/.well-known/jwks.json", kit::metrics::PATH];

/// Where the docs are on; what else there may be below `/docs` is nothing's.
const DOCS_PATHS: [&str; 3] = [kit::service::DOCUMENT_PATH, kit::docs::PAGE_PATH, kit::docs::SCRIPT_PATH];

/// These paths, as metrics show them.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    PATHS.into_iter().chain(DOCS_PATHS)
}

/// What may be asked of these paths.
pub(crate) const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// What `/` tells a program.
#[derive(Serialize)]
struct Index {
    name: &'static str,
    version: &'static str,
    docs: Option<&'static str>,
    openapi: Option<&'static str>,
    health: &'static str,
}

/// How the gateway is.
#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    service: &'static str,
    /// How the service behind each route is; the gateway is ready without them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    upstreams: BTreeMap<&'a str, &'static str>,
    /// The last nightly backup, where this process makes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<LastBackup>,
}

/// Whether the gateway answers this path itself.
pub(crate) fn serves(gateway: &Gateway, path: &str) -> bool {
    PATHS.contains(&path) || (gateway.docs.is_some() && is_docs(path))
}

/// Whether no route ever gets this path, whatever the settings are. What only lies below it a route does get; below `/` that is all.
pub(crate) fn always_serves(path: &str) -> bool {
    path != "/" && PATHS.contains(&path)
}

fn is_docs(path: &str) -> bool {
    matches!(path, "/openapi.json" | "/docs") || path.starts_with("/docs/")
}

/// The gateway's own answer.
pub(crate) async fn answer(gateway: &Gateway, request: Request) -> Result<Response, Problem> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = kit::service::method_not_allowed(request.method()).into_response();
        response.headers_mut().insert(ALLOW, ALLOWED);
        return Ok(response);
    }
    match request.uri().path() {
        "/" => Ok(index(gateway, request.headers())),
        "/health" => Ok(health(BTreeMap::new(), None)),
        "/health/ready" => ready(gateway).await,
        kit::metrics::PATH => metrics(gateway, request.headers()).await,
        // Tokens are signed with a shared secret (HS256), so there is no public key to show.
        "/.well-known/jwks.json" => Ok(Json(BTreeMap::from([("keys", [(); 0])])).into_response()),
        _ => docs(gateway, request).await,
    }
}

fn index(gateway: &Gateway, headers: &HeaderMap) -> Response {
    let is_for_people = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(prefers_html);
    if is_for_people {
        let has_docs = gateway.docs.is_some();
        let lines =
            INDEX.lines().filter(|line| has_docs || !DOCS_LINKS.iter().any(|link| line.contains(link)));
        return (kit::browser::page(INDEX_POLICY), Html(lines.collect::<String>())).into_response();
    }
    let if_on = |path| gateway.docs.is_some().then_some(path);
    Json(Index {
        name: "storehouse",
        version: env!("CARGO_PKG_VERSION"),
        docs: if_on("/docs"),
        openapi: if_on("/openapi.json"),
        health: "/health",
    })
    .into_response()
}

/// Browsers name HTML first; programs take anything, or ask for JSON.
fn prefers_html(accept: &str) -> bool {
    let place = |media: &str| accept.find(media);
    match (place("text/html"), place("application/json")) {
        (Some(html), Some(json)) => html < json,
        (html, _) => html.is_some(),
    }
}

fn health(upstreams: BTreeMap<&str, &'static str>, backup: Option<LastBackup>) -> Response {
    Json(Health { status: "ok", service: "gateway", upstreams, backup }).into_response()
}

async fn ready(gateway: &Gateway) -> Result<Response, Problem> {
    gateway.readiness.check()?;
    let ready = gateway.ready.of(&gateway.table).await;
    let word = |is_ready| if is_ready { "ok" } else { "unavailable" };
    let upstreams = ready.into_iter().map(|(path, is_ready)| (path, word(is_ready))).collect();
    Ok(health(upstreams, gateway.readiness.backup()))
}

async fn metrics(gateway: &Gateway, headers: &HeaderMap) -> Result<Response, Problem> {
    gateway.metrics_access.check(headers)?;
    kit::metrics::metrics_view(Arc::clone(&gateway.metrics)).await
}

impl MetricsAccess {
    fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let (code, detail) = match (self, bearer(headers)) {
            (Self::Open, _) => return Ok(()),
            (Self::Token(token), Some(sent)) if *token == sent => return Ok(()),
            (Self::Token(_), Some(_)) => {
                ("invalid_token", "This is not the token of the setting METRICS_TOKEN.")
            }
            (Self::Token(_), None) => {
                ("missing_token", "This needs `Authorization: Bearer` with the setting METRICS_TOKEN.")
            }
            (Self::Closed, _) => {
                ("missing_token", "Nobody may read this here until the setting METRICS_TOKEN names a token.")
            }
        };
        Err(Problem::new(StatusCode::UNAUTHORIZED, code, detail).with_header(WWW_AUTHENTICATE, "Bearer"))
    }
}

fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim()))
}

async fn docs(gateway: &Gateway, request: Request) -> Result<Response, Problem> {
    let router = gateway.docs.clone().ok_or_else(Problem::not_found)?;
    let response = match router.fallback(|| async { Problem::not_found() }).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_a_page_and_programs_json() {
        assert!(prefers_html("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(
            !prefers_html("*/*")
                && !prefers_html("application/json")
                && !prefers_html("application/json, text/html")
        );
    }
}
