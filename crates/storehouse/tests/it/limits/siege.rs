//! Very many guesses at one account, from everywhere, and what they cost.
//!
//! An ordinary run compares some tries of each kind; `STOREHOUSE_ROUNDS=300` is the full run.

use std::net::SocketAddr;
use std::sync::Arc;

use ::db::Db;
use accounts::{
    Accounts, FirstAdmin, Guesser, LiveSessions, LoginLimits, PasswordHash, Passwords, SessionLimits,
};
use auth::Auth;
use axum::body::Body;
use http::Request;
use kit::clock::Clock;
use kit::limit::Counting;
use kit::problem::Problem;
use kit::secret::Secret;
use kit::server::Peer;
use kit::service::{Service, Surroundings};
use kit::shared::Shared;
use serde_json::{Value, json};

use crate::harness::{Answer, App, SECRET, TestDatabase, each_engine, limited_app};

const PASSWORD: &str = "password123";

async fn log_in(app: &App, address: &str, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    app.nobody().at(address).post("/auth/login", body).await
}

async fn register(app: &App, name: &str) {
    let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD, "username": name});
    app.nobody().post("/auth/register", body).await.expect(201);
}

/// How many passwords were hashed or compared so far.
async fn hashes(app: &App) -> u64 {
    let metrics =
        app.nobody().request(http::Method::GET, "/metrics").to("auth").send().await.expect(200).text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("storehouse_password_hash_seconds_count "));
    line.unwrap().parse().unwrap()
}

