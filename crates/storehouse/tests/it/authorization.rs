//! Who may do what: every operation, by every kind of caller, on what is theirs, another's and nobody's. What they may is read from the permissions
//! that the endpoints are registered with; `permissions` writes them down, so that a change of one is seen in review.

mod escalation;
mod keys;
mod permissions;
mod verbs;

use futures_util::{StreamExt, stream};
use http::Method;
use uuid::Uuid;

use crate::contract::document::{Document, Operation};
use crate::contract::examples::{examples, file};
use crate::contract::stage::{Findings, Stage, Who};
use crate::harness::{Answer, Call, Client, each_app};

/// What a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Done, or refused for another reason than who asks.
    May,
    /// 401
    Unknown,
    /// 403
    MayNot,
    /// 404
    Hidden,
}

use Outcome::{Hidden, May, MayNot, Unknown};

/// Bodies that any caller may send, where the first example is one of a role's own.
const BODIES: &[(&str, &str)] =
    &[("PUT /users/{id}", r#"{"phone": "555"}"#), ("PATCH /orders/{id}", r#"{"note": "ring twice"}"#)];

/// What a caller gets, as the operation's permission has it; the thing is the owner's.
fn permitted(operation: &Operation, who: Who) -> Outcome {
    let sees = operation.visible_to.as_ref().is_none_or(|visible_to| who.is_among(visible_to));
    match who {
        _ if who.is_among(&operation.roles) => May,
        Who::Nobody => Unknown,
        _ if sees => MayNot,
        _ => Hidden,
    }
}

/// One request of the matrix.
struct Cell<'a> {
    operation: &'a Operation,
    who: Who,
    expected: Outcome,
    door: &'static str,
}

fn cells(operations: &[Operation]) -> Vec<Cell<'_>> {
    let mut cells = Vec::new();
    for operation in operations {
        for who in Who::ALL {
            let (expected, doors) = (permitted(operation, who), ["gateway", operation.service()]);
            cells.extend(doors.map(|door| Cell { operation, who, expected, door }));
        }
    }
    cells
}

#[tokio::test]
async fn z01_each_caller_may_do_what_the_permission_says() {
    each_app(async |app| {
        let operations = Document::new().operations();
        let changes = |cell: &Cell<'_>| cell.expected == May && cell.operation.method != Method::GET;
        let (changing, still): (Vec<_>, Vec<_>) = cells(&operations).into_iter().partition(changes);
        let (shared, mut findings) = (Stage::new(app, "shared").await, Findings::default());
        for cell in &still {
            cell.check(&shared, &mut findings).await;
        }
        // What is allowed is done, so each of these has people of its own, and need not wait for the others.
        let checks = changing.iter().map(|cell| async move {
            let (stage, mut findings) = (Stage::new(app, &short_name()).await, Findings::default());
            cell.check(&stage, &mut findings).await;
            findings
        });
        let found: Vec<Findings> = stream::iter(checks).buffer_unordered(8).collect().await;
        found.into_iter().for_each(|more| findings.add(more));
        findings.finish();
    })
    .await;
}

impl Cell<'_> {
    async fn check(&self, stage: &Stage<'_>, findings: &mut Findings) {
        let Self { operation, who, expected, door } = *self;
        let before = if expected == May { Vec::new() } else { stage.dump().await };
        let address = stage.address(&operation.path);
        let answer = call(stage, operation, who, &address).to(door).send().await;
        let outcome = outcome(&answer);
        let what = format!("{} {who:?} at {door}", operation.key());
        findings.check(outcome == expected, || format!("{what}: {}, not {expected:?}", answer.status));
        if expected == May {
            let is_documented = operation.statuses().contains(&answer.status.as_u16());
            findings.check(is_documented, || format!("{what}: {} is not documented", answer.status));
            findings.check(!is_fault(&answer), || format!("{what}: {} {}", answer.status, answer.text()));
        } else {
            findings.unchanged(&before, &stage.dump().await, &what);
        }
    }
}

fn call<'a>(stage: &Stage<'a>, operation: &Operation, who: Who, address: &str) -> Call<'a> {
    call_as(stage, operation, stage.client(who), address)
}

fn call_as<'a>(stage: &Stage<'a>, operation: &Operation, client: &Client<'a>, address: &str) -> Call<'a> {
    let key = operation.key();
    let request = client.request(operation.method.clone(), address);
    let common = BODIES.iter().find(|(known, _)| *known == key).map(|(_, body)| *body);
    if let Some(file) = file(operation) {
        return request.raw("text/csv", stage.text(file));
    }
    match common.or_else(|| examples(operation).first().map(|(_, body)| *body)) {
        Some(body) => request.json(&stage.body(body)),
        None => request,
    }
}

/// Letters of one name for each stage, since user names are unique in a system.
fn short_name() -> String {
    format!("stage-{}", &Uuid::now_v7().simple().to_string()[12..])
}

