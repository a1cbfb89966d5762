//! `POST /auth/setup`: the first admin in production.

use std::time::Duration;

use accounts::{FirstAdmin, offer_setup};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{PASSWORD, client};
use crate::contract::dump::dump;
use crate::harness::{App, Site, TestDatabase, each_engine};

async fn production(database: &TestDatabase) -> App {
    App::with(database, |options| options.first_admin = FirstAdmin::NotPromoted).await
}

fn body(token: &str, name: &str) -> Value {
    json!({"token": token, "email": format!("{name}@example.com"), "password": PASSWORD, "username": name})
}

async fn offered(app: &App) -> String {
    offer_setup(&app.db, app.clock.now()).await.unwrap().expect("a token").expose().to_owned()
}

#[tokio::test]
async fn a06_the_token_makes_one_admin_and_is_dead() {
    let test = async |database: &TestDatabase| {
        let app = production(database).await;
        let setup = async |token: &str, name: &str| app.nobody().post("/auth/setup", body(token, name)).await;
        setup("no-such-token", "root").await.problem(401, "invalid_credentials");
        let (first, second) = (offered(&app).await, offered(&app).await);
        assert!(first != second && second.len() == 64);
        assert!(!dump(&app.db).await.join("\n").contains(&second), "it is stored");
        setup(&first, "root").await.problem(401, "invalid_credentials");
        let mut short = body(&second, "root");
        short["password"] = "short".into();
        app.nobody().post("/auth/setup", short).await.problem(422, "validation_failed");
        let names: Vec<String> = (0..6).map(|number| format!("root{number}")).collect();
        let answers = join_all(names.iter().map(|name| setup(&second, name))).await;
        let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert_eq!(made.len(), 1, "of six at once");
        assert!(answers.iter().all(|answer| [201, 401].contains(&answer.status.as_u16())));
        let admin = made[0].json();
        assert_eq!((&admin["user"]["role"], made[0].header("location").is_empty()), (&json!("admin"), false));
        let listed = client(&app, &admin).get("/users?count=exact").await.expect(200).json();
        assert_eq!(listed["total"], 1);
        setup(&second, "again").await.problem(401, "invalid_credentials");
        assert!(offer_setup(&app.db, app.clock.now()).await.unwrap().is_none(), "there is an admin");
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

#[tokio::test]
async fn a06_the_token_is_good_for_half_an_hour_and_while_there_is_no_admin() {
    let test = async |database: &TestDatabase| {
        let app = production(database).await;
        let setup = async |token: &str| app.nobody().post("/auth/setup", body(token, "root")).await;
        let token = offered(&app).await;
        app.clock.advance(Duration::from_secs(30 * 60));
        setup(&token).await.problem(401, "invalid_credentials");
        let token = offered(&app).await;
        app.admin("made.elsewhere").await;
        setup(&token).await.problem(401, "invalid_credentials");
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

#[tokio::test]
async fn a06_nobody_has_a_password_from_the_start() {
    let test = async |database: &TestDatabase| {
        let app = production(database).await;
        for name in ["admin", "root", "test", "user", "storehouse", "demo"] {
            for email in [name.to_owned(), format!("{name}@example.com"), format!("{name}@localhost")] {
                for password in [name, "password", "password123", "changeme", ""] {
                    let login = json!({"email": email, "password": password});
                    let answer = app.nobody().post("/auth/login", login).await;
                    assert!([401, 422].contains(&answer.status.as_u16()), "{email} {password}");
                }
            }
        }
    };
    // What it answers doesn't depend on the engine, and each try costs a hash.
    test(&TestDatabase::new(crate::harness::Engine::Sqlite, storehouse::migrations::MIGRATIONS).await).await;
}

#[tokio::test]
async fn a06_the_program_prints_the_token_once_at_each_start_until_there_is_an_admin() {
    let site = Site::new(None)
        .with("ENVIRONMENT", "production")
        .with("JWT_SECRET", crate::harness::SECRET)
        .with("HOST", "127.0.0.1");
    let first = site.start().await;
    let old = token_in(&first.banner()).expect("a token");
    drop(first);
    let second = site.start().await;
    let token = token_in(&second.banner()).expect("a token");
    assert_ne!(old, token);
    let mut wire = second.connect().await;
    let password = crate::harness::PASSWORD;
    let body = |token: &str| json!({"token": token, "email": "boss@example.com", "password": password, "username": "boss"});
    wire.post("/auth/setup", &body(&old)).await.unwrap().expect(401);
    let made = wire.post("/auth/setup", &body(&token)).await.unwrap().expect(201).json();
    assert_eq!(made["user"]["role"], "admin");
    wire.post("/auth/setup", &body(&token)).await.unwrap().expect(401);
    assert!(!second.log().contains(&token), "it is no word of the log");
    drop(second);
    let third = site.start().await;
    assert!(!third.banner().contains("setup"), "{}", third.banner());
}

fn token_in(banner: &str) -> Option<String> {
    let rest = banner.split("\"token\": \"").nth(1)?;
    Some(rest.split('"').next()?.to_owned())
}
