//! An endpoint is what its path and its method say: nothing that is sent along makes it another.

use http::Method;
use uuid::Uuid;

use super::{Hidden, May, MayNot, outcome, permitted};
use crate::contract::document::{Document, Operation};
use crate::contract::stage::{Findings, Stage, Who};
use crate::harness::each_app;

const VERBS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"];

/// What is not for a customer or for staff isn't reached by any other method either.
#[tokio::test]
async fn z02_no_method_opens_what_a_role_may_not() {
    each_app(async |app| {
        let (stage, mut findings) = (Stage::new(app, "verbs").await, Findings::default());
        let (before, operations) = (stage.dump().await, Document::new().operations());
        for who in [Who::Other, Who::Staff] {
            for operation in operations.iter().filter(|operation| !operation.is_public()) {
                for verb in VERBS.iter().filter(|verb| !may(&operations, &operation.path, who, verb)) {
                    for door in ["gateway", operation.service()] {
                        let verb = Method::from_bytes(verb.as_bytes()).unwrap();
                        let address = stage.address(&operation.path);
                        let answer = stage.client(who).request(verb, &address).to(door).send().await;
                        let is_refused = matches!(answer.status.as_u16(), 403..=405);
                        findings.check(is_refused, || {
                            format!("{} {who:?} {door}: {}", answer.what, answer.status)
                        });
                    }
                }
            }
        }
        findings.unchanged(&before, &stage.dump().await, "other methods");
        findings.finish();
    })
    .await;
}

/// Whether a role may use a method of a path.
fn may(operations: &[Operation], path: &str, who: Who, verb: &str) -> bool {
    let verb = if verb == "HEAD" { "GET" } else { verb };
    let mut here = operations.iter().filter(|operation| operation.path == path && operation.method == verb);
    here.any(|operation| permitted(operation, who) == May)
}

/// A request that may be made stays what it is, whatever method its headers and its query ask for.
#[tokio::test]
async fn z02_a_method_can_not_be_overridden() {
    each_app(async |app| {
        let (stage, mut findings) = (Stage::new(app, "override").await, Findings::default());
        let before = stage.dump().await;
        let operations = Document::new().operations();
        let seen =
            operations.iter().filter(|operation| operation.method == Method::GET && !operation.is_public());
        // A stream that is read to its end takes as long as a session.
        for operation in seen.filter(|operation| operation.path != "/events/stream") {
            for door in ["gateway", operation.service()] {
                check_override(&stage, operation, door, &mut findings).await;
            }
        }
        findings.unchanged(&before, &stage.dump().await, "overridden methods");
        findings.finish();
    })
    .await;
}

async fn check_override(
    stage: &Stage<'_>,
    operation: &Operation,
    door: &'static str,
    findings: &mut Findings,
) {
    let (caller, address) = (stage.caller(operation), stage.address(&operation.path));
    for name in ["x-http-method-override", "x-http-method", "x-method-override", "_method"] {
        for method in ["DELETE", "PUT", "POST"] {
            let call = caller.request(Method::GET, &address).to(door).header(name, method);
            let answer = call.send().await;
            findings
                .check(answer.status == 200, || format!("{} {name} {door}: {}", answer.what, answer.status));
        }
    }
    let query = format!("{address}?_method=DELETE");
    let answer = caller.request(Method::GET, &query).to(door).send().await;
    findings.check(answer.status == 400, || format!("{} {door}: {}", answer.what, answer.status));
    // Nor is an id of somebody else's let in by a header.
    let hidden = stage.client(Who::Other).request(Method::GET, &address).to(door);
    let answer =
        hidden.header("x-original-url", "/health").header("x-user-id", &Uuid::nil().to_string()).send().await;
    let expected = permitted(operation, Who::Other);
    let is_right = matches!(expected, May | MayNot | Hidden) && outcome(&answer) == expected;
    findings.check(is_right, || format!("{} {door}: {}, not {expected:?}", answer.what, answer.status));
}
