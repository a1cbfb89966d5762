//! An email, confirmed by a token that is mailed to it.

use std::time::Duration;

use serde_json::json;

use super::{CONFIRM, all_sent, each_mailing_app, log_in, mails_to, register, token_to};
use crate::harness::{App, Client, each_app, eventually, limited_app};

async fn verify(app: &App, token: &str) -> u16 {
    let answer = app.nobody().post("/auth/email/verify", json!({"token": token})).await;
    if answer.status != 204 {
        return answer.problem(401, "invalid_credentials").status.as_u16();
    }
    204
}

async fn is_verified(client: &Client<'_>) -> bool {
    client.get("/users/me").await.expect(200).json()["email_verified"].as_bool().unwrap()
}

#[tokio::test]
async fn who_registers_gets_a_token_that_confirms_the_email_once() {
    each_mailing_app(async |app, receiver| {
        let ada = register(app, "ada").await;
        assert_eq!(log_in(app, &ada.email, "password123").await, 200, "it needs no confirming");
        let token = token_to(receiver, &ada.email, CONFIRM, 1).await;
        assert!(!is_verified(&ada).await);
        assert_eq!(verify(app, &token).await, 204);
        assert!(is_verified(&ada).await);
        assert_eq!(verify(app, &token).await, 401);
        for wrong in ["x", &token[1..], &format!("{token}0"), &token.to_uppercase()] {
            assert_eq!(verify(app, wrong).await, 401, "{wrong}");
        }
        ada.post("/auth/email/verify/resend", json!({})).await.problem(409, "email_verified");
        let text = mails_to(receiver, &ada.email, CONFIRM, 1).await[0].text();
        assert!(text.contains("account ada.") && text.contains("POST /auth/email/verify\n"), "{text}");
        assert!(!text.contains("http"), "no address that somebody could have chosen: {text}");
        // The first is the admin; a transaction of any other database of the server holds events back while it runs.
        eventually("the event can be read", async || {
            let changed = ada.get("/events?type=user.changed").await.expect(200).json();
            changed["items"][0]["data"]["fields"] == json!(["email_verified"])
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn only_the_last_token_works_and_for_a_day() {
    each_mailing_app(async |app, receiver| {
        let ada = register(app, "ada").await;
        let first = token_to(receiver, &ada.email, CONFIRM, 1).await;
        all_sent(app).await;
        ada.post("/auth/email/verify/resend", json!({})).await.expect(204);
        let second = token_to(receiver, &ada.email, CONFIRM, 2).await;
        assert_eq!(verify(app, &first).await, 401);
        app.clock.advance(Duration::from_secs(24 * 60 * 60 - 60));
        assert_eq!(verify(app, &second).await, 204);
        let bob = register(app, "bob").await;
        let token = token_to(receiver, &bob.email, CONFIRM, 1).await;
        app.clock.advance(Duration::from_secs(24 * 60 * 60));
        assert_eq!(verify(app, &token).await, 401);
    })
    .await;
}

#[tokio::test]
async fn a_token_is_the_emails_that_it_was_mailed_to() {
    each_mailing_app(async |app, receiver| {
        let ada = register(app, "ada").await;
        let former = token_to(receiver, &ada.email, CONFIRM, 1).await;
        all_sent(app).await;
        let change = json!({"email": "countess@example.com", "current_password": "password123"});
        ada.put("/users/me", change).await.expect(200);
        assert_eq!(verify(app, &former).await, 401);
        let present = token_to(receiver, "countess@example.com", CONFIRM, 1).await;
        assert_eq!(verify(app, &present).await, 204);
        assert!(is_verified(&ada).await);
        ada.put("/users/me", json!({"phone": "555"})).await.expect(200);
        assert!(is_verified(&ada).await);
        let change = json!({"email": "lovelace@example.com", "current_password": "password123"});
        let changed = ada.put("/users/me", change).await.expect(200).json();
        assert_eq!(changed["email_verified"], false);
    })
    .await;
}

#[tokio::test]
async fn nobody_says_so_of_himself() {
    each_app(async |app| {
        let (ada, admin) = (register(app, "ada").await, app.admin("root").await);
        let body = json!({"email_verified": true});
        for client in [&ada, &admin] {
            let refused = client.put("/users/me", body.clone()).await.problem(422, "unknown_field");
            assert_eq!(refused.faulty_fields(), ["email_verified"]);
        }
        assert!(!is_verified(&ada).await);
    })
    .await;
}

#[tokio::test]
async fn it_is_limited_how_often_a_mail_is_sent_again() {
    limited_app(async |app| {
        let ada = register(app, "ada").await;
        for _ in 0..3 {
            ada.post("/auth/email/verify/resend", json!({})).await.expect(204);
        }
        ada.post("/auth/email/verify/resend", json!({})).await.problem(429, "rate_limited");
        app.clock.advance(Duration::from_secs(5 * 60));
        ada.post("/auth/email/verify/resend", json!({})).await.expect(204);
    })
    .await;
}
