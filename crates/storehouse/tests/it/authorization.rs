//! Who may do what: every operation, by every kind of caller, on what is theirs, another's and nobody's.

use futures_util::{StreamExt, stream};
use http::Method;
use uuid::Uuid;

use crate::contract::document::{Document, Operation};
use crate::contract::examples::{examples, file};
use crate::contract::stage::{Findings, Stage, Who};
use crate::harness::{Answer, Call, each_app};

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

/// What nobody, the owner of the thing, another customer, staff and an admin get, in this order. Where no thing is
/// named, owner and other customer are alike.
const MATRIX: &[(&str, [Outcome; 5])] = &[
    ("POST /auth/register", [May, May, May, May, May]),
    ("POST /auth/login", [May, May, May, May, May]),
    ("POST /auth/refresh", [May, May, May, May, May]),
    ("POST /auth/logout", [Unknown, May, May, May, May]),
    ("POST /auth/logout-all", [Unknown, May, May, May, May]),
    ("GET /auth/sessions", [Unknown, May, May, May, May]),
    ("DELETE /auth/sessions/{id}", [Unknown, May, Hidden, Hidden, Hidden]),
    ("POST /auth/password", [Unknown, May, May, May, May]),
    ("POST /auth/password/forgot", [May, May, May, May, May]),
    ("POST /auth/password/reset", [May, May, May, May, May]),
    ("POST /auth/email/verify", [May, May, May, May, May]),
    ("POST /auth/email/verify/resend", [Unknown, May, May, May, May]),
    ("GET /auth/validate", [Unknown, May, May, May, May]),
    ("GET /health", [May, May, May, May, May]),
    ("GET /health/ready", [May, May, May, May, May]),
    ("GET /users", [Unknown, MayNot, MayNot, May, May]),
    ("POST /users", [Unknown, MayNot, MayNot, MayNot, May]),
    ("GET /users/me", [Unknown, May, May, May, May]),
    ("PUT /users/me", [Unknown, May, May, May, May]),
    ("PATCH /users/me", [Unknown, May, May, May, May]),
    ("GET /users/{id}", [Unknown, May, Hidden, May, May]),
    ("PUT /users/{id}", [Unknown, May, Hidden, MayNot, May]),
    ("PATCH /users/{id}", [Unknown, May, Hidden, MayNot, May]),
    ("DELETE /users/{id}", [Unknown, May, Hidden, MayNot, May]),
    ("GET /orders", [Unknown, May, May, May, May]),
    ("GET /orders.csv", [Unknown, MayNot, MayNot, May, May]),
    ("POST /orders", [Unknown, May, May, May, May]),
    ("GET /orders/states", [Unknown, May, May, May, May]),
    ("GET /orders/user/{user_id}", [Unknown, May, Hidden, May, May]),
    ("GET /orders/{id}", [Unknown, May, Hidden, May, May]),
    ("PUT /orders/{id}", [Unknown, May, Hidden, May, May]),
    ("PATCH /orders/{id}", [Unknown, May, Hidden, May, May]),
    ("DELETE /orders/{id}", [Unknown, May, Hidden, May, May]),
    ("GET /orders/{id}/history", [Unknown, May, Hidden, May, May]),
    ("POST /orders/{id}/confirm", [Unknown, MayNot, Hidden, May, May]),
    ("POST /orders/{id}/hold", [Unknown, MayNot, Hidden, May, May]),
    ("POST /orders/{id}/release", [Unknown, MayNot, Hidden, May, May]),
    ("POST /orders/{id}/cancel", [Unknown, May, Hidden, May, May]),
    ("POST /orders/{id}/ship", [Unknown, MayNot, Hidden, May, May]),
    ("POST /orders/{id}/deliver", [Unknown, MayNot, Hidden, May, May]),
    ("POST /orders/{id}/return", [Unknown, MayNot, Hidden, May, May]),
    ("POST /orders/{id}/pay", [Unknown, MayNot, Hidden, May, May]),
    ("POST /orders/{id}/refund", [Unknown, MayNot, Hidden, May, May]),
    ("GET /events", [Unknown, MayNot, MayNot, May, May]),
    ("GET /events/stream", [Unknown, MayNot, MayNot, May, May]),
    ("GET /webhooks", [Unknown, MayNot, MayNot, MayNot, May]),
    ("POST /webhooks", [Unknown, MayNot, MayNot, MayNot, May]),
    ("GET /webhooks/{id}", [Unknown, Hidden, Hidden, Hidden, May]),
    ("PUT /webhooks/{id}", [Unknown, Hidden, Hidden, Hidden, May]),
    ("PATCH /webhooks/{id}", [Unknown, Hidden, Hidden, Hidden, May]),
    ("DELETE /webhooks/{id}", [Unknown, Hidden, Hidden, Hidden, May]),
    ("POST /webhooks/{id}/rotate", [Unknown, Hidden, Hidden, Hidden, May]),
    ("POST /webhooks/{id}/test", [Unknown, Hidden, Hidden, Hidden, May]),
    ("GET /webhooks/{id}/deliveries", [Unknown, Hidden, Hidden, Hidden, May]),
    ("POST /webhooks/{id}/deliveries/{delivery_id}/replay", [Unknown, Hidden, Hidden, Hidden, May]),
    ("GET /products", [Unknown, May, May, May, May]),
    ("POST /products", [Unknown, MayNot, MayNot, May, May]),
    ("GET /products.csv", [Unknown, MayNot, MayNot, May, May]),
    ("POST /products/import", [Unknown, MayNot, MayNot, May, May]),
    ("GET /products/{id}", [Unknown, May, May, May, May]),
    ("PUT /products/{id}", [Unknown, MayNot, MayNot, May, May]),
    ("PATCH /products/{id}", [Unknown, MayNot, MayNot, May, May]),
    ("DELETE /products/{id}", [Unknown, MayNot, MayNot, May, May]),
    ("GET /products/{id}/availability", [Unknown, MayNot, MayNot, May, May]),
    ("GET /products/by-sku/{sku}", [Unknown, May, May, May, May]),
    ("GET /products/by-barcode/{barcode}", [Unknown, May, May, May, May]),
    ("GET /categories", [Unknown, May, May, May, May]),
    ("POST /categories", [Unknown, MayNot, MayNot, May, May]),
    ("GET /reason-codes", [Unknown, MayNot, MayNot, May, May]),
    ("POST /reason-codes", [Unknown, MayNot, MayNot, May, May]),
    ("GET /locations", [Unknown, MayNot, MayNot, May, May]),
    ("POST /locations", [Unknown, MayNot, MayNot, May, May]),
    ("GET /locations/{id}", [Unknown, Hidden, Hidden, May, May]),
    ("PUT /locations/{id}", [Unknown, Hidden, Hidden, May, May]),
    ("DELETE /locations/{id}", [Unknown, Hidden, Hidden, May, May]),
    ("GET /stock", [Unknown, MayNot, MayNot, May, May]),
    ("GET /stock.csv", [Unknown, MayNot, MayNot, May, May]),
    ("POST /stock/import", [Unknown, MayNot, MayNot, May, May]),
    ("GET /stock/movements.csv", [Unknown, MayNot, MayNot, May, May]),
    ("GET /stock/reorder", [Unknown, MayNot, MayNot, May, May]),
    ("GET /stock/movements", [Unknown, MayNot, MayNot, May, May]),
    ("POST /stock/adjustments", [Unknown, MayNot, MayNot, May, May]),
    ("POST /stock/transfers", [Unknown, MayNot, MayNot, May, May]),
];

