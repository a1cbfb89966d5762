//! What is fuzzed. Each target takes bytes of any kind and panics where a promise is broken: that nothing of the server's own fails, that nobody gets
//! in, that two readers see one request. The tests of the workspace replay the corpus with these very functions (`tests/it/security/fuzz.rs`).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use db::Db;
use gateway::Routes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kit::clock::Clock;
use kit::secret::Secret;
use kit::server::{Limits, Peer, check_head};
use kit::service::Service;
use kit::token::{Tokens, from_base64, to_base64};
use serde_json::{Value, json};
use sha2::Sha256;
use storehouse::migrations::MIGRATIONS;
use storehouse::part::Part;
use storehouse::system::{Options, System};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A target by its name.
type Target = fn(&Subject, &[u8]);

/// All targets.
pub(crate) const TARGETS: [(&str, Target); 8] = [
    ("token", token),
    ("path", path),
    ("query", query),
    ("cursor", cursor),
    ("csv", csv),
    ("routes", routes),
    ("json", json_body),
    ("head", head),
];

const SECRET: &str = "the secret of the fuzzer, 0123456789";

/// Lists, each of which has filters and pages.
const LISTS: [&str; 8] = [
    "/products",
    "/orders",
    "/users",
    "/stock",
    "/stock/movements",
    "/events",
    "/auth/sessions",
    "/products.csv",
];

/// What takes a body.
const OPERATIONS: [(&str, &str); 12] = [
    ("POST", "/orders"),
    ("POST", "/products"),
    ("POST", "/users"),
    ("POST", "/auth/register"),
    ("POST", "/auth/login"),
    ("POST", "/auth/refresh"),
    ("POST", "/stock/adjustments"),
    ("POST", "/stock/transfers"),
    ("POST", "/locations"),
    ("POST", "/categories"),
    ("POST", "/webhooks"),
    ("PATCH", "/users/me"),
];

/// What anybody may read.
const PUBLIC: [&str; 8] = [
    "/",
    "/health",
    "/health/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs/rapidoc-9.3.8.js",
    "/.well-known/jwks.json",
];

/// A whole system, without a socket.
pub(crate) struct Subject {
    runtime: Runtime,
    gateway: Service,
    tokens: Tokens,
    admin: String,
    /// A good cursor of a list of the admin's.
    cursor: Vec<u8>,
    _system: Arc<System>,
    _folder: TempDir,
}

impl Subject {
    /// One with an admin and two products.
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::stopped();
        let system = runtime.block_on(async {
            let db = Db::open(&folder.path().join("fuzz.db").display().to_string().parse().unwrap())
                .await
                .unwrap();
            db.migrate(MIGRATIONS).await.unwrap();
            Arc::new(System::new(Some(db), clock.clone(), Options::for_tests(Secret::new(SECRET))).unwrap())
        });
        system.readiness.set_ready();
        // Without it nobody would be let in after some seconds: whether somebody has logged out couldn't be told.
        let working = system.clone();
        runtime.spawn(async move { working.work().await });
        let gateway = system.service(Part::Gateway).unwrap().clone();
        let tokens = Tokens::new(&Secret::new(SECRET), clock);
        let mut subject = Self {
            runtime,
            gateway,
            tokens,
            admin: String::new(),
            cursor: Vec::new(),
            _system: system,
            _folder: folder,
        };
        subject.settle();
        subject
    }

    fn settle(&mut self) {
        let account = json!({"email": "a@example.com", "password": "a fuzzer's password", "username": "ann"});
        let registered = self.post("/auth/register", &account);
        self.admin = registered["token"].as_str().unwrap().to_owned();
        for sku in ["A-1", "B-2"] {
            self.post("/products", &json!({"sku": sku, "name": "Lamp", "unit_price": 1}));
        }
        let page = Request::get("/products?limit=1").body(Body::empty()).unwrap();
        let (_, page) = self.ask(page, true).unwrap();
        let page: Value = serde_json::from_slice(&page).unwrap();
        self.cursor = from_base64(page["next_cursor"].as_str().unwrap()).unwrap();
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let request = Request::post(path).header("content-type", "application/json");
        let (status, body) = self.ask(request.body(Body::from(body.to_string())).unwrap(), true).unwrap();
        assert!(status.is_success(), "{status}");
        serde_json::from_slice(&body).unwrap()
    }

    /// Sends a request through the gateway, and checks what must hold for every answer.
    fn ask(&self, mut request: Request<Body>, as_admin: bool) -> Option<(StatusCode, Vec<u8>)> {
        if as_admin && !self.admin.is_empty() {
            let token = format!("Bearer {}", self.admin).parse().unwrap();
            request.headers_mut().insert("authorization", token);
        }
        request.headers_mut().insert("host", "localhost".parse().unwrap());
        request.extensions_mut().insert(Peer::new(SocketAddr::from(([127, 0, 0, 1], 5000))));
        let what = format!("{} {}", request.method(), request.uri());
        let (status, body) = self.runtime.block_on(async {
            let response = self.gateway.answer(request).await.response;
            (
                response.status(),
                response.into_body().collect().await.ok().map(|body| body.to_bytes().to_vec()),
            )
        });
        // That it is busy is an answer: an import may still end that was answered before.
        assert!(!status.is_server_error() || status == 503, "{what}: {status}");
        let body = body?;
        if status.is_client_error() {
            let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
            assert_eq!(problem["status"], status.as_u16(), "{what}: {}", String::from_utf8_lossy(&body));
        }
        Some((status, body))
    }

    fn read(&self, target: &str, as_admin: bool) -> Option<StatusCode> {
        let uri: http::Uri = target.parse().ok()?;
        // An event stream has no end.
        let is_stream = uri.path().contains("stream");
        let request = Request::builder().method(Method::GET).uri(uri).body(Body::empty()).ok()?;
        if is_stream { None } else { self.ask(request, as_admin).map(|(status, _)| status) }
    }
}

