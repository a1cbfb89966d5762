//! What the document must say of every operation.

use http::Method;

use super::document::{Document, Operation};
use super::examples::strangers;
use super::stage::Findings;

/// What anybody may call.
const PUBLIC: &[&str] = &[
    "GET /health",
    "GET /health/ready",
    "POST /auth/email/verify",
    "POST /auth/login",
    "POST /auth/password/forgot",
    "POST /auth/password/reset",
    "POST /auth/refresh",
    "POST /auth/register",
    "POST /auth/setup",
];

#[test]
fn every_operation_says_what_it_may_answer() {
    let mut findings = Findings::default();
    for operation in Document::new().operations() {
        let statuses = operation.statuses();
        for status in expected(&operation) {
            findings.check(statuses.contains(&status), || format!("{} lacks {status}", operation.key()));
        }
        let successes = statuses.iter().filter(|status| (200..300).contains(*status)).count();
        findings.check(successes == 1, || format!("{} has {successes} successes", operation.key()));
        let is_described = operation.json["summary"].is_string();
        findings.check(is_described, || format!("{} has no summary", operation.key()));
    }
    findings.finish();
}

/// The statuses that an operation must document, by what it takes.
fn expected(operation: &Operation) -> Vec<u16> {
    let rules: [(bool, &[u16]); 8] = [
        (!operation.is_public(), &[401, 403]),
        (operation.has_id(), &[404]),
        (operation.body_schema().is_some() || operation.takes_file(), &[400, 408, 413, 415, 422]),
        (operation.takes("header", "If-Match"), &[400, 412]),
        (operation.takes("header", "If-None-Match"), &[304, 400]),
        (operation.takes("header", "Idempotency-Key"), &[400, 409, 422]),
        (operation.method == Method::DELETE, &[204]),
        (!operation.is_health(), &[400]),
    ];
    rules.iter().filter(|(holds, _)| *holds).flat_map(|(_, statuses)| statuses.iter().copied()).collect()
}

#[test]
fn j01_what_anybody_may_call_is_known() {
    let operations = Document::new().operations();
    let mut public: Vec<String> =
        operations.iter().filter(|operation| operation.is_public()).map(Operation::key).collect();
    public.sort();
    assert_eq!(public, PUBLIC);
    for operation in operations {
        let asks = operation.json["security"].is_array();
        assert_eq!(asks, !operation.is_public(), "{}", operation.key());
    }
}

#[test]
fn what_changes_one_thing_can_be_guarded_by_its_version() {
    // A session and a key have no version, and only ever end; nor has a delivery, and a test changes nothing.
    let exceptions = [
        "DELETE /auth/keys/{id}",
        "DELETE /auth/sessions/{id}",
        "DELETE /users/{id}/sessions",
        "DELETE /users/{id}/totp",
        "POST /webhooks/{id}/test",
        "POST /webhooks/{id}/deliveries/{delivery_id}/replay",
    ];
    for operation in Document::new().operations().iter().filter(|operation| operation.has_id()) {
        let changes = operation.method != Method::GET && !exceptions.contains(&operation.key().as_str());
        assert_eq!(operation.takes("header", "If-Match"), changes, "{}", operation.key());
    }
}

#[test]
fn what_creates_or_moves_something_can_be_repeated_safely() {
    // These answer a secret, which is shown once, or store nothing.
    let exceptions = ["POST /webhooks", "POST /webhooks/{id}/rotate", "POST /webhooks/{id}/test"];
    for operation in Document::new().operations() {
        let is_excepted =
            operation.path.starts_with("/auth/") || exceptions.contains(&operation.key().as_str());
        let moves = operation.method == Method::POST && !is_excepted;
        assert_eq!(operation.takes("header", "Idempotency-Key"), moves, "{}", operation.key());
    }
}

#[test]
fn the_examples_are_of_operations_that_there_are() {
    assert_eq!(strangers(&Document::new().operations()), Vec::<&str>::new());
}
