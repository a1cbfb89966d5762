//! What each command does, and how it refuses.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use kit::clock::Clock;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Authenticator, PASSWORD, Site, each_engine, eventually};

const SECRET: &str = "2b9c41f07d6e8a5312c4b0e7f9a86d5342f1c0b9e8d7a6f5";

#[track_caller]
pub(crate) fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn d01_production_refuses_a_poor_secret() {
    let production = || Site::new(None).with("ENVIRONMENT", "production");
    for secret in ["", "short", "your-secret-key-change-in-production"] {
        let site = if secret.is_empty() { production() } else { production().with("JWT_SECRET", secret) };
        for arguments in [&[][..], &["serve"], &["config"]] {
            let line = site.refusal(arguments);
            assert!(line.contains("JWT_SECRET") && line.contains("openssl rand -hex 32"), "{line}");
            assert!(secret.is_empty() || !line.contains(secret), "{line}");
        }
        assert!(!site.path("data").exists(), "nothing was made");
    }
}

#[tokio::test]
async fn g18_production_promotes_nobody_and_shows_no_docs() {
    let site = Site::new(None)
        .with("ENVIRONMENT", "production")
        .with("JWT_SECRET", SECRET)
        .with("HOST", "127.0.0.1");
    let process = site.start().await;
    assert!(process.banner().contains("storehouse admin create") && !process.banner().contains("/docs"));
    let (mut wire, registered) = process.connect().await.register("first").await;
    assert_eq!(registered["user"]["role"], "customer");
    wire.get("/openapi.json").await.unwrap().expect(404);
    assert!(!site.path("data/jwt-secret").exists());
}

