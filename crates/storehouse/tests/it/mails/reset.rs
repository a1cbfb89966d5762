//! A forgotten password, replaced by a token that is mailed.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use gateway::Routes;
use http::{HeaderMap, Method};
use serde_json::json;

use super::receiver::Receiver;
use super::{
    CONFIRM, PASSWORD_CHANGED, RESET, all_sent, each_mailing_app, log_in, mails_to, register, sent_to,
    token_to, waiting,
};
use crate::contract::dump::dump;
use crate::harness::{Answer, App, each_app, each_engine, limited_app};

async fn forget(app: &App, email: &str) -> Answer {
    app.nobody().post("/auth/password/forgot", json!({"email": email})).await
}

async fn reset(app: &App, token: &str, password: &str) -> Answer {
    app.nobody().post("/auth/password/reset", json!({"token": token, "new_password": password})).await
}

#[tokio::test]
async fn a10_a_mailed_token_sets_a_new_password_once_and_ends_all_sessions() {
    each_mailing_app(async |app, receiver| {
        let ada = register(app, "ada").await;
        forget(app, &ada.email).await.expect(204);
        let token = token_to(receiver, &ada.email, RESET, 1).await;
        ada.get("/users/me").await.expect(200);
        let answer = reset(app, &token, "a new one 42").await.expect(204);
        assert!(answer.body.is_empty(), "it doesn't log in");
        ada.get("/users/me").await.problem(401, "invalid_token");
        assert_eq!(log_in(app, &ada.email, "password123").await, 401);
        assert_eq!(log_in(app, &ada.email, "a new one 42").await, 200);
        reset(app, &token, "a third one 42").await.problem(401, "invalid_credentials");
        assert_eq!(log_in(app, &ada.email, "a new one 42").await, 200);
        let notice = mails_to(receiver, &ada.email, PASSWORD_CHANGED, 1).await[0].text();
        assert!(notice.contains("password of the account ada was changed at 20"), "{notice}");
    })
    .await;
}

#[tokio::test]
async fn a10_older_tokens_are_void_and_the_last_works_for_a_quarter_of_an_hour() {
    each_mailing_app(async |app, receiver| {
        let ada = register(app, "ada").await;
        forget(app, &ada.email).await.expect(204);
        let first = token_to(receiver, &ada.email, RESET, 1).await;
        all_sent(app).await;
        forget(app, &ada.email).await.expect(204);
        let second = token_to(receiver, &ada.email, RESET, 2).await;
        all_sent(app).await;
        reset(app, &first, "a new one 42").await.problem(401, "invalid_credentials");
        // A new password that can't be is told, and leaves the token as it is.
        for bad in ["ADA@example.com", "short"] {
            let refused = reset(app, &second, bad).await.problem(422, "validation_failed");
            assert_eq!(refused.faulty_fields(), ["new_password"]);
        }
        app.clock.advance(Duration::from_secs(15 * 60));
        reset(app, &second, "a new one 42").await.problem(401, "invalid_credentials");
        forget(app, &ada.email).await.expect(204);
        let third = token_to(receiver, &ada.email, RESET, 3).await;
        let body = json!({"email": ada.email, "password": "password123"});
        let ada = app.nobody().post("/auth/login", body).await.expect(200).json();
        let ada = app.nobody().with_token(ada["token"].as_str().unwrap());
        let change = json!({"current_password": "password123", "new_password": "changed 4242"});
        ada.post("/auth/password", change).await.expect(204);
        reset(app, &third, "a new one 42").await.problem(401, "invalid_credentials");
        all_sent(app).await;
        forget(app, "ada@example.com").await.expect(204);
        let fourth = token_to(receiver, "ada@example.com", RESET, 4).await;
        app.clock.advance(Duration::from_secs(15 * 60 - 60));
        reset(app, &fourth, "a new one 42").await.expect(204);
    })
    .await;
}

/// What of an answer doesn't differ from one request to the next anyway.
fn told(answer: Answer) -> (u16, HeaderMap, Vec<u8>) {
    let mut headers = answer.headers;
    headers.remove("x-request-id");
    headers.remove("date");
    (answer.status.as_u16(), headers, answer.body)
}

