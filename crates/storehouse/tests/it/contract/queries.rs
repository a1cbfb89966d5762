//! Queries: unknown, repeated and malformed parameters, and cursors where they don't belong.

use http::Method;
use serde_json::Value;

use super::document::{Document, Operation};
use super::each_operation;
use super::stage::{Findings, Stage};
use crate::harness::{Answer, Client};

async fn ask(
    client: &Client<'_>,
    stage: &Stage<'_>,
    operation: &Operation,
    door: &'static str,
    query: &str,
) -> Answer {
    let address = format!("{}?{query}", stage.address(&operation.path));
    client.request(operation.method.clone(), &address).to(door).send().await
}

/// Sends each query, and sees it refused with this code, naming this parameter.
async fn refuse(
    stage: &Stage<'_>,
    operation: &Operation,
    door: &'static str,
    findings: &mut Findings,
    queries: &[(&str, String)],
) {
    for (name, query) in queries {
        let answer = ask(stage.caller(operation), stage, operation, door, query).await;
        let code = if *name == "cursor" { "invalid_cursor" } else { "invalid_parameter" };
        findings.problem(&answer, operation, 400, code, query);
        if answer.status == 400 {
            let fields = answer.faulty_fields();
            findings.check(fields == [*name], || format!("{} names {fields:?}", answer.what));
        }
    }
}

