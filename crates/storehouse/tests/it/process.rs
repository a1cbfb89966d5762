//! The program as its operator meets it: start, stop, commands, logs, files.

/// `storehouse check`.
mod check;
/// What each command does, and how it refuses.
pub(crate) mod commands;
/// `storehouse import` and `export`.
mod files;
/// Signals, with requests under way.
mod shutdown;
/// Parts as processes of their own.
mod split;
/// Databases that aren't ours, or can't be opened.
mod strangers;
/// `storehouse verify`.
mod verify;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Site, Storehouse, Wire, copy_program, each_engine, eventually};

fn laptop() -> Value {
    json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99})
}

/// The original's curl walk, with its bodies.
async fn walk(process: &Storehouse) {
    let mut wire = process.connect().await;
    let account = json!({"email": "user@example.com", "password": "password123", "username": "testuser"});
    wire.post("/auth/register", &account).await.unwrap().expect(201);
    let login = json!({"email": "user@example.com", "password": "password123"});
    let token = wire.post("/auth/login", &login).await.unwrap().expect(200).json();
    let mut wire = wire.with_token(token["token"].as_str().unwrap());
    assert_eq!(wire.get("/users/me").await.unwrap().expect(200).json()["username"], "testuser");
    let placed = wire.post("/orders", &laptop()).await.unwrap().expect(201).json();
    let listed = wire.get("/orders").await.unwrap().expect(200).json();
    assert_eq!(listed["items"][0], placed);
    wire.send(Method::DELETE, "/orders", None, None).await.unwrap().expect(405);
}

#[tokio::test]
async fn the_start_says_where_everything_is() {
    let site = Site::new(None);
    let process = site.start().await;
    let (banner, gateway) = (process.banner(), process.gateway().port());
    for part in [
        format!("on http://localhost:{gateway}\n"),
        format!("auth localhost:{}", process.addresses[1].port()),
        format!("docs      http://localhost:{gateway}/docs\n"),
        "SQLite ./data/storehouse.db".to_owned(),
        format!("curl -X POST http://localhost:{gateway}/auth/register"),
    ] {
        assert!(banner.contains(&part), "{part}: {banner}");
    }
    walk(&process).await;
    for line in process.log().lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(event.is_object());
    }
    let mut ports = process.addresses.clone();
    ports.dedup();
    assert_eq!(ports.len(), 5);
    for (address, service) in
        process.addresses.iter().zip(["gateway", "auth", "users", "orders", "inventory"])
    {
        let answer = Wire::connect(*address).await.unwrap().get("/health").await.unwrap().expect(200);
        assert_eq!(answer.json(), json!({"status": "ok", "service": service}));
    }
    assert_eq!(process.signal_and_wait("TERM").await, Some(0));
    let again = site.start().await;
    assert!(!again.banner().contains("/auth/register"), "somebody has registered: {}", again.banner());
}

#[tokio::test]
async fn a_second_start_on_the_same_ports_is_refused() {
    let site = Site::new(None);
    let process = site.start().await;
    let mut second = Site::new(None);
    let names = ["GATEWAY_PORT", "AUTH_PORT", "USERS_PORT", "ORDERS_PORT", "INVENTORY_PORT"];
    for (name, address) in names.iter().zip(&process.addresses).rev() {
        second = second.with(name, &address.port().to_string());
        let said = second.refusal(&[]);
        assert!(said.contains(name) && said.contains(&address.port().to_string()), "{said}");
    }
    assert!(!second.path("data/storehouse.db").exists(), "it has touched no database");
    walk(&process).await;
}