/// Bodies that any caller may send, where the first example is one of a role's own.
const BODIES: &[(&str, &str)] =
    &[("PUT /users/{id}", r#"{"phone": "555"}"#), ("PATCH /orders/{id}", r#"{"note": "ring twice"}"#)];

#[test]
fn every_operation_has_a_row() {
    let operations = Document::new().operations();
    let mut known: Vec<&str> = MATRIX.iter().map(|(key, _)| *key).collect();
    let mut served: Vec<String> = operations.iter().map(Operation::key).collect();
    known.sort_unstable();
    served.sort_unstable();
    assert_eq!(known, served, "each operation needs its row in MATRIX");
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
        let (_, row) = MATRIX.iter().find(|(key, _)| *key == operation.key()).expect("a row");
        for (who, expected) in Who::ALL.into_iter().zip(*row) {
            let doors = ["gateway", operation.service()];
            cells.extend(doors.map(|door| Cell { operation, who, expected, door }));
        }
    }
    cells
}

#[tokio::test]
async fn each_caller_may_do_what_the_matrix_says() {
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
    let key = operation.key();
    let request = stage.client(who).request(operation.method.clone(), address);
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
async fn what_nobody_has_is_hidden_from_everybody_alike() {
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
            }
        }
        findings.unchanged(&before, &stage.dump().await, "unknown ids");
        findings.finish();
    })
    .await;
}

#[tokio::test]
async fn a_list_shows_a_customer_only_what_is_theirs() {
    each_app(async |app| {
        let stage = Stage::new(app, "lists").await;
        for (who, expected) in [(Who::Owner, 2), (Who::Other, 0), (Who::Staff, 2), (Who::Admin, 2)] {
            let listed = stage.client(who).get("/orders?count=exact").await.expect(200).json();
            assert_eq!(listed["total"], expected, "{who:?}");
        }
        let owner = stage.client(Who::Owner).id;
        let path = format!("/orders?user_id={owner}");
        let asked = stage.client(Who::Other).request(Method::GET, &path).send().await.expect(200).json();
        assert_eq!(asked["items"].as_array().unwrap().len(), 0, "a filter opens nothing");
    })
    .await;
}

/// Names of one body that only staff, or only an admin, may send are unknown fields to others.
#[tokio::test]
async fn what_only_others_may_set_is_an_unknown_field() {
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
