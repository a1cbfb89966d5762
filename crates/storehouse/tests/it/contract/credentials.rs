//! Who calls: no token, a bad one, one whose session is over, one of too small a role.

use std::time::Duration;

use http::Method;
use kit::secret::Secret;
use kit::token::{ACCESS_LIFETIME, Tokens};
use serde_json::json;

use super::document::Operation;
use super::each_operation;
use super::stage::{Findings, Stage, Who};
use crate::harness::{Answer, Client, each_app};

/// A request whose body would be refused too, were the caller not refused first.
async fn ask(client: &Client<'_>, stage: &Stage<'_>, operation: &Operation, door: &'static str) -> Answer {
    stage.call(client, operation, door).send().await
}

#[tokio::test]
async fn j01_without_a_token_there_is_401() {
    each_operation(async |stage, operation, door, findings| {
        if operation.is_public() {
            return;
        }
        let answer = ask(stage.client(Who::Nobody), stage, operation, door).await;
        findings.problem(&answer, operation, 401, "missing_token", "no token");
        let challenge = answer.header("www-authenticate");
        findings.check(challenge == "Bearer", || format!("{}: {challenge:?}", operation.key()));
    })
    .await;
}

#[tokio::test]
async fn j01_with_no_good_token_there_is_401() {
    each_operation(async |stage, operation, door, findings| {
        if operation.is_public() {
            return;
        }
        let owner = stage.client(Who::Owner);
        let good = owner.token.clone().unwrap();
        let (head, signature) = good.rsplit_once('.').unwrap();
        let foreign =
            Tokens::new(&Secret::new("another-secret-of-32-bytes-or-more"), owner.app.clock.clone());
        let (id, email) = (owner.id, owner.email.as_str());
        let foreign = foreign.sign(id, email, kit::identity::Role::Admin, uuid::Uuid::now_v7()).unwrap();
        let sent = [
            String::new(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            "Bearer nonsense".to_owned(),
            "Bearer a.b.c".to_owned(),
            format!("Bearer {head}."),
            format!("Bearer {head}.{}", signature.chars().rev().collect::<String>()),
            format!("Bearer {}", foreign.expose()),
            "Basic dXNlcjpwYXNz".to_owned(),
            good.clone(),
        ];
        for value in sent {
            let call = stage.call(stage.client(Who::Nobody), operation, door).header("authorization", &value);
            expect_invalid(findings, &call.send().await, operation, &value);
        }
    })
    .await;
}

fn expect_invalid(findings: &mut Findings, answer: &Answer, operation: &Operation, what: &str) {
    findings.problem(answer, operation, 401, "invalid_token", what);
    let challenge = answer.header("www-authenticate");
    let says_why = challenge == "Bearer error=\"invalid_token\"";
    findings.check(says_why, || format!("{}: {what}: {challenge:?}", operation.key()));
}

#[tokio::test]
async fn two_tokens_are_refused() {
    each_operation(async |stage, operation, door, findings| {
        if operation.is_public() {
            return;
        }
        let caller = stage.caller(operation);
        let again = format!("Bearer {}", caller.token.clone().unwrap());
        let answer = stage.call(caller, operation, door).header("authorization", &again).send().await;
        findings.problem(&answer, operation, 400, "duplicate_header", "two tokens");
    })
    .await;
}

#[tokio::test]
async fn a_token_of_a_session_that_is_over_is_no_token() {
    each_app(async |app| {
        let user = app.customer("gone").await;
        user.get("/users/me").await.expect(200);
        user.post("/auth/logout", json!({})).await.expect(204);
        for (door, path) in [
            ("gateway", "/users/me"),
            ("users", "/users/me"),
            ("orders", "/orders"),
            ("inventory", "/products"),
        ] {
            let answer = user.request(Method::GET, path).to(door).send().await;
            answer.problem(401, "invalid_token");
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_of_another_role_than_the_accounts_is_no_token() {
    each_app(async |app| {
        let user = app.customer("climber").await;
        let claims = app.tokens.verify(user.token.clone().unwrap()).unwrap();
        let forged = app.tokens.sign(user.id, &user.email, kit::identity::Role::Admin, claims.sid).unwrap();
        user.with_token(forged.expose()).get("/users").await.problem(401, "invalid_token");
        let stranger = app.customer("stranger").await;
        let mixed = app.tokens.sign(stranger.id, &user.email, kit::identity::Role::Customer, claims.sid);
        user.with_token(mixed.unwrap().expose()).get("/users/me").await.problem(401, "invalid_token");
    })
    .await;
}

#[tokio::test]
async fn a_token_past_its_time_is_no_token() {
    each_app(async |app| {
        let user = app.customer("sleeper").await;
        user.get("/users/me").await.expect(200);
        app.clock.advance(ACCESS_LIFETIME + Duration::from_secs(120));
        user.get("/users/me").await.problem(401, "invalid_token");
    })
    .await;
}