#[tokio::test]
async fn migrate_says_what_it_did() {
    each_engine(&[], async |database| {
        let site = Site::new(Some(database.url()));
        let count = storehouse::migrations::MIGRATIONS.len();
        let first = said(&site.run(&["migrate"]));
        assert!(first.contains(&format!("{count} of {count} migrations")), "{first}");
        let again = said(&site.run(&["migrate"]));
        assert!(again.contains(&format!("0 of {count} migrations")), "{again}");
        assert_eq!(first.lines().count(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_older_program_refuses_a_newer_database() {
    let site = Site::new(None);
    said(&site.run(&["migrate"]));
    let database = Connection::open(site.path("data/storehouse.db")).unwrap();
    let sql = "INSERT INTO schema_migrations (number, name) VALUES (9999, 'of_the_future')";
    database.execute(sql, []).unwrap();
    drop(database);
    for arguments in [&[][..], &["migrate"], &["admin", "create", "boss@example.com"]] {
        let line = site.refusal(arguments);
        assert!(line.contains("9999") && line.contains("of_the_future"), "{line}");
    }
}

#[tokio::test]
async fn openapi_prints_the_document_that_is_served() {
    let site = Site::new(None);
    let printed: Value = serde_json::from_str(&said(&site.run(&["openapi"]))).unwrap();
    assert!(printed["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(printed["paths"]["/orders"]["post"].is_object());
    assert!(!site.path("data").exists(), "it needs no database");
    let process = site.start().await;
    let served = process.connect().await.get("/openapi.json").await.unwrap().expect(200).json();
    assert_eq!(served, printed);
}

#[tokio::test]
async fn config_masks_secrets_and_reads_back() {
    let database = "postgres://me:canary-5d@localhost/store";
    let site = Site::new(Some(database))
        .with("ENVIRONMENT", "production")
        .with("JWT_SECRET", SECRET)
        .with("CURRENCY", "EUR");
    let shown = said(&site.run(&["config"]));
    assert!(!shown.contains(SECRET) && !shown.contains("canary-5d"), "{shown}");
    assert!(shown.contains("currency = \"EUR\""), "{shown}");
    fs::write(site.path("copy.toml"), &shown).unwrap();
    let output = site.command(&["config", "--config", "copy.toml"]).env_clear().output().unwrap();
    let again = String::from_utf8(output.stdout).unwrap();
    let settings = |text: &str| text.parse::<toml::Table>().unwrap();
    assert_eq!(settings(&again), settings(&shown));
    assert_eq!(output.status.code(), Some(1), "the secret is not in it, so it would not start");
    fs::write(site.path("typo.toml"), "curency = \"EUR\"\n").unwrap();
    let line = site.refusal(&["config", "--config", "typo.toml"]);
    assert!(line.contains("curency") && line.contains("currency"), "{line}");
}

/// The original's containers have it; no command but `serve` takes a port.
#[tokio::test]
async fn a_services_port_keeps_no_other_command_from_its_work() {
    let site = Site::new(None).with("PORT", "8083").with("AUTH_PORT", "8083").with("GATEWAY_PORT", "");
    said(&site.run(&["migrate"]));
    said(&site.run(&["verify"]));
    let line = site.refusal(&["serve"]);
    assert!(line.contains("PORT is 8083") && line.contains("`storehouse serve auth`"), "{line}");
    assert!(!line.contains("GATEWAY_PORT"), "{line}");
}

#[tokio::test]
async fn a_malformed_setting_is_refused_in_one_line() {
    for (name, value) in [
        ("GATEWAY_PORT", "eighty"),
        ("ENVIRONMENT", "test"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("LOG_LEVEL", "loud"),
        ("CURRENCY", "ZZZZ"),
        ("MAX_PENDING_ORDERS", "0"),
    ] {
        let line = Site::new(None).with(name, value).refusal(&[]);
        assert!(line.contains(name), "{name}: {line}");
    }
}

/// Logs in over HTTP; answers with the role.
async fn role_of(site: &Site, email: &str, password: &str) -> String {
    let process = site.start().await;
    let login = json!({"email": email, "password": password});
    let answer = process.connect().await.post("/auth/login", &login).await.unwrap().expect(200).json();
    answer["user"]["role"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn admin_create_makes_an_admin_who_can_log_in() {
    let site = Site::new(None);
    let line = said(&site.run(&["admin", "create", "boss@example.com"]));
    let (_, rest) = line.split_once("with the password ").unwrap();
    let password = rest.split(' ').next().unwrap();
    assert_eq!(role_of(&site, "boss@example.com", password).await, "admin");
    let mut command =
        site.command(&["admin", "create", "two@example.com", "--username", "deputy", "--password-stdin"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"a pass phrase \nmore\n").unwrap();
    let told = said(&child.wait_with_output().unwrap());
    assert!(!told.contains("a pass phrase"), "{told}");
    assert_eq!(role_of(&site, "two@example.com", "a pass phrase ").await, "admin");
    for (arguments, word) in [
        (
            &["admin", "create", "boss@example.com", "--username", "other"][..],
            "an admin has this email already",
        ),
        (&["admin", "create", "three@example.com", "--username", "Deputy"], "--username"),
        (&["admin", "create", "nonsense"], "email"),
        (&["admin", "create", "four@example.com", "--password-stdin"], "password"),
    ] {
        let line = site.refusal(arguments);
        assert!(line.contains(word), "{line}");
    }
}

#[tokio::test]
async fn admin_reset_totp_lets_a_lone_admin_in_again() {
    each_engine(&[], async |database| {
        let site = Site::new(Some(database.url()));
        let process = site.start().await;
        let (mut wire, registered) = process.connect().await.register("boss").await;
        let begun = wire.post("/auth/totp", &json!({"current_password": PASSWORD})).await.unwrap();
        let authenticator = Authenticator::new(&begun.expect(200).json());
        let code = json!({"code": authenticator.code_at(Clock::default().now().seconds())});
        wire.post("/auth/totp/confirm", &code).await.unwrap().expect(200);
        let login = json!({"email": "boss@example.com", "password": PASSWORD});
        process.connect().await.post("/auth/login", &login).await.unwrap().expect(401);
        let reset = ["admin", "reset-totp", "Boss@example.com"];
        let line = said(&site.run(&reset));
        assert!(line.contains("from boss@example.com"), "{line}");
        let has_ended = async || {
            let mut again = process.connect().await.with_token(wire.token());
            again.get("/users/me").await.unwrap().status == 401
        };
        eventually("the sessions end", has_ended).await;
        let again = process.connect().await.post("/auth/login", &login).await.unwrap().expect(200).json();
        let told = async || {
            let mut wire = process.connect().await.with_token(again["token"].as_str().unwrap());
            let page = wire.get("/audit?action=totp.disabled").await.unwrap().expect(200).json();
            page["items"].as_array().unwrap().clone()
        };
        eventually("it is in the audit log", async || !told().await.is_empty()).await;
        let entry = told().await.remove(0);
        assert_eq!((&entry["object"]["id"], &entry["actor_id"]), (&registered["user"]["id"], &Value::Null));
        let mails = || {
            let files = fs::read_dir(site.path("data/mail")).into_iter().flatten();
            let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap_or_default());
            texts.filter(|text| text.contains("Your second factor was changed")).count()
        };
        eventually("both changes are told by mail", async || mails() == 2).await;
        let line = said(&site.run(&reset));
        assert!(line.contains("no second factor"), "{line}");
        assert!(site.refusal(&["admin", "reset-totp", "nobody@example.com"]).contains("no account"));
    })
    .await;
}

#[tokio::test]
async fn health_tells_by_its_exit_code() {
    let site = Site::new(None);
    let process = site.start().await;
    let url = format!("http://{}", process.gateway());
    assert!(said(&site.run(&["health", &url])).contains("ready"));
    let orders = format!("http://{}/health", process.addresses[3]);
    assert!(said(&site.run(&["health", &orders])).contains("orders"));
    let port = process.gateway().port().to_string();
    let same = Site::new(None).with("GATEWAY_PORT", &port);
    assert!(said(&same.run(&["health"])).contains(&port));
    for (part, address) in
        ["gateway", "auth", "users", "orders", "inventory"].into_iter().zip(&process.addresses)
    {
        let port = address.port().to_string();
        let same = Site::new(None).with(&format!("{}_PORT", part.to_uppercase()), &port);
        assert!(said(&same.run(&["health", part])).contains(&format!(":{port}/health/ready")), "{part}");
    }
    assert!(site.refusal(&["health", "warehouse"]).contains("neither a part nor an http:// address"));
    assert!(site.refusal(&["health", &format!("{url}/nothing")]).contains("404"));
    assert_eq!(process.signal_and_wait("TERM").await, Some(0));
    assert!(site.refusal(&["health", &url]).contains("is it running?"));
    assert_eq!(site.run(&["nonsense"]).status.code(), Some(2));
}
