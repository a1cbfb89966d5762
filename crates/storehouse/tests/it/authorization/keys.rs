//! What API keys may do: what the endpoint's scope says, and nothing where it has none.

use futures_util::{StreamExt, stream};
use http::Method;

use super::{May, call_as, is_fault, outcome, short_name};
use crate::contract::document::{Document, Operation};
use crate::contract::stage::{Findings, Stage, Who};
use crate::harness::{App, each_app};

/// All scopes that any endpoint asks for.
fn scopes(operations: &[Operation]) -> Vec<&str> {
    let mut scopes: Vec<&str> = operations.iter().filter_map(Operation::keys).flatten().collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

#[tokio::test]
async fn a16_without_the_scope_a_key_may_do_nothing() {
    let operations = Document::new().operations();
    let scopes = scopes(&operations);
    each_app(async |app| {
        let (stage, mut findings) = (Stage::new(app, "keys").await, Findings::default());
        for operation in operations.iter().filter(|operation| !operation.is_public()) {
            let Some(needed) = operation.keys().map_or(Some(""), |scope| scope) else { continue };
            let others: Vec<&str> = scopes.iter().copied().filter(|scope| *scope != needed).collect();
            let (_, key) = app.key(stage.client(Who::Admin), &others).await;
            let before = stage.dump().await;
            for door in ["gateway", operation.service()] {
                let address = stage.address(&operation.path);
                let answer = call_as(&stage, operation, &key, &address).to(door).send().await;
                let code = if needed.is_empty() { "forbidden" } else { "insufficient_scope" };
                findings.problem(&answer, operation, 403, code, door);
            }
            findings.unchanged(&before, &stage.dump().await, &operation.key());
        }
        findings.finish();
    })
    .await;
}

#[tokio::test]
async fn a16_with_the_scope_alone_a_key_may() {
    let operations = Document::new().operations();
    each_app(async |app| {
        let open = operations.iter().filter(|operation| operation.keys().is_some());
        // What is allowed is done, so each of these has people of its own, and need not wait for the others.
        let checks = open.map(|operation| check_allowed(app, operation));
        let found: Vec<Findings> = stream::iter(checks).buffer_unordered(8).collect().await;
        let mut findings = Findings::default();
        found.into_iter().for_each(|more| findings.add(more));
        findings.finish();
    })
    .await;
}

async fn check_allowed(app: &App, operation: &Operation) -> Findings {
    let (stage, mut findings) = (Stage::new(app, &short_name()).await, Findings::default());
    let scope = operation.keys().flatten().unwrap_or("none:none");
    let (_, key) = app.key(stage.client(Who::Admin), &[scope]).await;
    let service = operation.service();
    let doors = if operation.method == Method::GET { vec!["gateway", service] } else { vec![service] };
    for door in doors {
        let answer = call_as(&stage, operation, &key, &stage.address(&operation.path)).to(door).send().await;
        let is_right = outcome(&answer) == May && !is_fault(&answer);
        findings.check(is_right, || {
            format!("{} at {door}: {} {}", operation.key(), answer.status, answer.text())
        });
        let is_documented = operation.statuses().contains(&answer.status.as_u16());
        findings.check(is_documented, || format!("{}: {} is not documented", operation.key(), answer.status));
    }
    findings
}
