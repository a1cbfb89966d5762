//! D02: every kind of secret goes through a system, and is then looked for wherever it could have been left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use http::Method;
use kit::clock::Clock;
use serde_json::{Value, json};

use crate::harness::{Authenticator, Server, Site, Storehouse, TestDatabase, Wire, canary, each_engine};
use crate::mails::receiver::Receiver;
use crate::mails::{CONFIRM, RESET, token_to};
use crate::process::commands::said;

const PASSWORDS: [&str; 4] = [
    "canary-4f1c-password-1f6b",
    "canary-4f1c-password-new-77",
    "canary-4f1c-password-wrong",
    "canary-4f1c-password-reset",
];
const JWT_SECRET: &str = "canary-4f1c-secret-0123456789-abcdefghijkl";
const METRICS_TOKEN: &str = "canary-4f1c-metrics-token";
const DATABASE: &str = "canary-4f1c-database";
const MAIL: &str = "canary-4f1c-mail";

/// Secrets that were given away, as texts and as the bytes that they stand for.
type Given = Vec<Vec<u8>>;

/// Does all that handles a secret; answers with those that it was given.
async fn use_secrets(process: &Storehouse, receiver: &Receiver) -> Given {
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
    given.extend(second_factor(process, &mut wire).await);
    given.extend(api_key(process, &mut wire).await);
    check_told(process, &mut wire, &given).await;
    wire.post("/auth/logout", &json!({})).await.unwrap().expect(204);
    wire.get("/users/me").await.unwrap().expect(401);
    given.extend(mailed_tokens(process, receiver).await);
    given
}

fn text(answer: &Value, member: &str) -> Vec<u8> {
    answer[member].as_str().unwrap().as_bytes().to_vec()
}

fn pair(answer: &Value) -> Given {
    ["token", "refresh_token"].map(|name| text(answer, name)).to_vec()
}

/// What stands for bytes could lie there as such, or as PostgreSQL writes them.
fn spelled(text: &str, bytes: Vec<u8>) -> Given {
    let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![text.as_bytes().to_vec(), hexadecimal.into_bytes(), bytes]
}

fn from_hexadecimal(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(char::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(&two.iter().collect::<String>(), 16).unwrap()).collect()
}

/// An authenticator and two sets of recovery codes, used, spent, left, and sent where they don't belong.
async fn second_factor(process: &Storehouse, wire: &mut Wire) -> Given {
    let password = json!({"current_password": PASSWORDS[1]});
    let begun = wire.post("/auth/totp", &password).await.unwrap().expect(200).json();
    let mut authenticator = Authenticator::new(&begun);
    let code = json!({"code": authenticator.code_at(Clock::default().now().seconds())});
    authenticator.keep(&wire.post("/auth/totp/confirm", &code).await.unwrap().expect(200).json());
    let old = authenticator.recovery_codes.clone();
    let renew = json!({"current_password": PASSWORDS[1], "recovery_code": old[0]});
    authenticator.keep(&wire.post("/auth/totp/recovery-codes", &renew).await.unwrap().expect(200).json());
    let new = authenticator.recovery_codes.clone();
    let mut other = process.connect().await;
    let login = json!({"email": "a@example.com", "password": PASSWORDS[1], "recovery_code": new[0]});
    let logged_in = other.post("/auth/login", &login).await.unwrap().expect(200).json();
    other.post("/auth/login", &login).await.unwrap().expect(401);
    let faulty = json!({"email": "a@example.com", "recovery_code": new[1], "nonsense": authenticator.secret});
    other.post("/auth/login", &faulty).await.unwrap().expect(422);
    let misplaced = format!("/users/me?recovery_code={}&secret={}", new[1], authenticator.secret);
    wire.get(&misplaced).await.unwrap().expect(400);
    let mut given = pair(&logged_in);
    given.extend(spelled(&authenticator.secret, authenticator.bytes()));
    let codes = old.iter().chain(&new);
    given.extend(codes.flat_map(|code| spelled(code, from_hexadecimal(code))));
    given
}

/// A key that does what it was made for, what it wasn't, and is sent where it doesn't belong.
async fn api_key(process: &Storehouse, wire: &mut Wire) -> Given {
    let new = json!({"name": "The shop", "scopes": ["orders:read"]});
    let made = wire.post("/auth/keys", &new).await.unwrap().expect(201).json();
    let secret = made["secret"].as_str().unwrap();
    let mut key = process.connect().await.with_token(secret);
    key.get("/orders").await.unwrap().expect(200);
    key.get("/products").await.unwrap().expect(403);
    wire.get(&format!("/orders?api_key={secret}")).await.unwrap().expect(400);
    let random = kit::token::from_base64(&secret[14..]).unwrap()[..32].to_vec();
    spelled(&secret[14..], random)
}