/// All of an answer but what differs each time.
fn comparable(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let differs = ["x-request-id", "date", "ratelimit"];
    let headers = answer.headers.iter().filter(|(name, _)| !differs.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let mut body = answer.json();
    body["request_id"] = Value::Null;
    (answer.status.as_u16(), headers.collect(), body)
}

fn rounds() -> usize {
    std::env::var("STOREHOUSE_ROUNDS").map_or(8, |rounds| rounds.parse().unwrap())
}

/// What each costs is the one hash, always of the same cost; how long that takes is measured by the benchmark.
#[tokio::test]
async fn a08_known_and_unknown_accounts_cost_the_same_and_wait_the_same() {
    limited_app(async |app| {
        register(app, "ada").await;
        for round in 0..rounds() {
            let address = |kind: usize| format!("10.{kind}.{}.{}", round / 250, round % 250 + 1);
            let mut said = Vec::new();
            for (kind, email) in ["ada@example.com", "unknown@example.com"].into_iter().enumerate() {
                let before = hashes(app).await;
                let answer = log_in(app, &address(kind), email, "wrong password").await;
                assert_eq!(hashes(app).await - before, 1, "{email}");
                said.push(comparable(&answer.problem(401, "invalid_credentials")));
            }
            assert_eq!(said[0], said[1]);
        }
        let mut tries = Vec::new();
        for (address, email) in [("10.9.0.1", "ada@example.com"), ("10.9.0.2", "unknown@example.com")] {
            let mut count = 0;
            let last = loop {
                let answer = log_in(app, address, email, "wrong password").await;
                count += 1;
                if answer.status != 401 {
                    break answer;
                }
            };
            tries.push((count, comparable(&last)));
        }
        assert_eq!(tries[0], tries[1]);
    })
    .await;
}

#[tokio::test]
async fn a11_guessing_is_throttled_and_the_owner_gets_in() {
    limited_app(async |app| {
        register(app, "ada").await;
        let mut evaluated = 0;
        for _ in 0..100 {
            let answer = log_in(app, "192.0.2.1", "ada@example.com", "wrong password").await;
            evaluated += i32::from(answer.status == 401);
        }
        assert_eq!(evaluated, 5, "of a hundred at one account");
        let mut evaluated = 0;
        for number in 0..100 {
            let email = format!("user{number}@example.com");
            evaluated += i32::from(log_in(app, "192.0.2.2", &email, PASSWORD).await.status == 401);
        }
        assert_eq!(evaluated, 10, "of a hundred accounts with one password");
        log_in(app, "192.0.2.3", "ada@example.com", PASSWORD).await.expect(200);
    })
    .await;
}

/// The auth service alone, with limits that the test can count against without hashing.
struct Besieged {
    service: Service,
    limits: Arc<LoginLimits>,
}

impl Besieged {
    fn new(db: Db) -> Self {
        let (clock, secret) = (Clock::stopped(), Secret::new(SECRET));
        let live = LiveSessions::new(db.clone(), clock.clone(), SessionLimits::default());
        let currency = "USD".parse().unwrap();
        let shared = Arc::new(Shared::new(db.clone(), clock.clone(), &secret, live.clone(), currency));
        let passwords = Passwords::new(PasswordHash::Argon2id, false).unwrap();
        let refusals = shared.refusals.clone();
        let accounts = Accounts::new(
            &secret,
            passwords,
            LoginLimits::new(Some(&Counting::alone(clock))),
            live,
            refusals.clone(),
        );
        let limits = accounts.login_limits.clone();
        let surroundings = Surroundings {
            db,
            readiness: Default::default(),
            metrics: Default::default(),
            refusals,
            docs: false,
        };
        let auth =
            Auth::new(shared, accounts, FirstAdmin::NotPromoted, None, std::collections::BTreeSet::new);
        Self { service: auth::service(auth, &surroundings), limits }
    }

    /// So many wrong guesses, each from an address of its own.
    fn guess(&self, email: &str, count: u32) {
        for number in 0..count {
            let address = Some(std::net::IpAddr::from((0x0b00_0000 + number).to_be_bytes()));
            let attempt = self.limits.begin(email, address, Guesser::Stranger).unwrap();
            attempt.settle::<()>(Err(Problem::invalid_credentials("wrong"))).unwrap_err();
        }
    }

    async fn ask(&self, address: &str, path: &str, body: Value) -> u16 {
        let request = Request::post(path).header("content-type", "application/json");
        let mut request = request.body(Body::from(body.to_string())).unwrap();
        let peer = SocketAddr::new(address.parse().unwrap(), 50_000);
        request.extensions_mut().insert(Peer::new(peer));
        self.service.answer(request).await.response.status().as_u16()
    }

    async fn log_in(&self, address: &str, email: &str) -> u16 {
        self.ask(address, "/auth/login", json!({"email": email, "password": PASSWORD})).await
    }
}

#[tokio::test]
async fn a11_after_a_thousand_guesses_a_day_whoever_was_there_before_still_gets_in() {
    let test = async |database: &TestDatabase| {
        let auth = Besieged::new(database.open().await);
        let ada = json!({"email": "ada@example.com", "password": PASSWORD, "username": "ada"});
        assert_eq!(auth.ask("192.0.2.1", "/auth/register", ada).await, 201);
        assert_eq!(auth.log_in("2001:db8:1:2::1", "ada@example.com").await, 200);
        for email in ["ada@example.com", "unknown@example.com"] {
            auth.guess(email, 1000);
        }
        assert_eq!(auth.log_in("192.0.2.1", "ada@example.com").await, 200, "registered there");
        assert_eq!(
            auth.log_in("2001:db8:1:2:3::4", "ada@example.com").await,
            200,
            "logged in from that network"
        );
        for stranger in ["192.0.2.2", "2001:db8:1:3::1"] {
            assert_eq!(auth.log_in(stranger, "ada@example.com").await, 429);
            assert_eq!(auth.log_in(stranger, "unknown@example.com").await, 429, "as of an account");
            let bob = json!({"email": format!("bob{}@example.com", stranger.len()), "password": PASSWORD, "username": format!("bob{}", stranger.len())});
            assert_eq!(auth.ask(stranger, "/auth/register", bob).await, 201, "and nobody else is concerned");
        }
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

#[tokio::test]
async fn the_last_addresses_are_remembered_and_no_more() {
    let test = async |database: &TestDatabase| {
        let app = App::with(database, |options| options.rate_limit = false).await;
        register(&app, "ada").await;
        for number in 1..=20 {
            app.clock.advance(std::time::Duration::from_secs(1));
            log_in(&app, &format!("192.0.2.{number}"), "ada@example.com", PASSWORD).await.expect(200);
        }
        log_in(&app, "192.0.2.20", "ada@example.com", PASSWORD).await.expect(200);
        let rows = crate::contract::dump::dump(&app.db).await;
        let marks = rows.iter().filter(|row| row.starts_with("login_addresses")).count();
        assert_eq!(marks, 16, "{rows:?}");
        let stored = rows.join("\n");
        assert!(!stored.contains("login_addresses 192.0.2"), "no address stands there");
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}
