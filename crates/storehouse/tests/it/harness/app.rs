//! The system under test: put together as `serve` does, called through its routers, without a socket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ::db::Db;
use accounts::{FirstAdmin, NewAccount, NewSession, create_account, start_session};
use axum::body::Body;
use clap::ValueEnum;
use futures_util::FutureExt;
use gateway::{Ports, Routes};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use kit::author::Author;
use kit::clock::Clock;
use kit::identity::Role;
use kit::secret::Secret;
use kit::server::{self, Connections, Limits, Peer, Workers};
use kit::service::Service;
use kit::token::Tokens;
use serde_json::Value;
use storehouse::part::Part;
use storehouse::system::{Options, System};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{TestDatabase, canary};

/// Stands in every place where a secret of ours could leak from, so that an answer that holds it is a failure.
pub(crate) const SECRET: &str = "canary-4f1c-the-signing-secret-of-the-tests-0123456789";

/// What no answer may ever hold: secrets, hashes, and words of the database or the machine.
const NEVER: &[&str] = &[
    canary::MARK,
    "$argon2",
    "$2b$",
    "SELECT ",
    "UPDATE ",
    "INSERT ",
    "rusqlite",
    "sqlite",
    "postgres",
    "panicked",
    ".rs:",
];

/// Where everybody calls from, unless said otherwise.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A running system on a test's own database.
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) tokens: Tokens,
    /// One that runs everything, or one for each part.
    systems: Vec<Arc<System>>,
    workers: Vec<JoinHandle<()>>,
    /// Ends the servers when dropped.
    stop: watch::Sender<bool>,
}

impl App {
    /// With the settings of development, but no limits.
    pub(crate) async fn new(database: &TestDatabase) -> Self {
        Self::with(database, |_| {}).await
    }

    /// With other settings.
    pub(crate) async fn with(database: &TestDatabase, change: impl FnOnce(&mut Options)) -> Self {
        Self::with_clock(database, Clock::stopped(), change).await
    }

    /// With another clock.
    pub(crate) async fn with_clock(
        database: &TestDatabase,
        clock: Clock,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let mut app = Self::empty(database, clock).await;
        let mut options = options();
        change(&mut options);
        app.run(app.db.clone(), options);
        app
    }

    /// Each part as if in a process of its own: with its own connection to the database, and between gateway and
    /// services the network.
    pub(crate) async fn split(database: &TestDatabase) -> Self {
        Self::split_with(database, |_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn split_with(database: &TestDatabase, change: impl Fn(&mut Options)) -> Self {
        let options = |parts| {
            let mut options = Options { parts, ..options() };
            change(&mut options);
            options
        };
        let mut app = Self::empty(database, Clock::stopped()).await;
        let mut ports = Vec::new();
        for part in [Part::Auth, Part::Users, Part::Orders, Part::Inventory] {
            let system = app.run(database.open().await, options(vec![part]));
            ports.push(app.serve(system.service(part).unwrap().clone()).await);
        }
        let ports = Ports { auth: ports[0], users: ports[1], orders: ports[2], inventory: ports[3] };
        let options = options(vec![Part::Gateway]);
        app.run(database.open().await, Options { routes: Routes::built_in(ports), ports, ..options });
        app
    }

    async fn empty(database: &TestDatabase, clock: Clock) -> Self {
        let db = database.open().await;
        let tokens = Tokens::new(&Secret::new(SECRET), clock.clone());
        Self { db, clock, tokens, systems: Vec::new(), workers: Vec::new(), stop: watch::channel(false).0 }
    }

    fn run(&mut self, db: Db, options: Options) -> Arc<System> {
        let system = Arc::new(System::new(Some(db), self.clock.clone(), options).unwrap());
        system.readiness.set_ready();
        self.systems.push(system.clone());
        let working = system.clone();
        self.workers.push(tokio::spawn(async move { working.work().await }));
        system
    }

    /// Serves a part on any free port, and says which.
    async fn serve(&mut self, service: Service) -> u16 {
        let listener = server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (workers, stopping) = (Arc::new(Workers::here()), self.stop.subscribe());
        let room = Connections::new(1_000, 1_000, Vec::new());
        tokio::spawn(server::serve(listener, service, Limits::default(), room, workers, stopping));
        port
    }

    /// Somebody without a token.
    pub(crate) fn nobody(&self) -> Client<'_> {
        Client { app: self, token: None, id: Uuid::nil(), email: String::new(), address: HERE }
    }

    /// A logged-in customer, staff or admin, made without the cost of a password. The name makes the email.
    pub(crate) async fn user(&self, name: &str, role: Role) -> Client<'_> {
        let email = format!("{name}@example.com");
        let new = NewAccount {
            role,
            password_hash: None,
            ..NewAccount::customer(email.parse().unwrap(), name.parse().unwrap(), Secret::new(""))
        };
        let (account, session) = self
            .db
            .write((new, self.clock.now()), |tx, (new, now)| {
                async move {
                    let account =
                        create_account(tx, new, FirstAdmin::NotPromoted, &Author::nobody(*now)).await?;
                    let session = NewSession { device: None, ip: None };
                    let session = start_session(tx, account.id, &session, *now).await?;
                    Ok::<_, accounts::Error>((account, session))
                }
                .boxed()
            })
            .await
            .unwrap();
        let token = self.tokens.sign(account.id, &account.email, role, session.id).unwrap();
        Client { app: self, token: Some(token.expose().to_owned()), id: account.id, email, address: HERE }
    }

