//! Changes that the holder of an account must know of.

use http::Method;
use serde_json::json;

use super::{
    CONFIRM, EMAIL_CHANGED, FACTOR_CHANGED, KEY_MADE, PASSWORD_CHANGED, all_sent, each_mailing_app, mails_to,
    register,
};
use crate::contract::dump::dump;
use crate::harness::{at_the_beginning_of_a_step, each_app, enrol};

#[tokio::test]
async fn a13_a_change_of_the_password_is_told() {
    each_mailing_app(async |app, receiver| {
        let ada = register(app, "ada").await;
        let change = |current: &str| json!({"current_password": current, "new_password": "changed 4242"});
        ada.post("/auth/password", change("password124")).await.problem(401, "invalid_credentials");
        let nothing = json!({"new_password": "changed 4242"});
        ada.post("/auth/password", nothing).await.problem(422, "validation_failed");
        all_sent(app).await;
        assert!(
            receiver.arrived().iter().all(|mail| mail.header("Subject") == CONFIRM),
            "nothing was changed"
        );
        ada.post("/auth/password", change("password123")).await.expect(204);
        let notice = mails_to(receiver, &ada.email, PASSWORD_CHANGED, 1).await;
        assert!(notice[0].text().contains("If that wasn't you"), "{}", notice[0].text());
    })
    .await;
}

#[tokio::test]
async fn a13_a_change_of_the_email_is_told_to_the_former_one() {
    each_mailing_app(async |app, receiver| {
        let ada = register(app, "ada").await;
        let change = json!({"email": "countess@example.com"});
        ada.put("/users/me", change).await.problem(403, "forbidden");
        let change = json!({"email": "countess@example.com", "current_password": "password124"});
        ada.put("/users/me", change).await.problem(401, "invalid_credentials");
        all_sent(app).await;
        assert!(
            receiver.arrived().iter().all(|mail| mail.header("Subject") == CONFIRM),
            "nothing was changed"
        );
        let change = json!({"email": "countess@example.com", "current_password": "password123"});
        ada.put("/users/me", change).await.expect(200);
        let notice = mails_to(receiver, "ada@example.com", EMAIL_CHANGED, 1).await[0].text();
        assert!(notice.contains("account ada until") && !notice.contains("countess"), "{notice}");
        mails_to(receiver, "countess@example.com", CONFIRM, 1).await;
        all_sent(app).await;
        // An admin's change is one too.
        let path = format!("/users/{}", ada.id);
        let change = json!({"email": "lovelace@example.com"});
        app.admin("root").await.put(&path, change).await.expect(200);
        mails_to(receiver, "countess@example.com", EMAIL_CHANGED, 1).await;
        mails_to(receiver, "lovelace@example.com", CONFIRM, 1).await;
    })
    .await;
}

#[tokio::test]
async fn a13_a_change_of_the_second_factor_is_told() {
    each_mailing_app(async |app, receiver| {
        let (ada, root) = (register(app, "ada").await, app.admin("root").await);
        let path = format!("/users/{}/totp", ada.id);
        // What was begun and never confirmed was never on.
        ada.post("/auth/totp", json!({"current_password": "password123"})).await.expect(200);
        root.delete(&path).await.expect(204);
        all_sent(app).await;
        assert!(
            receiver.arrived().iter().all(|mail| mail.header("Subject") == CONFIRM),
            "nothing was changed"
        );
        let authenticator = enrol(app, &ada, "password123").await;
        mails_to(receiver, &ada.email, FACTOR_CHANGED, 1).await;
        at_the_beginning_of_a_step(app);
        let off = json!({"current_password": "password123", "totp": authenticator.code(app, 0)});
        ada.request(Method::DELETE, "/auth/totp").json(&off).send().await.expect(204);
        mails_to(receiver, &ada.email, FACTOR_CHANGED, 2).await;
        let authenticator = enrol(app, &ada, "password123").await;
        mails_to(receiver, &ada.email, FACTOR_CHANGED, 3).await;
        let renew =
            json!({"current_password": "password123", "recovery_code": authenticator.recovery_codes[0]});
        ada.post("/auth/totp/recovery-codes", renew).await.expect(200);
        mails_to(receiver, &ada.email, FACTOR_CHANGED, 4).await;
        root.delete(&path).await.expect(204);
        root.delete(&path).await.expect(204);
        let notice = mails_to(receiver, &ada.email, FACTOR_CHANGED, 5).await[4].text();
        assert!(notice.contains("account ada") && !notice.contains(&authenticator.secret), "{notice}");
        all_sent(app).await;
        mails_to(receiver, &ada.email, FACTOR_CHANGED, 5).await;
    })
    .await;
}

#[tokio::test]
async fn a16_an_api_key_that_is_made_is_told() {
    each_mailing_app(async |app, receiver| {
        let root = app.admin("root").await;
        root.post("/auth/keys", json!({"name": "The shop", "scopes": []})).await.expect(422);
        let made = json!({"name": "The shop", "scopes": ["orders:read"]});
        let made = root.post("/auth/keys", made).await.expect(201).json();
        let notice = mails_to(receiver, &root.email, KEY_MADE, 1).await[0].text();
        let secret = made["secret"].as_str().unwrap();
        assert!(notice.contains("account root") && !notice.contains(secret), "{notice}");
        all_sent(app).await;
        mails_to(receiver, &root.email, KEY_MADE, 1).await;
    })
    .await;
}

#[tokio::test]
async fn an_account_that_is_deleted_leaves_nothing_of_its_mails() {
    each_mailing_app(async |app, receiver| {
        let ada = register(app, "ada").await;
        let root = app.admin("root").await;
        mails_to(receiver, &ada.email, CONFIRM, 1).await;
        all_sent(app).await;
        app.finish().await;
        let change = json!({"email": "countess@example.com", "current_password": "password123"});
        ada.put("/users/me", change).await.expect(200);
        let body = json!({"email": "Countess@example.com"});
        app.nobody().post("/auth/password/forgot", body).await.expect(204);
        let of_mails = async || -> Vec<String> {
            dump(&app.db).await.into_iter().filter(|row| row.starts_with("mail")).collect()
        };
        assert_eq!(
            of_mails().await.len(),
            3,
            "to the former address, to the new one, and a forgotten password"
        );
        root.delete(&format!("/users/{}", ada.id)).await.expect(204);
        assert_eq!(of_mails().await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_not_told() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        ada.put("/users/me", json!({"email": "ada@example.com", "phone": "555"})).await.expect(200);
        assert_eq!(super::waiting(&app.db).await, (0, 0));
    })
    .await;
}