#[tokio::test]
async fn a10_asking_tells_nothing_of_who_has_an_account() {
    each_mailing_app(async |app, receiver| {
        let (root, ada) = (app.admin("root").await, register(app, "ada").await);
        let gone = register(app, "gone").await;
        root.put(&format!("/users/{}", gone.id), json!({"disabled": true})).await.expect(200);
        let known = told(forget(app, &ada.email).await.expect(204));
        for other in ["nobody@example.com", "gone@example.com"] {
            assert_eq!(told(forget(app, other).await), known, "{other}");
        }
        mails_to(receiver, &ada.email, RESET, 1).await;
        all_sent(app).await;
        let resets = receiver.arrived().into_iter().filter(|mail| mail.header("Subject") == RESET);
        let to: HashSet<String> = resets.flat_map(|mail| mail.to).collect();
        assert_eq!(to, HashSet::from([ada.email.clone()]));
        forget(app, "no email").await.problem(422, "validation_failed");
    })
    .await;
}

#[tokio::test]
async fn a10_how_often_it_may_be_asked_is_the_same_for_every_email() {
    limited_app(async |app| {
        register(app, "ada").await;
        for email in ["ada@example.com", "nobody@example.com"] {
            for number in 0..3 {
                let here = app.nobody().at(&format!("192.0.2.{number}"));
                here.post("/auth/password/forgot", json!({"email": email})).await.expect(204);
            }
            // Another spelling and another address are no way around.
            let (there, body) = (app.nobody().at("192.0.2.99"), json!({"email": email.to_uppercase()}));
            let refused = there.post("/auth/password/forgot", body).await.problem(429, "rate_limited");
            assert_eq!(refused.header("retry-after"), "300");
        }
        let here = app.nobody().at("192.0.2.200");
        for number in 0..10 {
            let body = json!({"email": format!("person-{number}@example.com")});
            here.post("/auth/password/forgot", body).await.expect(204);
        }
        for (path, body) in [
            ("/auth/password/forgot", json!({"email": "another@example.com"})),
            ("/auth/password/reset", json!({"token": "x", "new_password": "a new one 42"})),
            ("/auth/email/verify", json!({"token": "x"})),
        ] {
            here.post(path, body).await.problem(429, "rate_limited");
        }
        app.clock.advance(Duration::from_secs(6));
        here.post("/auth/email/verify", json!({"token": "x"})).await.problem(401, "invalid_credentials");
    })
    .await;
}

#[tokio::test]
async fn a14_the_mail_goes_to_the_address_that_is_stored() {
    each_mailing_app(async |app, receiver| {
        let body = json!({"email": "Ada@Example.com", "password": "password123", "username": "ada"});
        app.nobody().post("/auth/register", body).await.expect(201);
        forget(app, "aDA@exAMPLE.COM").await.expect(204);
        mails_to(receiver, "Ada@Example.com", RESET, 1).await;
        assert!(receiver.arrived().iter().all(|mail| mail.to == ["Ada@Example.com"]));
    })
    .await;
}

/// What a request may say of the host that it was sent to.
const HOSTS: [&str; 7] =
    ["x-forwarded-host", "x-original-host", "x-host", "x-forwarded-server", "forwarded", "referer", "origin"];

