//! Bodies: what is no JSON, what is not declared as JSON, and each field wrong in every way.

use super::document::{Document, Operation};
use super::examples::examples;
use super::faults::faults;
use super::stage::{Findings, Stage, Who};
use crate::harness::{Answer, each_app};
use serde_json::Value;

const JSON: &str = "application/json";

/// A body of an operation about to be made wrong.
struct Subject<'a> {
    stage: &'a Stage<'a>,
    operation: &'a Operation,
    who: Who,
    door: &'static str,
}

impl Subject<'_> {
    async fn send(&self, content_type: Option<&str>, body: impl Into<axum::body::Body>) -> Answer {
        let call = self.stage.call(self.stage.client(self.who), self.operation, self.door);
        match content_type {
            Some(content_type) => call.raw(content_type, body).send().await,
            None => call.body(body).send().await,
        }
    }

    async fn expect(&self, findings: &mut Findings, expected: (u16, &str), content_type: &str, body: &[u8]) {
        let answer = self.send(Some(content_type), body.to_vec()).await;
        let shown: String = String::from_utf8_lossy(body).chars().take(40).collect();
        let what = format!("{content_type} {shown} at {}", self.door);
        findings.problem(&answer, self.operation, expected.0, expected.1, &what);
    }
}

/// Runs a check for every example of every operation, through both doors, and sees that nothing changes.
async fn each_body(check: impl AsyncFn(&Document, &Subject<'_>, &Value, &mut Findings)) {
    each_app(async |app| {
        let document = Document::new();
        let stage = Stage::new(app, "bodies").await;
        let mut findings = Findings::default();
        for operation in &document.operations() {
            for (who, example) in examples(operation) {
                for door in ["gateway", operation.service()] {
                    let before = stage.dump().await;
                    let subject = Subject { stage: &stage, operation, who, door };
                    check(&document, &subject, &stage.body(example), &mut findings).await;
                    findings.unchanged(&before, &stage.dump().await, &format!("{} {door}", operation.key()));
                }
            }
        }
        findings.finish();
    })
    .await;
}

#[tokio::test]
async fn i08_what_is_no_json_or_has_a_key_twice_is_refused() {
    each_body(async |_, subject, example, findings| {
        let deep = format!("{{\"deep\": {}{}}}", "[".repeat(40), "]".repeat(40));
        let bottomless = "[".repeat(100_000);
        let twice = match example.as_object().unwrap().iter().next() {
            Some((name, value)) => format!("{{\"{name}\": {value}, \"{name}\": {value}}}"),
            None => r#"{"reason": null, "reason": null}"#.to_owned(),
        };
        // The same key, its first character escaped.
        let (start, name) = twice.rsplit_once(", \"").unwrap();
        let escaped = format!("{start}, \"\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
        let nested = r#"{"metadata": {"a": [{"b": 1, "b": 2}]}}"#;
        let trailing = format!("{example}{example}");
        let texts = [
            "{",
            "}",
            "nonsense",
            "{'a': 1}",
            "{\"a\": 01}",
            "{\"a\": NaN}",
            &deep,
            &bottomless,
            &twice,
            &escaped,
            nested,
            r#"{"a": "\ud800"}"#,
            r#"{"a": "\udc00\ud800"}"#,
            r#"{"\ud800": 1}"#,
            "\u{feff}{}",
            &trailing,
        ];
        for text in texts {
            subject.expect(findings, (400, "malformed_json"), JSON, text.as_bytes()).await;
        }
        subject.expect(findings, (400, "malformed_json"), JSON, b"{\"a\": \"\xff\"}").await;
        if subject.operation.json["requestBody"]["required"] == true {
            subject.expect(findings, (400, "malformed_json"), JSON, b"").await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_object_is_refused() {
    each_body(async |_, subject, _, findings| {
        for text in ["[]", "[{}]", "\"text\"", "1", "true", "null"] {
            subject.expect(findings, (422, "validation_failed"), JSON, text.as_bytes()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn g12_what_is_not_declared_as_json_is_refused() {
    each_body(async |_, subject, example, findings| {
        let text = example.to_string();
        let types = [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json; charset=latin1",
            "application/jsonp",
            "application/xml",
            "",
        ];
        for content_type in types {
            subject.expect(findings, (415, "unsupported_media_type"), content_type, text.as_bytes()).await;
        }
        let answer = subject.send(None, text).await;
        findings.problem(&answer, subject.operation, 415, "unsupported_media_type", "no content type");
    })
    .await;
}

#[tokio::test]
async fn g10_what_is_too_large_is_refused() {
    each_body(async |_, subject, _, findings| {
        let text = format!("{{\"note\": \"{}\"}}", "x".repeat(1024 * 1024));
        subject.expect(findings, (413, "body_too_large"), JSON, text.as_bytes()).await;
    })
    .await;
}

#[tokio::test]
async fn every_fault_of_every_field_is_named() {
    each_body(async |document, subject, example, findings| {
        let schema = subject.operation.body_schema().unwrap();
        for fault in faults(document, schema, example) {
            let answer = subject.send(Some(JSON), fault.body.clone()).await;
            let named = if answer.status == 422 { answer.faulty_fields() } else { Vec::new() };
            let mut missed = fault.fields.iter().filter(|field| !named.contains(field));
            let is_named =
                if fault.any { missed.count() < fault.fields.len() } else { missed.next().is_none() };
            findings.check(is_named, || {
                let text: String = answer.text().chars().take(300).collect();
                format!(
                    "{} as {:?}: {}: 422 for {:?} but {text}",
                    answer.what, subject.who, fault.what, fault.fields
                )
            });
            let code = answer.code();
            let is_known = matches!(code.as_str(), "validation_failed" | "unknown_field");
            findings.check(!is_named || is_known, || format!("{}: {}: {code}", answer.what, fault.what));
            let is_documented = subject.operation.statuses().contains(&answer.status.as_u16());
            findings.check(is_documented, || format!("{}: {} is not documented", answer.what, answer.status));
        }
    })
    .await;
}

#[tokio::test]
async fn what_takes_a_body_takes_no_query() {
    each_body(async |_, subject, example, findings| {
        let address = format!("{}?no_such=1", subject.stage.address(&subject.operation.path));
        let client = subject.stage.client(subject.who);
        let call = client.request(subject.operation.method.clone(), &address).to(subject.door);
        let answer = call.json(example).send().await;
        findings.problem(&answer, subject.operation, 400, "invalid_parameter", "unknown parameter");
    })
    .await;
}