    /// An API key of an admin's with these scopes: its id, and one who shows it. It is stored as it is, past the bound on how many there may be.
    pub(crate) async fn key<'a>(&'a self, maker: &Client<'a>, scopes: &[&str]) -> (String, Client<'a>) {
        let (secret, hash) = kit::api_key::generate().unwrap();
        let (id, now) = (kit::clock::new_id(), self.clock.now());
        let input = (id, maker.id, hash, scopes.join(" "), now);
        let store = self.db.write(input, |tx, (id, maker, hash, scopes, now)| {
            async move {
                let sql = "INSERT INTO api_keys (id, account_id, name, hash, scopes, created_at, expires_at) VALUES ($1, $2, 'a key', $3, $4, $5, $6)";
                let expires_at = now.plus(Duration::from_secs(24 * 60 * 60));
                let args = [
                    (*id).into(),
                    (*maker).into(),
                    hash.as_bytes().into(),
                    scopes.into(),
                    now.0.into(),
                    expires_at.0.into(),
                ];
                tx.execute(sql, &args).await.map(drop)
            }
            .boxed()
        });
        store.await.unwrap();
        (id.to_string(), maker.with_token(secret.expose()))
    }

    pub(crate) async fn customer(&self, name: &str) -> Client<'_> {
        self.user(name, Role::Customer).await
    }

    pub(crate) async fn staff(&self, name: &str) -> Client<'_> {
        self.user(name, Role::Staff).await
    }

    pub(crate) async fn admin(&self, name: &str) -> Client<'_> {
        self.user(name, Role::Admin).await
    }

    /// Nobody follows the session feed any more, nor sweeps.
    pub(crate) fn stop_work(&self) {
        self.workers.iter().for_each(JoinHandle::abort);
    }

    /// What can't be broken off is finished, and nothing more of it begun.
    pub(crate) async fn finish(&self) {
        for system in &self.systems {
            system.finish().await;
        }
    }

    /// What the metrics tell of all stock is added up now, and not within a minute.
    pub(crate) async fn refresh_figures(&self) {
        for system in &self.systems {
            system.refresh_figures().await.unwrap();
        }
    }

    /// When API keys were used is stored now, and not within seconds.
    pub(crate) async fn store_key_uses(&self) {
        for system in &self.systems {
            system.store_key_uses().await.unwrap();
        }
    }

    /// What was done and refused so far stands in the audit log now, and not within a second or a minute.
    pub(crate) async fn keep_audit(&self) {
        for system in &self.systems {
            system.keep_audit().await.unwrap();
        }
    }

    /// Other processes are told now what limits have counted here, and not within a tenth of a second.
    pub(crate) async fn exchange_counts(&self) {
        for system in &self.systems {
            system.exchange_counts().await.unwrap();
        }
    }

    /// The night's backup is made now, if it is due.
    pub(crate) async fn back_up_if_due(&self) {
        for system in &self.systems {
            system.back_up_if_due().await;
        }
    }

    /// What answers for the gateway, or for a service by name.
    pub(crate) fn service(&self, name: &str) -> &Service {
        let part = Part::from_str(name, false).unwrap();
        self.systems.iter().find_map(|system| system.service(part)).unwrap()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop_work();
    }
}

/// The settings of development, without limits, with the tests' secret.
pub(crate) fn options() -> Options {
    let webhook_networks = vec!["127.0.0.0/8".parse().unwrap()];
    Options { webhook_networks, ..Options::for_tests(Secret::new(SECRET)) }
}

/// Somebody who sends requests, through the gateway unless said otherwise.
#[derive(Clone)]
pub(crate) struct Client<'a> {
    pub(crate) app: &'a App,
    pub(crate) token: Option<String>,
    pub(crate) id: Uuid,
    pub(crate) email: String,
    address: IpAddr,
}