#[tokio::test]
async fn g14_links_begin_with_the_setting_whatever_a_request_says_of_its_host() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let receiver = Receiver::start().await;
        let app = App::with(database, |options| {
            sent_to(&receiver)(options);
            let mail = options.mail.as_mut().unwrap();
            mail.public_url = "https://shop.example.com/app/".parse().ok();
        })
        .await;
        let ada = register(&app, "ada").await;
        let mut request = app.nobody().request(Method::POST, "/auth/password/forgot");
        for name in HOSTS {
            let value = if name == "forwarded" { "host=evil.example" } else { "https://evil.example" };
            request = request.header(name, value);
        }
        request.json(&json!({"email": ada.email})).send().await.expect(204);
        for (subject, page) in [(RESET, "reset-password"), (CONFIRM, "verify-email")] {
            let mail = mails_to(&receiver, &ada.email, subject, 1).await.remove(0);
            let (text, begin) = (mail.text(), format!("https://shop.example.com/app/{page}#token="));
            let link = text.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(link.len(), begin.len() + 64);
            assert_eq!(text.matches("://").count(), 1, "{text}");
            assert!(!text.contains("evil") && !mail.head.contains("evil"), "{text}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b07_of_many_who_use_a_token_at_once_one_does() {
    each_mailing_app(async |app, receiver| {
        let ada = register(app, "ada").await;
        forget(app, &ada.email).await.expect(204);
        let token = token_to(receiver, &ada.email, RESET, 1).await;
        let passwords: Vec<String> = (0..8).map(|number| format!("a new one {number}")).collect();
        let answers = join_all(passwords.iter().map(|password| reset(app, &token, password))).await;
        let done: Vec<usize> = (0..8).filter(|index| answers[*index].status == 204).collect();
        assert_eq!(done.len(), 1, "{answers:?}");
        for (index, answer) in answers.into_iter().enumerate().filter(|(index, _)| *index != done[0]) {
            answer.problem(401, "invalid_credentials");
            assert_eq!(log_in(app, &ada.email, &passwords[index]).await, 401);
        }
        assert_eq!(log_in(app, &ada.email, &passwords[done[0]]).await, 200);
        mails_to(receiver, &ada.email, PASSWORD_CHANGED, 1).await;
    })
    .await;
}

#[tokio::test]
async fn s08_no_token_is_stored() {
    each_mailing_app(async |app, receiver| {
        let ada = register(app, "ada").await;
        forget(app, &ada.email).await.expect(204);
        let tokens = [
            token_to(receiver, &ada.email, RESET, 1).await,
            token_to(receiver, &ada.email, CONFIRM, 1).await,
        ];
        assert_ne!(tokens[0], tokens[1]);
        let rows = dump(&app.db).await;
        assert_eq!(rows.iter().filter(|row| row.starts_with("mail_tokens")).count(), 2, "{rows:?}");
        for token in &tokens {
            let is_hex = token.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(token.len() == 64 && is_hex, "256 bits: {token}");
            let byte = |at: usize| u8::from_str_radix(&token[2 * at..2 * at + 2], 16).unwrap();
            let bytes = format!("{:?}", (0..32).map(byte).collect::<Vec<u8>>());
            assert!(!rows.iter().any(|row| row.contains(token) || row.contains(&bytes)), "{rows:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn j10_a_mailed_token_is_good_for_its_one_purpose() {
    each_mailing_app(async |app, receiver| {
        let ada = register(app, "ada").await;
        forget(app, &ada.email).await.expect(204);
        let of_reset = token_to(receiver, &ada.email, RESET, 1).await;
        let of_email = token_to(receiver, &ada.email, CONFIRM, 1).await;
        reset(app, &of_email, "a new one 42").await.problem(401, "invalid_credentials");
        let refused = reset(app, ada.token.as_ref().unwrap(), "a new one 42").await;
        assert_eq!(refused.problem(422, "validation_failed").faulty_fields(), ["token"], "it is too long");
        let body = json!({"token": of_reset});
        app.nobody().post("/auth/email/verify", body).await.problem(401, "invalid_credentials");
        for token in [&of_reset, &of_email] {
            ada.with_token(token).get("/users/me").await.problem(401, "invalid_token");
            let body = json!({"refresh_token": token});
            app.nobody().post("/auth/refresh", body).await.problem(401, "invalid_token");
        }
        reset(app, &of_reset, "a new one 42").await.expect(204);
    })
    .await;
}

#[tokio::test]
async fn with_a_routes_file_of_before_nobody_needs_a_token_to_ask_for_one() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let text = "routes:\n  - path: /auth\n    backend: http://localhost:8083\n    methods: [\"GET\", \"POST\"]\n";
        let routes = Routes::parse(text, "routes.yaml").unwrap();
        let app = App::with(database, |options| options.routes = routes).await;
        forget(&app, "ada@example.com").await.expect(204);
        reset(&app, "x", "a new one 42").await.problem(401, "invalid_credentials");
        let nobody = app.nobody();
        nobody.post("/auth/email/verify", json!({"token": "x"})).await.problem(401, "invalid_credentials");
        nobody.post("/auth/email/verify/resend", json!({})).await.problem(401, "missing_token");
    })
    .await;
}

#[tokio::test]
async fn an_account_that_had_no_password_gets_one() {
    each_mailing_app(async |app, receiver| {
        let ada = app.customer("ada").await;
        forget(app, &ada.email).await.expect(204);
        let token = token_to(receiver, &ada.email, RESET, 1).await;
        reset(app, &token, "a new one 42").await.expect(204);
        assert_eq!(log_in(app, &ada.email, "a new one 42").await, 200);
    })
    .await;
}

#[tokio::test]
async fn what_was_asked_for_waits_once_however_often_it_was() {
    each_app(async |app| {
        for _ in 0..3 {
            forget(app, "ada@example.com").await.expect(204);
            forget(app, "bob@example.com").await.expect(204);
        }
        assert_eq!(waiting(&app.db).await, (2, 0), "no process here sends any");
    })
    .await;
}
