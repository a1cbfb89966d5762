//! D02: every kind of secret goes through a system, and is then looked for wherever it could have been left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Server, Site, Storehouse, TestDatabase, Wire, canary, each_engine};
use crate::process::commands::said;

const PASSWORDS: [&str; 3] =
    ["canary-4f1c-password-1f6b", "canary-4f1c-password-new-77", "canary-4f1c-password-wrong"];
const JWT_SECRET: &str = "canary-4f1c-secret-0123456789-abcdefghijkl";
const METRICS_TOKEN: &str = "canary-4f1c-metrics-token";
const DATABASE: &str = "canary-4f1c-database";
const MAIL: &str = "canary-4f1c-mail";

/// Does all that handles a secret; answers with those that it was given.
async fn use_secrets(process: &Storehouse) -> Vec<String> {
    let mut wire = process.connect().await;
    let account = json!({"email": "a@example.com", "password": PASSWORDS[0], "username": "ann"});
    let registered = wire.post("/auth/register", &account).await.unwrap().expect(201).json();
    wire.post("/auth/register", &account).await.unwrap().expect(409);
    let mut given = pair(&registered);
    let login = json!({"email": "a@example.com", "password": PASSWORDS[0]});
    let second = wire.post("/auth/login", &login).await.unwrap().expect(200).json();
    let wrong = json!({"email": "a@example.com", "password": PASSWORDS[2]});
    wire.post("/auth/login", &wrong).await.unwrap().expect(401);
    let faulty = json!({"email": "a@example.com", "password": PASSWORDS[0], "nonsense": PASSWORDS[2]});
    wire.post("/auth/login", &faulty).await.unwrap().expect(422);
    let refresh = json!({"refresh_token": registered["refresh_token"]});
    let refreshed = wire.post("/auth/refresh", &refresh).await.unwrap().expect(200).json();
    let mut wire = wire.with_token(refreshed["token"].as_str().unwrap());
    given.extend([pair(&second), pair(&refreshed)].concat());
    given.extend(webhook_secrets(&mut wire).await);
    let change = json!({"current_password": PASSWORDS[0], "new_password": PASSWORDS[1]});
    wire.post("/auth/password", &change).await.unwrap().expect(204);
    let order = json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99});
    wire.send(Method::POST, "/orders", Some(&order), Some("a-key")).await.unwrap().expect(201);
    misplace(&mut wire).await;
    check_metrics(process).await;
    wire.post("/auth/logout", &json!({})).await.unwrap().expect(204);
    wire.get("/users/me").await.unwrap().expect(401);
    given
}

fn pair(answer: &Value) -> Vec<String> {
    ["token", "refresh_token"].map(|name| answer[name].as_str().unwrap().to_owned()).to_vec()
}

async fn webhook_secrets(wire: &mut Wire) -> Vec<String> {
    let webhook = json!({"url": "http://127.0.0.1:9/hook", "enabled": false});
    let made = wire.post("/webhooks", &webhook).await.unwrap().expect(201).json();
    let path = format!("/webhooks/{}/rotate", made["id"].as_str().unwrap());
    let rotated = wire.post(&path, &json!({})).await.unwrap().expect(200).json();
    wire.get("/webhooks").await.unwrap().expect(200);
    [made, rotated].map(|answer| answer["secret"].as_str().unwrap().to_owned()).to_vec()
}

/// A token in an address counts for nothing, and the log has addresses without their queries (J16).
async fn misplace(wire: &mut Wire) {
    let misplaced = format!("/users/me?token={0}&access_token={0}", wire.token());
    wire.get(&misplaced).await.unwrap().expect(400);
}

async fn check_metrics(process: &Storehouse) {
    process.connect().await.get("/metrics").await.unwrap().expect(401);
    let mut collector = process.connect().await.with_token(METRICS_TOKEN);
    canary::check_told("/metrics", &collector.get("/metrics").await.unwrap().expect(200).text());
}

/// A site with every secret that a setting may hold.
fn site(database: &str) -> Site {
    let with_password = database.replacen("storehouse@", &format!("storehouse:{DATABASE}@"), 1);
    Site::new(Some(&with_password))
        .with("LOG_LEVEL", "trace")
        .with("JWT_SECRET", JWT_SECRET)
        .with("METRICS_TOKEN", METRICS_TOKEN)
        .with("WEBHOOK_ALLOW_NETWORKS", "127.0.0.0/8")
        .with("SMTP_URL", &format!("smtp://us:{MAIL}@127.0.0.1:9"))
        .with("MAIL_FROM", "Us <us@example.com>")
        .with("LOW_STOCK_EMAILS", "buyer@example.com")
}