/// A wrong password or refresh token is no fault of who asks.
fn outcome(answer: &Answer) -> Outcome {
    match answer.status.as_u16() {
        401 if !matches!(answer.code().as_str(), "missing_token" | "invalid_token") => May,
        401 if answer.what.contains("/auth/refresh") => May,
        401 => Unknown,
        403 => MayNot,
        404 => Hidden,
        _ => May,
    }
}

/// A request that was not understood shows nothing about who may make it.
fn is_fault(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 400 | 405 | 408 | 413 | 415 | 422 | 500..)
}

#[tokio::test]
async fn z01_what_nobody_has_is_hidden_from_everybody_alike() {
    // An account's orders outlive it, so that staff may ask for those of anybody; there are none.
    let lists_of_anybody = ["GET /orders/user/{user_id}"];
    each_app(async |app| {
        let (stage, mut findings) = (Stage::new(app, "nothing").await, Findings::default());
        let before = stage.dump().await;
        for operation in Document::new().operations().iter().filter(|operation| operation.has_id()) {
            let id = Uuid::now_v7().to_string();
            let address = operation.address_of(&id);
            for who in Who::ALL {
                let is_staff = matches!(who, Who::Staff | Who::Admin);
                let expected = match who {
                    Who::Nobody => Unknown,
                    _ if is_staff && lists_of_anybody.contains(&operation.key().as_str()) => May,
                    _ => Hidden,
                };
                let answer = call(&stage, operation, who, &address).send().await;
                let is_right = outcome(&answer) == expected;
                findings.check(is_right, || format!("{} {who:?}: {}", answer.what, answer.status));
                if expected == Hidden && permitted(operation, who) == Hidden {
                    let others = call(&stage, operation, who, &stage.address(&operation.path)).send().await;
                    let is_alike = told(&others) == told(&answer);
                    findings.check(is_alike, || format!("{} {who:?}: tells of another's", others.what));
                }
            }
        }
        findings.unchanged(&before, &stage.dump().await, "unknown ids");
        findings.finish();
    })
    .await;
}

/// All that an answer tells, but for what is another's in each.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let of_each = ["x-request-id", "date", "ratelimit", "ratelimit-policy"];
    let headers =
        answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let headers = headers.filter(|(name, _)| !of_each.contains(&name.as_str())).collect();
    (answer.status.as_u16(), headers, answer.text().replace(answer.header("x-request-id"), ""))
}

#[tokio::test]
async fn z06_lists_searches_and_counts_show_only_what_one_may_see() {
    each_app(async |app| {
        let stage = Stage::new(app, "lists").await;
        let (owner, other) = (stage.client(Who::Owner), stage.client(Who::Other));
        let order = serde_json::json!({"product_name": "Chair", "quantity": 1, "total_price": 5});
        other.post("/orders", order).await.expect(201);
        let queries = [
            ("", [2, 1, 3]),
            ("&q=laptop", [2, 0, 2]),
            ("&status=pending", [2, 1, 3]),
            ("&sort=-total_price", [2, 1, 3]),
            (&format!("&user_id={}", owner.id), [2, 0, 2]),
            (&format!("&user_id={}", other.id), [0, 1, 1]),
        ];
        for (query, totals) in queries {
            for (who, total) in [Who::Owner, Who::Other, Who::Staff].into_iter().zip(totals) {
                let listed =
                    stage.client(who).get(&format!("/orders?count=exact{query}")).await.expect(200).json();
                assert_eq!(listed["total"], total, "{who:?} {query}");
                assert_eq!(listed["items"].as_array().unwrap().len(), total, "{who:?} {query}");
            }
        }
        for path in [
            "/orders.csv",
            "/products.csv",
            "/stock.csv",
            "/stock/movements.csv",
            "/events",
            "/events/stream",
            "/users",
        ] {
            owner.get(path).await.problem(403, "forbidden");
        }
    })
    .await;
}

/// Names of one body that only staff, or only an admin, may send are unknown fields to others.
#[tokio::test]
async fn z03_what_only_others_may_set_is_an_unknown_field() {
    each_app(async |app| {
        let stage = Stage::new(app, "fields").await;
        let before = stage.dump().await;
        let (owner, staff) = (stage.client(Who::Owner), stage.client(Who::Staff));
        let own = format!("/users/{}", owner.id);
        for (field, value) in [("role", "\"admin\""), ("disabled", "false"), ("id", "\"x\""), ("version", "1")] {
            let body: serde_json::Value = serde_json::from_str(&format!("{{\"{field}\": {value}}}")).unwrap();
            for path in ["/users/me", own.as_str()] {
                let refused = owner.put(path, body.clone()).await.problem(422, "unknown_field");
                assert_eq!(refused.faulty_fields(), [field]);
            }
            staff.put("/users/me", body).await.problem(422, "unknown_field");
        }
        let order = serde_json::json!({
            "product_name": "Laptop", "quantity": 1, "total_price": 1, "user_id": staff.id, "status": "confirmed"
        });
        let refused = owner.post("/orders", order).await.problem(422, "unknown_field");
        assert_eq!(refused.faulty_fields(), ["status", "user_id"]);
        assert_eq!(stage.dump().await, before);
    })
    .await;
}
