//! Headers: preconditions and idempotency keys.

use super::document::Operation;
use super::each_operation;
use super::examples::examples;
use super::stage::{Findings, Stage, Who};
use crate::harness::{Answer, Call};

/// A valid request of somebody who may make it.
fn valid<'a>(stage: &Stage<'a>, operation: &Operation, door: &'static str) -> Call<'a> {
    match examples(operation).first() {
        Some((who, body)) => stage.call(stage.client(*who), operation, door).json(&stage.body(body)),
        None => stage.call(stage.client(Who::Admin), operation, door),
    }
}

async fn with(
    stage: &Stage<'_>,
    operation: &Operation,
    door: &'static str,
    name: &str,
    value: &str,
) -> Answer {
    valid(stage, operation, door).header(name, value).send().await
}

const NO_TAGS: [&str; 8] =
    ["1", "\"1", "1\"", "W/1", "\"1\" \"2\"", "*, \"1\"", "\"1\", nonsense", "w/\"1\""];

#[tokio::test]
async fn a_malformed_precondition_is_refused() {
    each_operation(async |stage, operation, door, findings| {
        for name in ["If-Match", "If-None-Match"] {
            if operation.takes("header", name) {
                for value in NO_TAGS {
                    let answer = with(stage, operation, door, name, value).await;
                    let what = format!("{name}: {value}");
                    findings.problem(&answer, operation, 400, "invalid_header", &what);
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_stale_version_is_refused_and_the_present_one_told() {
    each_operation(async |stage, operation, door, findings| {
        if !operation.takes("header", "If-Match") || operation.path == "/users/me" {
            return;
        }
        let present = stage.etag(operation).await;
        let weak = format!("W/{present}");
        for value in ["\"999999\"", "\"0\"", "\"\"", "\"999998\", \"999999\"", &weak] {
            let answer = with(stage, operation, door, "If-Match", value).await;
            findings.problem(&answer, operation, 412, "stale_version", value);
            let told = answer.header("etag").to_owned();
            findings.check(told == present, || format!("{}: {told} for {present}", operation.key()));
        }
    })
    .await;
}

#[tokio::test]
async fn a_version_that_the_client_has_is_spared() {
    each_operation(async |stage, operation, door, findings| {
        if !operation.takes("header", "If-None-Match") {
            return;
        }
        let present = valid(stage, operation, door).send().await.expect(200).header("etag").to_owned();
        let matching = [present.clone(), format!("W/{present}"), "*".to_owned(), format!("\"0\", {present}")];
        for value in matching {
            let answer = with(stage, operation, door, "If-None-Match", &value).await;
            let is_spared = answer.status == 304 && answer.header("etag") == present;
            findings.check(is_spared, || format!("{}: {value}: {}", operation.key(), answer.status));
        }
        let answer = with(stage, operation, door, "If-None-Match", "\"0\"").await;
        findings.check(answer.status == 200, || format!("{}: {}", operation.key(), answer.status));
    })
    .await;
}

#[tokio::test]
async fn a_malformed_idempotency_key_is_refused() {
    each_operation(async |stage, operation, door, findings| {
        if !operation.takes("header", "Idempotency-Key") {
            return;
        }
        let long = "k".repeat(256);
        for value in ["", "a b", "a\tb", &long] {
            let answer = with(stage, operation, door, "Idempotency-Key", value).await;
            findings.problem(&answer, operation, 400, "invalid_idempotency_key", value);
        }
        let twice = valid(stage, operation, door).header("Idempotency-Key", "a");
        let answer = twice.header("Idempotency-Key", "a").send().await;
        findings.problem(&answer, operation, 400, "invalid_idempotency_key", "two keys");
    })
    .await;
}
