//! Paths and methods: what is not there, and what is not possible there.

use std::collections::BTreeSet;

use http::Method;
use uuid::Uuid;

use super::document::{Document, Operation};
use super::each_operation;
use super::stage::{Findings, Stage, Who};
use crate::harness::each_app;

/// Segments that are the id of nothing.
fn strange_ids() -> Vec<String> {
    let id = Uuid::now_v7();
    let mut ids: Vec<String> =
        ["x", "0", "-1", "null", "undefined", "00000000-0000-0000-0000-000000000000", "%27", "*", "a.b"]
            .map(str::to_owned)
            .to_vec();
    ids.extend([id.to_string(), id.simple().to_string(), format!("{{{id}}}"), format!("urn:uuid:{id}")]);
    ids.push(format!("{id}0"));
    ids.push("9".repeat(500));
    // Braces are no characters of a path.
    ids.iter().map(|id| id.replace('{', "%7B").replace('}', "%7D")).collect()
}

#[tokio::test]
async fn an_id_of_nothing_is_not_found() {
    // An account's orders outlive it, so that staff may ask for those of anybody; there are none.
    let lists_of_anybody = ["GET /orders/user/{user_id}"];
    each_operation(async |stage, operation, door, findings| {
        if !operation.has_id() {
            return;
        }
        for id in strange_ids() {
            let is_malformed = Uuid::try_parse(&id).is_err() || id.len() != 36;
            let who = match lists_of_anybody.contains(&operation.key().as_str()) && !is_malformed {
                true => stage.client(Who::Other),
                false => stage.caller(operation),
            };
            let address = operation.address_of(&id);
            // What is not there outranks the faults of a body.
            let call = who.request(operation.method.clone(), &address).to(door);
            let answer = call.raw("text/plain", "{").send().await;
            findings.problem(&answer, operation, 404, "not_found", &id);
        }
    })
    .await;
}

#[tokio::test]
async fn a_path_of_nothing_is_not_found() {
    each_app(async |app| {
        let user = app.admin("lost").await;
        let paths = [
            "/nothing",
            "/order",
            "/ordersx",
            "/orders/x/y/z",
            "/users/me/x",
            "/auth",
            "/auth/x",
            "/ORDERS",
            "/productsx",
            "/stock/x",
        ];
        for path in paths {
            for door in ["gateway", "auth", "users", "orders", "inventory"] {
                for method in [Method::GET, Method::POST, Method::DELETE] {
                    user.request(method.clone(), path).to(door).send().await.problem(404, "not_found");
                    // A service's routes are known to everybody; at the gateway a known prefix is a route.
                    let answer = app.nobody().request(method, path).to(door).send().await;
                    let is_route = door == "gateway"
                        && ["/orders", "/users", "/auth", "/stock", "/products"]
                            .iter()
                            .any(|prefix| is_below(path, prefix));
                    answer.problem(
                        if is_route { 401 } else { 404 },
                        if is_route { "missing_token" } else { "not_found" },
                    );
                }
            }
        }
    })
    .await;
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_refused() {
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "BREW", "PROPFIND"];
    let document = Document::new();
    each_operation(async |stage, operation, door, findings| {
        let known = methods_of(&document, &operation.path);
        for method in methods.iter().filter(|method| !known.contains(**method)) {
            check_method(stage, operation, door, method, &known, findings).await;
        }
    })
    .await;
}

fn methods_of(document: &Document, path: &str) -> BTreeSet<String> {
    let operations = document.operations();
    let here = operations.iter().filter(|operation| operation.path == path);
    here.map(|operation| operation.method.to_string()).collect()
}

async fn check_method(
    stage: &Stage<'_>,
    operation: &Operation,
    door: &'static str,
    method: &str,
    known: &BTreeSet<String>,
    findings: &mut Findings,
) {
    let caller = stage.caller(operation);
    let verb = Method::from_bytes(method.as_bytes()).unwrap();
    let answer = caller.request(verb, &stage.address(&operation.path)).to(door).send().await;
    findings.problem(&answer, operation, 405, "method_not_allowed", method);
    let allowed: BTreeSet<String> =
        answer.header("allow").split(',').map(|name| name.trim().to_owned()).collect();
    let mut expected = known.clone();
    if known.contains("GET") {
        expected.insert("HEAD".to_owned());
    }
    // The gateway's routes carry every method that any of their paths has.
    let is_routes_answer = door == "gateway" && !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method);
    let is_right = if is_routes_answer { allowed.is_superset(&expected) } else { allowed == expected };
    findings.check(is_right, || format!("{} {method} {door}: Allow {allowed:?}", operation.path));
}

#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    each_operation(async |stage, operation, door, findings| {
        if operation.method != Method::GET {
            return;
        }
        let (caller, address) = (stage.caller(operation), stage.address(&operation.path));
        let get = caller.request(Method::GET, &address).to(door).send().await;
        let head = caller.request(Method::HEAD, &address).to(door).send().await;
        let is_like = head.status == get.status && head.header("etag") == get.header("etag");
        findings.check(get.status == 200 && is_like, || format!("{address}: {} {}", get.status, head.status));
        findings.check(head.body.is_empty(), || format!("{address}: HEAD with a body"));
        let is_known = operation.statuses().contains(&200);
        findings.check(is_known, || format!("{address}: 200 is not documented"));
    })
    .await;
}