#[tokio::test]
async fn the_secret_of_development_is_kept() {
    let site = Site::new(None);
    let mut process = site.start().await;
    let (_, registered) = process.connect().await.register("ann").await;
    let (token, refresh) =
        (registered["token"].as_str().unwrap(), json!({"refresh_token": registered["refresh_token"]}));
    let file = site.path("data/jwt-secret");
    let secret = fs::read_to_string(&file).unwrap();
    for (path, mode) in [("data/jwt-secret", 0o600), ("data/storehouse.db", 0o600), ("data", 0o700)] {
        let found = fs::metadata(site.path(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}: {found:o}");
    }
    process.kill();
    let process = site.start().await;
    assert_eq!(fs::read_to_string(&file).unwrap(), secret);
    let mut wire = process.connect().await.with_token(token);
    wire.get("/users/me").await.unwrap().expect(200);
    wire.post("/auth/refresh", &refresh).await.unwrap().expect(200);
}

/// Free a moment ago, so that a file can name them before the start; another may take one meanwhile.
fn free_ports() -> [u16; 3] {
    let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    [bind(), bind(), bind()].map(|listener| listener.local_addr().unwrap().port())
}

/// The original's routes file, on these ports.
fn original_routes([auth, users, orders]: [u16; 3]) -> String {
    format!(
        r#"routes:
  - path: /auth
    backend: http://localhost:{auth}
    methods: ["GET", "POST"]
  - path: /users
    backend: http://localhost:{users}
    methods: ["GET", "POST", "PUT", "DELETE"]
  - path: /orders
    backend: http://localhost:{orders}
    methods: ["GET", "POST", "PUT", "DELETE"]
"#
    )
}

#[tokio::test]
async fn a_routes_file_in_the_originals_form_works() {
    let ports = free_ports();
    let mut site = Site::new(None).with("ROUTES_FILE", "their-routes.yaml");
    for (name, port) in ["AUTH_PORT", "USERS_PORT", "ORDERS_PORT"].into_iter().zip(ports) {
        site = site.with(name, &port.to_string());
    }
    fs::write(site.path("their-routes.yaml"), original_routes(ports)).unwrap();
    let process = site.start().await;
    walk(&process).await;
    let mut wire = process.connect().await;
    let refused = wire.send(Method::PATCH, "/users/me", None, None).await.unwrap().expect(405);
    assert!(!refused.header("allow").contains("PATCH"), "the file names no PATCH");
    let log = process.log();
    let warned: Vec<&str> = log.lines().filter(|line| line.contains("no route leads to")).collect();
    assert_eq!(warned.len(), 1, "{log}");
    assert!(warned[0].contains("the inventory service") && warned[0].contains("/products, /stock"), "{log}");
}

#[tokio::test]
async fn a_routes_file_with_faults_is_refused_with_their_places() {
    let site = Site::new(None).with("ROUTES_FILE", "routes.yaml");
    let text =
        original_routes([1, 2, 3]).replacen("backend: http://localhost:2", "backnd: http://localhost:2", 1);
    fs::write(site.path("routes.yaml"), text.replacen("[\"GET\", \"POST\"]", "[GTE]", 1)).unwrap();
    let output = site.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let [method, key, count] = said.lines().collect::<Vec<_>>()[..] else { panic!("three lines: {said}") };
    assert!(method.starts_with("routes.yaml:4:15: `GTE` is not a method"), "{said}");
    assert!(key.starts_with("routes.yaml:6:5: unknown key `backnd`: did you mean `backend`?"), "{said}");
    assert_eq!(count, "storehouse: the routes file routes.yaml has 2 faults");
    fs::remove_file(site.path("routes.yaml")).unwrap();
    assert!(site.refusal(&[]).contains("routes.yaml"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_in_one_process_ends_the_session_in_another() {
    each_engine(&[], async |database| {
        let site = Site::new(Some(database.url()));
        let (one, other) = (site.start().await, site.start().await);
        for (number, path) in ["/auth/logout", "/auth/logout-all"].into_iter().enumerate() {
            let (mut here, registered) = one.connect().await.register(&format!("user{number}")).await;
            let mut there = other.connect().await.with_token(registered["token"].as_str().unwrap());
            there.get("/users/me").await.unwrap().expect(200);
            here.post(path, &json!({})).await.unwrap().expect(204);
            here.get("/users/me").await.unwrap().problem(401, "invalid_token");
            let there = tokio::sync::Mutex::new(there);
            eventually("the session is dead there", async || {
                there.lock().await.get("/users/me").await.unwrap().status == 401
            })
            .await;
        }
    })
    .await;
}

/// Of this machine's users the one with the fewest rights: nothing but the data folder is writable.
#[tokio::test]
async fn it_needs_no_rights_but_to_its_data_folder() {
    let data = tempfile::tempdir().unwrap();
    let site = Site::new(None).with("DATA_DIR", &data.path().display().to_string());
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() == b"0";
    let command = if is_root {
        let program = copy_program(site.folder.path());
        assert!(Command::new("chown").arg("65534:65534").arg(data.path()).status().unwrap().success());
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]).arg(program);
        site.prepare(command, &[])
    } else {
        site.command(&[])
    };
    fs::set_permissions(site.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let before = names(site.folder.path());
    let process = site.start_as(command).await;
    walk(&process).await;
    assert_eq!(process.signal_and_wait("TERM").await, Some(0));
    let after: Vec<String> =
        names(site.folder.path()).into_iter().filter(|name| !name.starts_with("std")).collect();
    assert_eq!(after, before, "it leaves nothing where it was started");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
