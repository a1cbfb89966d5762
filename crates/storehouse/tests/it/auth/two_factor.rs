//! `/auth/totp`: codes of an authenticator and recovery codes, and what they are asked for.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::{PASSWORD, client, log_in, register, text};
use crate::contract::dump::dump;
use crate::harness::{
    self, Answer, App, Authenticator, Client, at_the_beginning_of_a_step, each_app, limited_app,
};

/// Turns it on.
async fn enrol(app: &App, client: &Client<'_>) -> Authenticator {
    harness::enrol(app, client, PASSWORD).await
}

async fn attempt(app: &App, name: &str, more: Value) -> Answer {
    let mut body = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    app.nobody().post("/auth/login", body).await
}

fn totp(code: &str) -> Value {
    json!({"totp": code})
}

fn delete<'a>(client: &Client<'a>, body: &Value) -> crate::harness::Call<'a> {
    client.request(Method::DELETE, "/auth/totp").json(body)
}

#[tokio::test]
async fn a15_a_code_is_asked_for_after_the_password_and_works_once() {
    each_app(async |app| {
        let ada = client(app, &register(app, "ada").await);
        let other = client(app, &log_in(app, "ada").await);
        let state = ada.get("/auth/totp").await.expect(200).json();
        assert_eq!(state, json!({"enabled": false, "enabled_at": null, "recovery_codes_left": 0}));
        let authenticator = enrol(app, &ada).await;
        ada.get("/users/me").await.expect(200);
        other.get("/users/me").await.problem(401, "invalid_token");
        let required = attempt(app, "ada", json!({})).await.problem(401, "totp_required");
        assert_eq!(required.header("www-authenticate"), "Bearer");
        for body in [json!({}), totp(&authenticator.code(app, 0)), totp("000000")] {
            let mut body = body;
            body["email"] = "ada@example.com".into();
            body["password"] = "wrong password".into();
            app.nobody().post("/auth/login", body).await.problem(401, "invalid_credentials");
        }
        attempt(app, "ada", totp(&authenticator.code(app, 0))).await.problem(401, "invalid_totp");
        at_the_beginning_of_a_step(app);
        let code = authenticator.code(app, 0);
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        let answer = attempt(app, "ada", totp(&spaced)).await.expect(200).json();
        client(app, &answer).get("/users/me").await.expect(200);
        attempt(app, "ada", totp(&code)).await.problem(401, "invalid_totp");
        at_the_beginning_of_a_step(app);
        let code = authenticator.code(app, 0);
        let answers = join_all((0..8).map(|_| attempt(app, "ada", totp(&code)))).await;
        let taken = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(taken, 1, "of eight at once with one code");
        for bad in ["12345", "1234567", "abcdef", ""] {
            assert_eq!(
                attempt(app, "ada", totp(bad)).await.problem(422, "validation_failed").faulty_fields(),
                ["totp"]
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a15_a_code_is_good_one_step_early_or_late() {
    each_app(async |app| {
        let authenticator = enrol(app, &client(app, &register(app, "ada").await)).await;
        app.clock.advance(Duration::from_secs(600));
        at_the_beginning_of_a_step(app);
        for steps in [-2, 2, 3] {
            attempt(app, "ada", totp(&authenticator.code(app, steps))).await.problem(401, "invalid_totp");
        }
        for steps in [-1, 0, 1] {
            attempt(app, "ada", totp(&authenticator.code(app, steps))).await.expect(200);
        }
        for steps in [-1, 0, 1] {
            attempt(app, "ada", totp(&authenticator.code(app, steps))).await.problem(401, "invalid_totp");
        }
    })
    .await;
}

#[tokio::test]
async fn a15_after_five_wrong_codes_each_waits_twice_as_long() {
    each_app(async |app| {
        let authenticator = enrol(app, &client(app, &register(app, "ada").await)).await;
        let address = |number: u32| format!("192.0.2.{number}");
        let at = async |address: &str, more: Value| {
            let mut body = json!({"email": "ada@example.com", "password": PASSWORD});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            app.nobody().at(address).post("/auth/login", body).await
        };
        app.clock.advance(Duration::from_secs(60));
        for number in 1..=5 {
            let wrong = totp(&authenticator.wrong_code(app));
            at(&address(number), wrong).await.problem(401, "invalid_totp");
        }
        for doubled in 0..7 {
            app.clock.advance(Duration::from_secs(1 << doubled));
            let wrong = totp(&authenticator.wrong_code(app));
            at(&address(9), wrong).await.problem(401, "invalid_totp");
        }
        // From wherever, and the right one too: else the wait would tell it from a wrong one.
        for number in [7, 9] {
            let right = totp(&authenticator.code(app, 0));
            let early = at(&address(number), right).await.problem(429, "rate_limited");
            let told: u64 = early.header("retry-after").parse().unwrap();
            assert!((65..=128).contains(&told), "{told}");
        }
        at(&address(7), json!({"recovery_code": authenticator.recovery_codes[0]})).await.expect(200);
        app.clock.advance(Duration::from_secs(128));
        at(&address(7), totp(&authenticator.code(app, 0))).await.expect(200);
        let wrong = totp(&authenticator.wrong_code(app));
        at(&address(7), wrong).await.problem(401, "invalid_totp");
    })
    .await;
}

/// Whoever learnt a password can't keep its owner out.
#[tokio::test]
async fn a15_wrong_codes_of_others_do_not_concern_an_address_that_logged_in_before() {
    limited_app(async |app| {
        let there = client(app, &register(app, "ada").await);
        let authenticator = enrol(app, &there).await;
        let at = async |address: &str, code: &str| {
            let body = json!({"email": "ada@example.com", "password": PASSWORD, "totp": code});
            app.nobody().at(address).post("/auth/login", body).await
        };
        at_the_beginning_of_a_step(app);
        // An address that was there without a second factor has shown nothing, the one of the registration neither.
        for number in 2..=6 {
            at(&format!("192.0.2.{number}"), &authenticator.wrong_code(app))
                .await
                .problem(401, "invalid_totp");
        }
        at("192.0.2.1", &authenticator.code(app, 0)).await.problem(429, "rate_limited");
        app.clock.advance(Duration::from_secs(30));
        at("192.0.2.1", &authenticator.code(app, 0)).await.expect(200);
        for number in 2..=6 {
            let wrong = authenticator.wrong_code(app);
            at(&format!("192.0.2.{number}"), &wrong).await.problem(401, "invalid_totp");
        }
        at("192.0.2.8", &authenticator.code(app, 1)).await.problem(429, "rate_limited");
        at("192.0.2.1", &authenticator.code(app, 1)).await.expect(200);
        // There the limits of logins hold.
        app.clock.advance(Duration::from_secs(30));
        for _ in 0..4 {
            at("192.0.2.1", &authenticator.wrong_code(app)).await.problem(401, "invalid_totp");
        }
        // Who is logged in and gives the password again doesn't make them forgotten.
        let password = json!({"current_password": PASSWORD});
        let here = there.at("192.0.2.1");
        here.post("/auth/totp/recovery-codes", password).await.problem(401, "totp_required");
        at("192.0.2.1", &authenticator.wrong_code(app)).await.problem(401, "invalid_totp");
        at("192.0.2.1", &authenticator.code(app, 1)).await.problem(429, "rate_limited");
        at("192.0.2.9", &authenticator.code(app, 1)).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a15_recovery_codes_work_once_and_nothing_that_is_stored_does() {
    each_app(async |app| {
        let ada = client(app, &register(app, "ada").await);
        let authenticator = enrol(app, &ada).await;
        let codes = &authenticator.recovery_codes;
        assert_eq!(codes.len(), 10);
        let rows = dump(&app.db).await.join("\n");
        for code in codes {
            assert!(code.len() >= 20 && !rows.contains(code.as_str()), "{code}");
            assert!(!rows.contains(&code.replace('-', "")), "{code}");
        }
        assert!(
            !rows.contains(&format!("{:?}", authenticator.bytes())[1..40])
                && !rows.contains(&authenticator.secret)
        );
        attempt(app, "ada", json!({"recovery_code": codes[0]})).await.expect(200);
        attempt(app, "ada", json!({"recovery_code": codes[0]})).await.problem(401, "invalid_totp");
        let typed = codes[1].replace('-', " ").to_uppercase();
        attempt(app, "ada", json!({"recovery_code": typed})).await.expect(200);
        let at_once = join_all((0..8).map(|_| attempt(app, "ada", json!({"recovery_code": codes[2]})))).await;
        assert_eq!(at_once.iter().filter(|answer| answer.status == 200).count(), 1);
        let state = ada.get("/auth/totp").await.expect(200).json();
        assert_eq!((&state["enabled"], &state["recovery_codes_left"]), (&json!(true), &json!(7)));
        // Another's are no good.
        let bob = client(app, &register(app, "bob").await);
        enrol(app, &bob).await;
        attempt(app, "bob", json!({"recovery_code": codes[3]})).await.problem(401, "invalid_totp");
    })
    .await;
}

#[tokio::test]
async fn a15_new_recovery_codes_take_both_factors_and_replace_the_old_ones() {
    each_app(async |app| {
        let ada = client(app, &register(app, "ada").await);
        let renew = async |more: Value| {
            let mut body = json!({"current_password": PASSWORD});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            ada.post("/auth/totp/recovery-codes", body).await
        };
        let recovery = |code: &str| json!({"recovery_code": code});
        renew(json!({})).await.problem(409, "totp_not_enabled");
        ada.post("/auth/totp", json!({"current_password": PASSWORD})).await.expect(200);
        renew(json!({})).await.problem(409, "totp_not_enabled");
        let mut authenticator = enrol(app, &ada).await;
        let old = authenticator.recovery_codes.clone();
        let other = client(app, &attempt(app, "ada", recovery(&old[0])).await.expect(200).json());
        renew(json!({"current_password": "wrong"})).await.problem(401, "invalid_credentials");
        renew(json!({})).await.problem(401, "totp_required");
        renew(totp(&authenticator.wrong_code(app))).await.problem(401, "invalid_totp");
        attempt(app, "ada", recovery(&old[1])).await.expect(200);
        at_the_beginning_of_a_step(app);
        let code = authenticator.code(app, 0);
        authenticator.keep(&renew(totp(&code)).await.expect(200).json());
        let new = authenticator.recovery_codes.clone();
        assert!(new.len() == 10 && new.iter().all(|code| !old.contains(code)), "{new:?}");
        renew(totp(&code)).await.problem(401, "invalid_totp");
        ada.get("/users/me").await.expect(200);
        other.get("/users/me").await.problem(401, "invalid_token");
        attempt(app, "ada", recovery(&old[2])).await.problem(401, "invalid_totp");
        attempt(app, "ada", recovery(&new[0])).await.expect(200);
        // One of them proves it too, and goes with the others.
        renew(recovery(&new[1])).await.expect(200);
        attempt(app, "ada", recovery(&new[2])).await.problem(401, "invalid_totp");
        let state = ada.get("/auth/totp").await.expect(200).json();
        assert_eq!((&state["enabled"], &state["recovery_codes_left"]), (&json!(true), &json!(10)));
    })
    .await;
}

#[tokio::test]
async fn a13_what_is_sensitive_takes_the_password_and_the_code() {
    each_app(async |app| {
        let ada = client(app, &register(app, "ada").await);
        ada.post("/auth/totp", json!({})).await.problem(422, "validation_failed");
        ada.post("/auth/totp", json!({"current_password": "wrong"}))
            .await
            .problem(401, "invalid_credentials");
        ada.post("/auth/totp/confirm", json!({"code": "123456"})).await.problem(409, "totp_not_begun");
        let authenticator = enrol(app, &ada).await;
        ada.post("/auth/totp", json!({"current_password": PASSWORD})).await.problem(409, "totp_enabled");
        ada.post("/auth/totp/confirm", json!({"code": "123456"})).await.problem(409, "totp_enabled");
        let before = ada.get("/users/me").await.expect(200).json();
        let change = json!({"current_password": PASSWORD, "new_password": "another password"});
        let email = json!({"current_password": PASSWORD, "email": "countess@example.com"});
        let with = |body: &Value, more: Value| {
            let mut body = body.clone();
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        at_the_beginning_of_a_step(app);
        for (more, code) in
            [(json!({}), "totp_required"), (totp(&authenticator.wrong_code(app)), "invalid_totp")]
        {
            ada.post("/auth/password", with(&change, more.clone())).await.problem(401, code);
            ada.put("/users/me", with(&email, more.clone())).await.problem(401, code);
            delete(&ada, &with(&json!({"current_password": PASSWORD}), more)).send().await.problem(401, code);
        }
        let wrong = json!({"current_password": "wrong", "totp": authenticator.code(app, 0)});
        delete(&ada, &wrong).send().await.problem(401, "invalid_credentials");
        ada.put("/users/me", json!({"email": "countess@example.com"})).await.problem(403, "forbidden");
        assert_eq!(ada.get("/users/me").await.expect(200).json(), before);
        ada.put("/users/me", with(&email, totp(&authenticator.code(app, 0)))).await.expect(200);
        let code = json!({"recovery_code": authenticator.recovery_codes[0]});
        ada.post("/auth/password", with(&change, code)).await.expect(204);
        at_the_beginning_of_a_step(app);
        let off = json!({"current_password": "another password", "totp": authenticator.code(app, 0)});
        delete(&ada, &off).send().await.expect(204);
        let login = json!({"email": "countess@example.com", "password": "another password"});
        app.nobody().post("/auth/login", login).await.expect(200);
        let state = ada.get("/auth/totp").await.expect(200).json();
        assert_eq!(state, json!({"enabled": false, "enabled_at": null, "recovery_codes_left": 0}));
    })
    .await;
}

#[tokio::test]
async fn z07_only_another_admin_turns_it_off_for_somebody() {
    each_app(async |app| {
        let root = client(app, &register(app, "root").await);
        let ada = register(app, "ada").await;
        let (path, own) = (
            format!("/users/{}/totp", text(&ada["user"], "id")),
            format!("/users/{}/totp", app.tokens.verify(root.token.clone().unwrap()).unwrap().sub),
        );
        let ada = client(app, &ada);
        enrol(app, &ada).await;
        enrol(app, &root).await;
        let staff = app.staff("staff").await;
        staff.delete(&path).await.problem(403, "forbidden");
        staff.delete(&own).await.problem(403, "forbidden");
        ada.delete(&path).await.problem(403, "forbidden");
        app.customer("bob").await.delete(&path).await.problem(404, "not_found");
        root.delete(&own).await.problem(403, "forbidden");
        attempt(app, "ada", json!({})).await.problem(401, "totp_required");
        root.delete(&path).await.expect(204);
        root.delete(&path).await.expect(204);
        ada.get("/users/me").await.problem(401, "invalid_token");
        attempt(app, "ada", json!({})).await.expect(200);
        attempt(app, "root", json!({})).await.problem(401, "totp_required");
    })
    .await;
}