/// A token as it is, or header and payload (with 0xff between) signed with the right key, so that what stands behind the signature is reached.
fn token(subject: &Subject, data: &[u8]) {
    let signed = match data.split_first() {
        Some((0, rest)) => rest.to_vec(),
        _ => {
            let mut halves = data.splitn(2, |byte| *byte == 0xff);
            let (header, payload) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            let text = format!("{}.{}", to_base64(header), to_base64(payload));
            let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
            mac.update(text.as_bytes());
            format!("{text}.{}", to_base64(&mac.finalize().into_bytes())).into_bytes()
        }
    };
    let Ok(claims) = subject.tokens.verify(&signed) else { return };
    assert_eq!((claims.iss.as_str(), claims.aud.as_str()), ("storehouse", "storehouse"));
    let header = signed.split(|byte| *byte == b'.').next().unwrap();
    let header: Value =
        serde_json::from_slice(&from_base64(std::str::from_utf8(header).unwrap()).unwrap()).unwrap();
    assert_eq!(header["alg"], "HS256");
}

/// A path, asked by nobody and by an admin: nobody reads anything but what is public.
fn path(subject: &Subject, data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let target = format!("/{text}");
    let Ok(uri) = target.parse::<http::Uri>() else { return };
    if let Some(status) = subject.read(&target, false) {
        assert!(!status.is_success() || is_own(uri.path()), "{target}: {status}");
    }
    subject.read(&target, true);
}

/// Whether a path is one of the public ones in another spelling: its letters, decoded and with dot segments taken out.
fn is_own(plain: &str) -> bool {
    let mut decoded = Vec::new();
    let mut bytes = plain.bytes();
    while let Some(byte) = bytes.next() {
        let mut pair =
            || u8::from_str_radix(std::str::from_utf8(&[bytes.next()?, bytes.next()?]).ok()?, 16).ok();
        decoded.push(if byte == b'%' { pair().unwrap_or(byte) } else { byte });
    }
    let decoded = String::from_utf8_lossy(&decoded).into_owned();
    let mut segments = Vec::new();
    for segment in decoded.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    PUBLIC.contains(&format!("/{}", segments.join("/")).as_str())
}

/// A list's query.
fn query(subject: &Subject, data: &[u8]) {
    let Some((list, query)) = data.split_first() else { return };
    let Ok(query) = std::str::from_utf8(query) else { return };
    subject.read(&format!("{}?{query}", LISTS[usize::from(*list) % LISTS.len()]), true);
}

/// A cursor as it is, or a good one of which some bits are others: only the good one is taken.
fn cursor(subject: &Subject, data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let (text, is_good) = if *kind == 0 {
        (rest.iter().map(|byte| format!("%{byte:02x}")).collect(), false)
    } else {
        let mut bytes = subject.cursor.clone();
        let is_good = rest.iter().take(bytes.len()).all(|byte| *byte == 0);
        bytes.iter_mut().zip(rest).for_each(|(byte, change)| *byte ^= change);
        (to_base64(&bytes), is_good)
    };
    let status = subject.read(&format!("/products?limit=1&cursor={text}"), true);
    let expected = if is_good { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    // A machine that does much else may be busy.
    assert!(
        status == Some(expected) || status == Some(StatusCode::SERVICE_UNAVAILABLE),
        "{text}: {status:?}"
    );
}

/// A file of products or counts, tried without being stored.
fn csv(subject: &Subject, data: &[u8]) {
    let [what, charset, file @ ..] = data else { return };
    let path = ["/products/import?dry_run=true", "/stock/import?dry_run=true"][usize::from(*what) % 2];
    let kinds =
        ["text/csv", "text/csv; charset=utf-8", "text/csv; charset=windows-1252", "text/csv; charset=utf-16"];
    let request = Request::post(path).header("content-type", kinds[usize::from(*charset) % kinds.len()]);
    subject.ask(request.body(Body::from(file.to_vec())).unwrap(), true);
}

/// A routes file.
fn routes(_: &Subject, data: &[u8]) {
    // Whether it is good or not, it is told without a panic.
    let _ = Routes::parse(data, "routes.yaml");
}

/// The body of an operation.
fn json_body(subject: &Subject, data: &[u8]) {
    let Some((operation, body)) = data.split_first() else { return };
    let (method, path) = OPERATIONS[usize::from(*operation) % OPERATIONS.len()];
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    subject.ask(request.body(Body::from(body.to_vec())).unwrap(), true);
}

/// A request's head: what we let through, the HTTP library reads whole and as one.
fn head(_: &Subject, data: &[u8]) {
    if check_head(data, &Limits::default()).is_err() {
        return;
    }
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(data);
    assert_eq!(parsed, Ok(httparse::Status::Complete(data.len())), "{}", String::from_utf8_lossy(data));
}