/// Tokens that were mailed: one that confirms an email, one that sets a password, and one that nobody uses.
async fn mailed_tokens(process: &Storehouse, receiver: &Receiver) -> Given {
    let (mut wire, email) = (process.connect().await, "a@example.com");
    let confirming = token_to(receiver, email, CONFIRM, 1).await;
    wire.post("/auth/email/verify", &json!({"token": confirming})).await.unwrap().expect(204);
    let forgot = json!({"email": email});
    wire.post("/auth/password/forgot", &forgot).await.unwrap().expect(204);
    let used = token_to(receiver, email, RESET, 1).await;
    let reset = json!({"token": used, "new_password": PASSWORDS[3]});
    wire.post("/auth/password/reset", &reset).await.unwrap().expect(204);
    wire.post("/auth/password/reset", &reset).await.unwrap().expect(401);
    wire.post("/auth/password/forgot", &forgot).await.unwrap().expect(204);
    let unused = token_to(receiver, email, RESET, 2).await;
    let tokens = [confirming, used, unused];
    tokens.iter().flat_map(|token| spelled(token, from_hexadecimal(token))).collect()
}

async fn webhook_secrets(wire: &mut Wire) -> Given {
    let webhook = json!({"url": "http://127.0.0.1:9/hook", "enabled": false});
    let made = wire.post("/webhooks", &webhook).await.unwrap().expect(201).json();
    let path = format!("/webhooks/{}/rotate", made["id"].as_str().unwrap());
    let rotated = wire.post(&path, &json!({})).await.unwrap().expect(200).json();
    wire.get("/webhooks").await.unwrap().expect(200);
    [made, rotated].map(|answer| text(&answer, "secret")).to_vec()
}

/// A token in an address counts for nothing, and the log has addresses without their queries (J16).
async fn misplace(wire: &mut Wire) {
    let misplaced = format!("/users/me?token={0}&access_token={0}", wire.token());
    wire.get(&misplaced).await.unwrap().expect(400);
}

/// What everybody is told who may ask: the metrics, the audit log, and what is kept of a person.
async fn check_told(process: &Storehouse, wire: &mut Wire, given: &Given) {
    process.connect().await.get("/metrics").await.unwrap().expect(401);
    let mut collector = process.connect().await.with_token(METRICS_TOKEN);
    let metrics = collector.get("/metrics").await.unwrap().expect(200).text();
    canary::check_told("/metrics", &metrics);
    check_all("/metrics", metrics.as_bytes(), given);
    for path in ["/audit?limit=200", "/audit.csv", "/users/me/export", "/auth/keys", "/auth/totp"] {
        check_all(path, wire.get(path).await.unwrap().expect(200).text().as_bytes(), given);
    }
}

/// A site with every secret that a setting may hold.
fn site(database: &str, receiver: &Receiver) -> Site {
    let with_password = database.replacen("storehouse@", &format!("storehouse:{DATABASE}@"), 1);
    Site::new(Some(&with_password))
        .with("LOG_LEVEL", "trace")
        .with("JWT_SECRET", JWT_SECRET)
        .with("METRICS_TOKEN", METRICS_TOKEN)
        .with("WEBHOOK_ALLOW_NETWORKS", "127.0.0.0/8")
        .with("SMTP_URL", &format!("smtp://us:{MAIL}@127.0.0.1:{}", receiver.port()))
        .with("MAIL_FROM", "Us <us@example.com>")
        .with("LOW_STOCK_EMAILS", "buyer@example.com")
}

fn check_all(what: &str, bytes: &[u8], given: &Given) {
    canary::check_stored(what, bytes);
    given.iter().for_each(|secret| canary::check(what, bytes, secret));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d02_j16_no_secret_is_in_logs_metrics_commands_or_backups() {
    each_engine(&[], async |database| {
        let receiver = Receiver::start().await;
        let site = site(database.url(), &receiver);
        let process = site.start().await;
        let given = use_secrets(&process, &receiver).await;
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

fn check_database(database: &TestDatabase, given: &Given) {
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
    let receiver = Receiver::start().await;
    let sqlite = site(file.to_str().unwrap(), &receiver);
    let mut process = sqlite.start().await;
    let given = use_secrets(&process, &receiver).await;
    process.kill();
    assert!(fs::metadata(folder.path().join("killed.db-wal")).unwrap().len() > 0, "its log is still there");
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        check_all(&path.display().to_string(), &fs::read(&path).unwrap(), &given);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    let Some(mut server) = Server::start() else { return };
    let receiver = Receiver::start().await;
    let site = site(&server.url("postgres"), &receiver);
    let process = site.start().await;
    let given = use_secrets(&process, &receiver).await;
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