#[tokio::test]
async fn z05_an_unknown_parameter_is_refused() {
    each_operation(async |stage, operation, door, findings| {
        if operation.body_schema().is_none() {
            let queries = ["no_such=1", "no_such", "no_such="].map(|query| ("no_such", query.to_owned()));
            refuse(stage, operation, door, findings, &queries).await;
            refuse(stage, operation, door, findings, &[("Limit", "Limit=1".to_owned())]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn i10_the_parameters_of_a_page_are_bounded() {
    each_operation(async |stage, operation, door, findings| {
        if !operation.is_list() {
            return;
        }
        let wrong = [
            ("limit", &["0", "-1", "201", "x", "1e9", "1.5", "", "%2B5", "99999999999999999999"][..]),
            ("sort", &["no_such", "-no_such", "", "-", "--created_at", "id", "created_at,number", "1;--"]),
            ("count", &["x", "", "EXACT", "true", "1"]),
            ("cursor", &["x", "", "%00", "null", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]),
        ];
        for (name, values) in wrong {
            let queries: Vec<_> = values.iter().map(|value| (name, format!("{name}={value}"))).collect();
            // A value that no text may have is a bad parameter first.
            let queries: Vec<_> = queries
                .into_iter()
                .filter(|(name, query)| *name != "cursor" || !query.contains("%00"))
                .collect();
            refuse(stage, operation, door, findings, &queries).await;
        }
        let twice = ["limit=1&limit=1", "sort=created_at&sort=created_at", "count=exact&count=exact"];
        let twice = twice.map(|query| (query.split('=').next().unwrap(), query.to_owned()));
        refuse(stage, operation, door, findings, &twice).await;
    })
    .await;
}

#[tokio::test]
async fn a_filter_of_the_wrong_kind_is_refused() {
    let document = Document::new();
    each_operation(async |stage, operation, door, findings| {
        for parameter in operation.parameters("query") {
            let name = parameter["name"].as_str().unwrap();
            if matches!(name, "limit" | "sort" | "count" | "cursor") {
                continue;
            }
            let mut values = vec!["%00".to_owned(), "x".repeat(1001)];
            if !is_free_text(&document, &parameter["schema"]) {
                values.extend(["", "no_such", "1", "%27"].map(str::to_owned));
            }
            let queries: Vec<_> = values.iter().map(|value| (name, format!("{name}={value}"))).collect();
            // A position that is none is told as a cursor that is none (tests/it/events/endpoints.rs).
            if name != "after" {
                refuse(stage, operation, door, findings, &queries).await;
            }
            refuse(stage, operation, door, findings, &[(name, format!("{name}=a&{name}=a"))]).await;
        }
    })
    .await;
}

fn is_free_text(document: &Document, schema: &Value) -> bool {
    let is_bound = |shape: &&Value| {
        ["format", "const", "enum", "pattern"].iter().any(|word| !shape[word].is_null())
            || shape["type"] == "boolean"
    };
    !document.alternatives(schema).iter().any(is_bound)
}

#[tokio::test]
async fn a_cursor_is_good_only_where_it_came_from() {
    let document = Document::new();
    let lists: Vec<Operation> =
        document.operations().into_iter().filter(|operation| operation.is_list()).collect();
    each_operation(async |stage, operation, door, findings| {
        if !operation.is_list() {
            return;
        }
        let caller = stage.caller(operation);
        let first = ask(caller, stage, operation, door, "limit=1").await.expect(200);
        let cursor = first.json()["next_cursor"].as_str().expect("a second page").to_owned();
        check_link(stage, operation, door, &first, findings).await;
        let sort = operation.json["x-sorts"][0].as_str().unwrap();
        let mut wrong = vec![
            format!("cursor={cursor}x"),
            format!("cursor={}", &cursor[..cursor.len() - 2]),
            format!("cursor={}", &cursor[1..]),
            format!("cursor={}", cursor.chars().rev().collect::<String>()),
            format!("cursor={cursor}&sort={sort}"),
        ];
        let filters =
            operation.parameters("query").into_iter().map(|filter| filter["name"].as_str().unwrap());
        wrong.extend(filters.filter(|name| *name == "q").map(|name| format!("cursor={cursor}&{name}=a")));
        for query in wrong {
            let answer = ask(caller, stage, operation, door, &query).await;
            findings.problem(&answer, operation, 400, "invalid_cursor", &query);
        }
        for other in lists.iter().filter(|other| other.path != operation.path) {
            let query = format!("cursor={cursor}");
            let answer = ask(stage.caller(other), stage, other, door_of(door, other), &query).await;
            findings.problem(&answer, other, 400, "invalid_cursor", "another list's cursor");
        }
    })
    .await;
}

fn door_of(door: &'static str, operation: &Operation) -> &'static str {
    if door == "gateway" { door } else { operation.service() }
}

/// `Link` leads to the next page, with another limit too.
async fn check_link(
    stage: &Stage<'_>,
    operation: &Operation,
    door: &'static str,
    first: &Answer,
    findings: &mut Findings,
) {
    let link = first.header("link");
    let next = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
    let next = next.unwrap_or_else(|| panic!("{}: Link: {link:?}", operation.path));
    let caller = stage.caller(operation);
    let second = caller.request(Method::GET, next).to(door).send().await;
    findings.check(second.status == 200, || format!("{next}: {} {}", second.status, second.text()));
    let is_other = second.json()["items"] != first.json()["items"];
    findings.check(is_other, || format!("{next}: the same page again"));
}

#[tokio::test]
async fn a_cursor_is_its_callers_own() {
    each_operation(async |stage, operation, door, findings| {
        if !operation.is_list() || operation.path.starts_with("/auth") {
            return;
        }
        let (giver, taker) = (stage.second_admin(), stage.client(super::stage::Who::Admin));
        let first = ask(giver, stage, operation, door, "limit=1").await.expect(200);
        let query = format!("cursor={}", first.json()["next_cursor"].as_str().unwrap());
        let answer = ask(taker, stage, operation, door, &query).await;
        findings.problem(&answer, operation, 400, "invalid_cursor", "another caller's cursor");
    })
    .await;
}

#[tokio::test]
async fn a_page_can_be_counted() {
    each_operation(async |stage, operation, door, findings| {
        if operation.is_list() {
            let caller = stage.caller(operation);
            let plain = ask(caller, stage, operation, door, "limit=200").await.expect(200).json();
            let counted = ask(caller, stage, operation, door, "limit=1&count=exact").await.expect(200).json();
            let length = plain["items"].as_array().unwrap().len();
            let is_right = plain.get("total").is_none() && counted["total"] == length;
            findings.check(is_right, || format!("{}: {counted}", operation.path));
        }
    })
    .await;
}