fn check_all(what: &str, bytes: &[u8], given: &[String]) {
    canary::check_stored(what, bytes);
    given.iter().for_each(|secret| canary::check(what, bytes, secret));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d02_j16_no_secret_is_in_logs_metrics_commands_or_backups() {
    each_engine(&[], async |database| {
        let site = site(database.url());
        let process = site.start().await;
        let given = use_secrets(&process).await;
        let backup = site.path("b.backup");
        let told = [
            site.run(&["backup", backup.to_str().unwrap()]),
            site.run(&["backup", backup.to_str().unwrap()]),
            site.run(&["config"]),
            site.run(&["verify"]),
            site.run(&["export", "orders", "-"]),
        ];
        for output in told {
            check_all("a command", &[output.stdout, output.stderr].concat(), &given);
        }
        assert_eq!(process.signal_and_wait("TERM").await, Some(0));
        let said = site.output();
        assert!(said.contains("request.headers"), "it logs what `debug` adds: {said}");
        check_all("the log", said.as_bytes(), &given);
        for secret in ["$argon2", "Bearer ey"] {
            canary::check("the log", said.as_bytes(), secret);
        }
        check_all("the backup", &readable(&backup), &given);
        let mode = fs::metadata(&backup).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        check_database(database, &given);
    })
    .await;
}

/// A backup of PostgreSQL is compressed: `pg_restore` writes it as statements.
fn readable(backup: &std::path::Path) -> Vec<u8> {
    let bytes = fs::read(backup).unwrap();
    if bytes.starts_with(b"SQLite format 3") {
        return bytes;
    }
    let plain = backup.with_extension("dump");
    let seal = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    fs::write(&plain, &bytes[..seal]).unwrap();
    let restore = Command::new("pg_restore").args(["--file=-"]).arg(&plain).output().unwrap();
    assert!(String::from_utf8_lossy(&restore.stdout).contains("COPY public.accounts"), "{restore:?}");
    restore.stdout
}

fn check_database(database: &TestDatabase, given: &[String]) {
    if let Some(file) = database.url().strip_prefix("sqlite:") {
        for end in ["", "-wal"] {
            check_all("the database", &fs::read(format!("{file}{end}")).unwrap_or_default(), given);
        }
    }
}

/// The logs that databases write ahead are looked through as they are left by a process that was killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d02_no_secret_is_in_what_a_killed_system_leaves_behind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("killed.db");
    let sqlite = site(file.to_str().unwrap());
    let mut process = sqlite.start().await;
    let given = use_secrets(&process).await;
    process.kill();
    assert!(fs::metadata(folder.path().join("killed.db-wal")).unwrap().len() > 0, "its log is still there");
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        check_all(&path.display().to_string(), &fs::read(&path).unwrap(), &given);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    let Some(mut server) = Server::start() else { return };
    let site = site(&server.url("postgres"));
    let process = site.start().await;
    let given = use_secrets(&process).await;
    drop(process);
    server.stop();
    server.each_file(|path, bytes| check_all(&path.display().to_string(), bytes, &given));
}

#[tokio::test]
async fn d02_a_start_warns_of_files_that_others_can_read() {
    let site = Site::new(None).with("LOG_FORMAT", "text");
    said(&site.run(&["migrate"]));
    let process = site.start().await;
    assert!(!process.log().contains("chmod 600"), "{}", process.log());
    assert_eq!(process.signal_and_wait("TERM").await, Some(0));
    fs::write(site.path("storehouse.toml"), format!("metrics_token = \"{METRICS_TOKEN}\"\n")).unwrap();
    for name in ["storehouse.toml", "data/storehouse.db", "data/jwt-secret"] {
        fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let process = site.start().await;
    let log = process.log();
    for name in ["storehouse.toml", "storehouse.db", "jwt-secret"] {
        assert!(log.lines().any(|line| line.contains("chmod 600") && line.contains(name)), "{name}: {log}");
    }
}