impl<'a> Client<'a> {
    /// The same person with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same person, who calls another system on the same database.
    pub(crate) fn on<'b>(&self, app: &'b App) -> Client<'b> {
        let Self { token, id, email, address, .. } = self.clone();
        Client { app, token, id, email, address }
    }

    /// The same person at another address.
    pub(crate) fn at(&self, address: &str) -> Self {
        Self { address: address.parse().unwrap(), ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.request(Method::POST, path).json(&body).send().await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.request(Method::PUT, path).json(&body).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path).send().await
    }

    /// A request to be completed, then sent.
    pub(crate) fn request(&self, method: Method, path: &str) -> Call<'a> {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost:8000");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        Call { app: self.app, address: self.address, service: "gateway", request, body: Body::empty() }
    }
}

/// A request being made.
pub(crate) struct Call<'a> {
    pub(crate) app: &'a App,
    address: IpAddr,
    service: &'static str,
    request: http::request::Builder,
    body: Body,
}

impl Call<'_> {
    /// Straight to a service, past the gateway.
    pub(crate) fn to(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.raw("application/json", body.to_string())
    }

    /// A body that nothing says the type of.
    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn raw(mut self, content_type: &str, body: impl Into<Body>) -> Self {
        self.request = self.request.header("content-type", content_type);
        self.body = body.into();
        self
    }

    /// Sends it, and checks what must hold for every answer.
    pub(crate) async fn send(self) -> Answer {
        let (mut answer, body) = self.open().await;
        // A stream has no end.
        if answer.header("content-type") != "text/event-stream" {
            answer.body = body.collect().await.unwrap().to_bytes().to_vec();
        }
        answer.check(&[503, 507]);
        answer
    }

    /// Sends it, and leaves its body to be read bit by bit.
    pub(crate) async fn open(self) -> (Answer, Body) {
        let mut request = self.request.body(self.body).unwrap();
        request.extensions_mut().insert(Peer::new(SocketAddr::new(self.address, 50_000)));
        let what = format!("{} {}", request.method(), request.uri());
        let response = self.app.service(self.service).answer(request).await.response;
        let (head, body) = response.into_parts();
        (Answer { what, status: head.status, headers: head.headers, body: Vec::new() }, body)
    }
}

/// An answer that has passed the checks.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) what: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}: no JSON: {}", self.what, self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A problem's code, empty for any other answer.
    pub(crate) fn code(&self) -> String {
        if self.header("content-type") == "application/problem+json" {
            self.json()["code"].as_str().unwrap_or_default().to_owned()
        } else {
            String::new()
        }
    }

    /// Fails unless the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.what, self.text());
        self
    }

    /// Fails unless it is this problem.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.code(), code, "{}: {}", answer.what, answer.text());
        answer
    }

    /// The fields that a problem names, in order.
    pub(crate) fn faulty_fields(&self) -> Vec<String> {
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|fault| fault["field"].as_str().unwrap().to_owned()).collect()
    }

    /// What must hold for every answer; of the server's errors only these may be seen.
    pub(super) fn check(&self, expected_errors: &[u16]) {
        let (what, text) = (&self.what, self.text());
        assert!(!self.header("x-request-id").is_empty(), "{what}: no request id");
        assert!(
            !self.status.is_server_error() || expected_errors.contains(&self.status.as_u16()),
            "{what}: {} {text}",
            self.status
        );
        for word in NEVER {
            assert!(
                !text.contains(word) && !format!("{:?}", self.headers).contains(word),
                "{what}: leaks {word:?}: {text}"
            );
        }
        self.check_browser_headers();
        if self.status.is_client_error() || self.status.is_server_error() {
            self.check_problem();
        } else if !self.body.is_empty() {
            assert!(self.headers.contains_key("content-type"), "{what}: no content type");
        }
        if self.status == 204 || self.status == 304 {
            assert!(self.body.is_empty(), "{what}: a body where none may be: {text}");
        }
    }

    fn check_problem(&self) {
        let what = &self.what;
        assert_eq!(self.header("content-type"), "application/problem+json", "{what}");
        if what.starts_with("HEAD ") {
            return;
        }
        let body = self.json();
        for member in ["type", "title", "detail", "code", "request_id"] {
            assert!(
                body[member].as_str().is_some_and(|text| !text.is_empty()),
                "{what}: no {member}: {body}"
            );
        }
        assert_eq!(body["status"], self.status.as_u16(), "{what}");
        assert_eq!(body["request_id"], self.header("x-request-id"), "{what}");
        match self.status.as_u16() {
            401 => assert!(
                self.header("www-authenticate").starts_with("Bearer"),
                "{what}: 401 without WWW-Authenticate"
            ),
            405 => assert!(!self.header("allow").is_empty(), "{what}: 405 without Allow"),
            429 => {
                let seconds = self.header("retry-after");
                assert!(seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0), "{what}: {seconds:?}");
                let told = self.header("ratelimit");
                assert!(told.is_empty() || told.ends_with(&format!(";t={seconds}")), "{what}: {told}");
            }
            503 => assert!(!self.header("retry-after").is_empty(), "{what}: 503 without Retry-After"),
            _ => {}
        }
    }
}
