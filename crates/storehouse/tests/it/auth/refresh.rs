//! `POST /auth/refresh`

use std::time::Duration;

use accounts::{Lifetime, SessionLimits};
use serde_json::{Value, json};

use super::{PASSWORD, client, log_in, register, text};
use crate::harness::{Answer, App, TestDatabase, each_app, each_engine};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn each_refresh_gives_a_new_pair() {
    each_app(async |app| {
        let first = register(app, "ada").await;
        let second = refresh(app, &first).await.expect(200).json();
        assert_eq!(second["user"], first["user"]);
        assert_ne!(second["refresh_token"], first["refresh_token"]);
        assert_ne!(second["token"], first["token"]);
        for pair in [&first, &second] {
            client(app, pair).get("/users/me").await.expect(200);
        }
        refresh(app, &second).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn s02_the_immediate_predecessor_gets_the_same_successor_for_five_seconds() {
    each_app(async |app| {
        let first = register(app, "ada").await;
        let second = refresh(app, &first).await.expect(200).json();
        app.clock.advance(Duration::from_secs(4));
        let again = refresh(app, &first).await.expect(200).json();
        assert_eq!(again["refresh_token"], second["refresh_token"]);
        client(app, &again).get("/users/me").await.expect(200);
        app.clock.advance(Duration::from_secs(1));
        refresh(app, &first).await.problem(401, "invalid_token");
        assert_over(app, &[&first, &second, &again]).await;
    })
    .await;
}

#[tokio::test]
async fn s01_an_older_token_ends_the_session_at_once() {
    each_app(async |app| {
        let first = register(app, "ada").await;
        let second = refresh(app, &first).await.expect(200).json();
        let third = refresh(app, &second).await.expect(200).json();
        refresh(app, &first).await.problem(401, "invalid_token");
        assert_over(app, &[&first, &second, &third]).await;
    })
    .await;
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_refused_and_harms_nobody() {
    each_app(async |app| {
        let pair = register(app, "ada").await;
        let token = text(&pair, "refresh_token");
        let (session, code) = (token.split('.').next().unwrap(), token.rsplit('.').next().unwrap());
        let other = if code.starts_with('A') { "B" } else { "A" };
        let access = text(&pair, "token");
        for tampered in [
            format!("{session}.2.{code}"),
            format!("{session}.0.{code}"),
            format!("{session}.-1.{code}"),
            format!("{}.1.{code}", "0".repeat(32)),
            format!("{session}.1.{other}{}", &code[1..]),
            format!("{session}.1."),
            format!("{token}="),
            format!("{token}.1"),
            format!("{session}.99999999999999999999.{code}"),
            "x".to_owned(),
            access[..access.len().min(200)].to_owned(),
        ] {
            app.nobody()
                .post("/auth/refresh", json!({"refresh_token": tampered}))
                .await
                .problem(401, "invalid_token");
        }
        for body in [
            json!({}),
            json!({"refresh_token": null}),
            json!({"refresh_token": 1}),
            json!({"refresh_token": "x".repeat(201)}),
        ] {
            app.nobody().post("/auth/refresh", body).await.problem(422, "validation_failed");
        }
        refresh(app, &pair).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn refresh_and_access_tokens_are_not_each_other() {
    each_app(async |app| {
        let pair = register(app, "ada").await;
        let swapped = app.nobody().with_token(text(&pair, "refresh_token"));
        swapped.get("/users/me").await.problem(401, "invalid_token");
        let body = json!({"refresh_token": text(&pair, "token")});
        assert!([401, 422].contains(&app.nobody().post("/auth/refresh", body).await.status.as_u16()));
    })
    .await;
}

#[tokio::test]
async fn s03_a_refresh_token_is_bound_to_what_becomes_of_its_user() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let fates = ["password", "disabled", "logout-all", "session"];
        for fate in fates {
            let pairs = [register(app, fate).await, log_in(app, fate).await];
            let (here, there) = (client(app, &pairs[0]), client(app, &pairs[1]));
            let id = text(&pairs[0]["user"], "id");
            let session = app.tokens.verify(text(&pairs[1], "token")).unwrap().sid;
            let done = match fate {
                "password" => {
                    let change = json!({"current_password": PASSWORD, "new_password": "another password"});
                    here.post("/auth/password", change).await
                }
                "disabled" => admin.put(&format!("/users/{id}"), json!({"disabled": true})).await,
                "logout-all" => here.post("/auth/logout-all", json!({})).await,
                _ => here.delete(&format!("/auth/sessions/{session}")).await,
            };
            assert!(done.status.is_success(), "{fate}: {}", done.text());
            refresh(app, &pairs[1]).await.problem(401, "invalid_token");
            there.get("/users/me").await.problem(401, "invalid_token");
        }
    })
    .await;
}

#[tokio::test]
async fn s04_a_session_ends_when_it_was_idle_for_seven_days() {
    each_app(async |app| {
        register(app, "root").await;
        let pair = register(app, "ada").await;
        app.clock.advance(DAY * 7 - Duration::from_secs(60));
        let pair = refresh(app, &pair).await.expect(200).json();
        app.clock.advance(DAY * 7);
        refresh(app, &pair).await.problem(401, "invalid_token");
    })
    .await;
}

#[tokio::test]
async fn s04_a_session_ends_after_thirty_days_however_busy() {
    each_app(async |app| {
        register(app, "root").await;
        let mut pair = register(app, "ada").await;
        for _ in 0..5 {
            app.clock.advance(DAY * 6 - Duration::from_secs(10));
            pair = refresh(app, &pair).await.expect(200).json();
        }
        let busy = client(app, &pair);
        busy.get("/users/me").await.expect(200);
        app.clock.advance(Duration::from_secs(60));
        busy.get("/users/me").await.problem(401, "invalid_token");
        refresh(app, &pair).await.problem(401, "invalid_token");
    })
    .await;
}

#[tokio::test]
async fn s04_an_admins_session_ends_sooner() {
    each_app(async |app| {
        let idle = register(app, "root").await;
        let mut busy = log_in(app, "root").await;
        for _ in 0..24 {
            app.clock.advance(HOUR - Duration::from_secs(10));
            busy = refresh(app, &busy).await.expect(200).json();
        }
        refresh(app, &idle).await.problem(401, "invalid_token");
        let admin = client(app, &busy);
        assert_eq!(
            admin.get("/auth/sessions?count=exact").await.expect(200).json()["total"],
            1,
            "the idle one is gone"
        );
        app.clock.advance(Duration::from_secs(240));
        admin.get("/users").await.problem(401, "invalid_token");
        refresh(app, &busy).await.problem(401, "invalid_token");
    })
    .await;
}

#[tokio::test]
async fn s04_the_limits_can_be_set() {
    let test = async |database: &TestDatabase| {
        let minutes = |number: u64| Duration::from_secs(60 * number);
        let lifetime = |idle, absolute| Lifetime { idle: minutes(idle), absolute: minutes(absolute) };
        let limits = SessionLimits { people: lifetime(4, 8), admins: lifetime(1, 2) };
        let app = App::with(database, |options| options.session_limits = limits).await;
        let root = register(&app, "root").await;
        let mut ada = register(&app, "ada").await;
        app.clock.advance(minutes(1));
        refresh(&app, &root).await.problem(401, "invalid_token");
        for _ in 0..3 {
            app.clock.advance(minutes(2));
            ada = refresh(&app, &ada).await.expect(200).json();
        }
        app.clock.advance(minutes(1));
        refresh(&app, &ada).await.problem(401, "invalid_token");
        client(&app, &ada).get("/users/me").await.problem(401, "invalid_token");
        let ada = log_in(&app, "ada").await;
        app.clock.advance(minutes(4));
        refresh(&app, &ada).await.problem(401, "invalid_token");
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

#[tokio::test]
async fn s02_fifty_refreshes_of_one_token_at_once_leave_one_chain() {
    each_app(async |app| {
        let pair = register(app, "ada").await;
        let answers = futures_util::future::join_all((0..50).map(|_| refresh(app, &pair))).await;
        let tokens: Vec<Value> =
            answers.into_iter().map(|answer| answer.expect(200).json()["refresh_token"].clone()).collect();
        assert!(tokens.iter().all(|token| *token == tokens[0]));
        refresh(app, &json!({"refresh_token": tokens[0]})).await.expect(200);
    })
    .await;
}

async fn refresh(app: &App, pair: &Value) -> Answer {
    app.nobody().post("/auth/refresh", json!({"refresh_token": pair["refresh_token"]})).await
}

/// Neither the access nor the refresh tokens are good for anything.
async fn assert_over(app: &App, pairs: &[&Value]) {
    for pair in pairs {
        client(app, pair).get("/users/me").await.problem(401, "invalid_token");
        refresh(app, pair).await.problem(401, "invalid_token");
    }
}
