//! Acts on what lets somebody in, and on all that is kept of them.

use http::Method;
use serde_json::{Value, json};

use super::{check, entries, only};
use crate::harness::{App, Client, at_the_beginning_of_a_step, each_app, each_shape, enrol};
use crate::mails::{RESET, each_mailing_app, token_to};

const PASSWORD: &str = "canary-4f1c of the audit";

/// Registers at an address.
async fn register<'a>(app: &'a App, name: &str) -> Client<'a> {
    let (nobody, email) = (app.nobody().at("192.0.2.7"), format!("{name}@example.com"));
    let body = json!({"email": email, "password": PASSWORD, "username": name});
    let answer = nobody.post("/auth/register", body).await.expect(201).json();
    let mut client = nobody.with_token(answer["token"].as_str().unwrap());
    (client.id, client.email) = (answer["user"]["id"].as_str().unwrap().parse().unwrap(), email);
    client
}

/// The entry is of this actor, about this person, and tells nothing else.
#[track_caller]
fn assert_plain(entry: &Value, actor: &Client<'_>, person: &Client<'_>, address: &str) {
    assert_eq!(entry["actor_id"], json!(actor.id), "{entry}");
    assert_eq!(entry["object"], json!({"kind": "user", "id": person.id}));
    assert_eq!((&entry["address"], &entry["count"]), (&json!(address), &json!(1)));
    for member in ["before", "after", "person", "key_id"] {
        assert_eq!(entry[member], json!(null), "{entry}");
    }
}

#[tokio::test]
async fn z09_a_second_factor_that_is_turned_on_or_off_is_told_with_who_did_it() {
    each_app(async |app| {
        let root = app.admin("root").await.at("192.0.2.1");
        let ada = register(app, "ada").await;
        let told =
            async |action: &str| entries(&root, &format!("action={action}&object_id={}", ada.id)).await;
        // What is refused, or was only begun, leaves nothing.
        ada.post("/auth/totp", json!({"current_password": PASSWORD})).await.expect(200);
        ada.post("/auth/totp/confirm", json!({"code": "000000"})).await.expect(422);
        root.delete(&format!("/users/{}/totp", ada.id)).await.expect(204);
        assert!(told("totp.enabled").await.is_empty() && told("totp.disabled").await.is_empty());
        let authenticator = enrol(app, &ada, PASSWORD).await;
        assert_plain(&only(told("totp.enabled").await), &ada, &ada, "192.0.2.7");
        let codes = &authenticator.recovery_codes;
        let renew = json!({"current_password": PASSWORD, "recovery_code": codes[0]});
        ada.post("/auth/totp/recovery-codes", renew.clone()).await.expect(200);
        ada.post("/auth/totp/recovery-codes", renew).await.problem(401, "invalid_totp");
        assert_plain(&only(told("totp.codes_renewed").await), &ada, &ada, "192.0.2.7");
        at_the_beginning_of_a_step(app);
        let off = |code: &str| json!({"current_password": PASSWORD, "totp": code});
        let turn_off = async |code: &str| {
            ada.request(Method::DELETE, "/auth/totp").json(&off(code)).send().await.status.as_u16()
        };
        assert_eq!(turn_off(&authenticator.wrong_code(app)).await, 401);
        assert!(told("totp.disabled").await.is_empty());
        assert_eq!(turn_off(&authenticator.code(app, 0)).await, 204);
        assert_plain(&only(told("totp.disabled").await), &ada, &ada, "192.0.2.7");
        enrol(app, &ada, PASSWORD).await;
        root.delete(&format!("/users/{}/totp", ada.id)).await.expect(204);
        assert_plain(&told("totp.disabled").await[0], &root, &ada, "192.0.2.1");
        let all = root.get("/audit?limit=200").await.expect(200).text();
        for secret in codes.iter().chain([&authenticator.secret]) {
            assert!(!all.contains(secret.as_str()), "{secret}");
        }
        check(app).await;
    })
    .await;
}

#[tokio::test]
async fn z09_a_login_tells_which_second_factor_was_given() {
    each_app(async |app| {
        let (root, ada) = (app.admin("root").await, register(app, "ada").await);
        let authenticator = enrol(app, &ada, PASSWORD).await;
        at_the_beginning_of_a_step(app);
        let codes = [authenticator.code(app, 0), authenticator.recovery_codes[0].clone()];
        for (word, code) in ["totp", "recovery_code"].into_iter().zip(codes) {
            let body = json!({"email": ada.email, "password": PASSWORD, word: code});
            app.nobody().post("/auth/login", body).await.expect(200);
            let told = entries(&root, &format!("action=login&actor_id={}", ada.id)).await;
            assert_eq!(told[0]["after"], json!({"second_factor": word}));
            assert!(!told[0].to_string().contains(&code));
        }
        check(app).await;
    })
    .await;
}

#[tokio::test]
async fn z09_a_password_that_is_reset_is_told() {
    each_mailing_app(async |app, receiver| {
        let (root, ada) = (app.admin("root").await, register(app, "ada").await);
        app.nobody().post("/auth/password/forgot", json!({"email": ada.email})).await.expect(204);
        let token = token_to(receiver, &ada.email, RESET, 1).await;
        let reset = async |token: &str| {
            let body = json!({"token": token, "new_password": "canary-4f1c, another one"});
            app.nobody().at("192.0.2.8").post("/auth/password/reset", body).await
        };
        let told = async || entries(&root, &format!("action=password.reset&object_id={}", ada.id)).await;
        reset(&"0".repeat(64)).await.problem(401, "invalid_credentials");
        assert!(told().await.is_empty());
        reset(&token).await.expect(204);
        reset(&token).await.problem(401, "invalid_credentials");
        assert_plain(&only(told().await), &ada, &ada, "192.0.2.8");
        assert!(!root.get("/audit?limit=200").await.expect(200).text().contains(&token));
        check(app).await;
    })
    .await;
}

#[tokio::test]
async fn z09_sessions_that_an_admin_ends_are_told_as_the_admins_act() {
    each_shape(async |app| {
        let (root, ada) = (app.admin("root").await.at("192.0.2.1"), register(app, "ada").await);
        let bob = app.customer("bob").await;
        let path = format!("/users/{}/sessions", ada.id);
        bob.delete(&path).await.problem(404, "not_found");
        root.delete(&path).await.expect(204);
        let told = entries(&root, &format!("action=sessions.ended&object_id={}", ada.id)).await;
        assert_plain(&only(told), &root, &ada, "192.0.2.1");
        let denied = only(entries(&root, &format!("action=access.denied&actor_id={}", bob.id)).await);
        assert_eq!(denied["after"]["asked"], "DELETE /users/{id}/sessions");
        check(app).await;
    })
    .await;
}

#[tokio::test]
async fn z09_who_downloads_what_is_kept_of_them_is_told() {
    each_shape(async |app| {
        let (root, ada) = (app.admin("root").await, register(app, "ada").await);
        app.nobody().get("/users/me/export").await.problem(401, "missing_token");
        ada.get("/users/me/export?everybody=true").await.expect(400);
        assert!(entries(&root, "action=data.exported").await.is_empty());
        ada.get("/users/me/export").await.expect(200);
        let told = only(entries(&root, "action=data.exported").await);
        assert_eq!((&told["actor_id"], &told["address"]), (&json!(ada.id), &json!("192.0.2.7")));
        assert_eq!(told["after"], json!({"file": "export.json", "filtered": true}));
        check(app).await;
    })
    .await;
}
