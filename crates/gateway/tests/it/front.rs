//! What the gateway decides before it hands a request on, with a service of the same process behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use gateway::{GatewayConfig, Local, MetricsAccess};
use kit::identity::Verified;
use kit::server::Peer;

use crate::support::{
    ACCOUNT, exchange, gateway, gateway_with, get, header, post, problem_code, route_to, start, status,
};

const ROUTES: &str = "routes:
  - {path: /x, backend: 'http://localhost:8082', methods: [GET, POST]}
  - {path: /x/open, backend: 'http://127.0.0.1:8082', methods: [GET, POST], public: true}
  - {path: /auth, backend: 'http://[::1]:8082', methods: [POST]}
";

/// Says all that it was given.
async fn tell(request: Request) -> String {
    let verified = request.extensions().get::<Verified>().map(|verified| verified.account().to_string());
    let client =
        request.extensions().get::<Peer>().and_then(|peer| peer.client).map(|client| client.to_string());
    let mut lines = vec![format!("{} {}", request.method(), request.uri())];
    lines.push(format!("verified={} client={}", verified.unwrap_or_default(), client.unwrap_or_default()));
    lines.extend(
        request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value.as_bytes()))),
    );
    lines.join("\n")
}

fn local() -> [Local; 1] {
    [Local { port: 8082, service: Router::new().fallback(tell).into() }]
}

async fn ask(request: &str) -> String {
    let port = start(gateway(ROUTES, &local())).await;
    exchange(port.address, request).await
}

fn anonymous(line: &str, lines: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{lines}\r\n")
}

#[tokio::test]
async fn a_local_service_gets_the_verified_caller() {
    let answer = ask(&get("/x/7?q=%2e", "X-Request-Id: mine\r\n")).await;
    assert_eq!(status(&answer), 200);
    assert!(answer.contains(&format!("GET /x/7?q=%2e\nverified={ACCOUNT} client=127.0.0.1\n")), "{answer}");
    assert_eq!(header(&answer, "x-request-id"), Some("mine"));
    assert!(answer.contains("x-request-id=mine"), "{answer}");
    assert_eq!(header(&answer, "vary"), Some("Origin"));
}

#[tokio::test]
async fn the_order_of_checks_holds() {
    for (line, lines, expected, code) in [
        ("TRACE /nowhere", "", 404, "not_found"),
        ("DELETE /x", "", 405, "method_not_allowed"),
        ("GET /x", "", 401, "missing_token"),
        ("HEAD /x", "", 401, ""),
        ("GET /x", "Authorization: Bearer no\r\n", 401, "invalid_token"),
        ("GET /x", "Authorization: Basic no\r\n", 401, "invalid_token"),
        ("GET /xx", "", 404, "not_found"),
        ("GET /x//y", "", 400, "ambiguous_path"),
        ("GET /x/%2e%2e/auth/login", "", 400, "ambiguous_path"),
        ("GET /x%2fopen", "", 400, "ambiguous_path"),
        ("GET /x\\open", "", 400, "ambiguous_path"),
        ("GET /x/%00", "", 400, "ambiguous_path"),
        ("POST /health", "", 405, "method_not_allowed"),
        ("GET /docs", "", 404, "not_found"),
        ("POST /auth/login/", "", 401, "missing_token"),
        ("POST /auth/logout", "", 401, "missing_token"),
    ] {
        let answer = ask(&anonymous(line, lines)).await;
        assert_eq!(status(&answer), expected, "{line}: {answer}");
        if !code.is_empty() {
            assert_eq!(problem_code(&answer), code, "{line}: {answer}");
        }
        assert_eq!(header(&answer, "allow").is_some(), expected == 405, "{answer}");
        assert_eq!(header(&answer, "www-authenticate").is_some(), expected == 401, "{answer}");
    }
}

#[tokio::test]
async fn public_routes_need_no_token() {
    for line in [
        "POST /auth/login",
        "POST /auth/register",
        "POST /auth/refresh",
        "GET /x/open",
        "GET /x/%6Fpen/1",
        "HEAD /x/open",
    ] {
        let answer = ask(&anonymous(line, "")).await;
        assert_eq!(status(&answer), 200, "{line}: {answer}");
    }
    let answer = ask(&anonymous("GET /x/%6fpen", "")).await;
    assert!(answer.contains("GET /x/open\n"), "{answer}");
}

/// T25 and T26.
#[tokio::test]
async fn g01_nobody_claims_to_be_somebody() {
    let forged = "X-User-Id: evil\r\nX_User_Role: evil\r\nx-AUTH-user: evil\r\nX-Internal-Secret: evil\r\nX-Forwarded-User: evil\r\n\
        X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\nX-Consumer-Id: evil\r\n\
        Connection: X-Forwarded-For, X-Request-Id, Authorization\r\nTE: trailers\r\nProxy-Authorization: evil\r\ntraceparent: evil\r\n";
    let service = start(Router::new().fallback(tell)).await;
    for path in ["/x", "/x/open"] {
        let here = ask(&get(path, forged)).await;
        let port = start(gateway(&route_to(service.address, ", public: true"), &[])).await;
        let elsewhere = exchange(port.address, get(path, forged)).await;
        for answer in [&here, &elsewhere] {
            assert_eq!(status(answer), 200, "{answer}");
            assert!(
                !answer.contains("evil") && !answer.contains("6.6.6.6") && !answer.contains("te=trailers"),
                "{answer}"
            );
            assert!(answer.contains("authorization=Bearer"), "{answer}");
        }
        assert!(here.contains("client=127.0.0.1\n") && !here.contains("x-forwarded-"), "{here}");
        for line in ["x-forwarded-for=127.0.0.1\n", "x-forwarded-proto=http\n", "x-forwarded-host=shop"] {
            assert!(elsewhere.contains(line), "{elsewhere}");
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let service = start(Router::new().fallback(tell)).await;
    let trusting = |config: &mut GatewayConfig| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let request = || get("/x", "X-Forwarded-For: 6.6.6.6, 198.51.100.7\r\nX-Forwarded-Proto: https\r\n");
    let port = start(gateway_with(ROUTES, &local(), trusting)).await;
    let here = exchange(port.address, request()).await;
    assert!(here.contains("client=198.51.100.7\n"), "{here}");
    let port = start(gateway_with(&route_to(service.address, ""), &[], trusting)).await;
    let elsewhere = exchange(port.address, request()).await;
    for line in ["x-forwarded-for=198.51.100.7\n", "x-forwarded-proto=https\n"] {
        assert!(elsewhere.contains(line), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_preflight_needs_no_token_and_reaches_no_service() {
    let asked = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";
    let answer = ask(&anonymous("OPTIONS /x", &format!("Origin: http://localhost:3000\r\n{asked}"))).await;
    assert_eq!(status(&answer), 204);
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("http://localhost:3000"));
    assert_eq!(header(&answer, "access-control-allow-methods"), Some("GET, POST, HEAD"));
    assert_eq!(header(&answer, "access-control-allow-headers"), Some("authorization"));
    let stranger = ask(&anonymous("OPTIONS /x", &format!("Origin: https://evil.example\r\n{asked}"))).await;
    assert_eq!(status(&stranger), 204);
    assert!(!stranger.contains("access-control-"), "{stranger}");
    // What isn't a preflight is an ordinary request (T31).
    let plain = ask(&anonymous("OPTIONS /x", "Origin: http://localhost:3000\r\n")).await;
    assert_eq!(status(&plain), 405);
    let read =
        ask(&anonymous("GET /x", "Origin: http://localhost:3000\r\nAccess-Control-Request-Method: GET\r\n"))
            .await;
    assert_eq!(status(&read), 401);
    assert_eq!(header(&read, "access-control-allow-origin"), Some("http://localhost:3000"));
}

#[tokio::test]
async fn the_gateway_has_answers_of_its_own() {
    let health = ask(&anonymous("GET /health", "")).await;
    assert!(health.ends_with(r#"{"status":"ok","service":"gateway"}"#), "{health}");
    let ready = ask(&anonymous("GET /health/ready", "")).await;
    assert!(ready.contains(r#""upstreams":{"/auth":"ok","/x":"ok","/x/open":"ok"}"#), "{ready}");
    let keys = ask(&anonymous("GET /.well-known/jwks.json", "")).await;
    assert!(keys.ends_with(r#"{"keys":[]}"#), "{keys}");
    let page = ask(&anonymous("GET /", "Accept: text/html,*/*\r\n")).await;
    assert!(page.contains("<h1>Storehouse</h1>"), "{page}");
    assert!(!page.contains("/docs"), "docs are off: {page}");
    let index = ask(&anonymous("GET /", "Accept: */*\r\n")).await;
    assert!(index.contains(r#""name":"storehouse""#), "{index}");
}

#[tokio::test]
async fn another_spelling_of_an_own_path_is_no_route() {
    let routes = "routes: [{path: /, backend: 'http://localhost:8082', methods: [GET], public: true}]";
    let port =
        start(gateway_with(routes, &local(), |config| config.metrics_access = MetricsAccess::Closed)).await;
    for path in ["/metrics", "/%6Detrics"] {
        let answer = exchange(port.address, &get(path, "")).await;
        assert_eq!(status(&answer), 401, "{path}: {answer}");
    }
    assert_eq!(status(&exchange(port.address, &get("/%68ealth", "")).await), 200);
}

/// Whoever may ask for nothing else can't load a service by asking for this.
#[tokio::test]
async fn services_are_asked_how_they_are_once_for_many() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&asked);
    let router = Router::new().route(
        "/health/ready",
        axum::routing::get(async move || {
            counts.fetch_add(1, Ordering::SeqCst);
        }),
    );
    let gateway = gateway(ROUTES, &[Local { port: 8082, service: router.into() }]);
    let request = || Request::get("/health/ready").body(Body::empty()).unwrap();
    let answers = futures_util::future::join_all((0..300).map(|_| gateway.answer(request()))).await;
    assert!(answers.iter().all(|answer| answer.response.status() == 200));
    // Each of the three routes once a second, however slow this machine is.
    let asked = asked.load(Ordering::SeqCst);
    assert!((3..300).contains(&asked), "{asked}");
}

#[tokio::test]
async fn g15_a_panic_in_a_service_is_a_problem() {
    async fn panics() -> &'static str {
        panic!("on purpose")
    }
    let router = Router::new().fallback(panics);
    let port = start(gateway(ROUTES, &[Local { port: 8082, service: router.into() }])).await;
    let answer = exchange(port.address, get("/x", "")).await;
    assert_eq!((status(&answer), problem_code(&answer).as_str()), (500, "internal"));
}

#[tokio::test]
async fn a_local_service_has_the_routes_time() {
    let router = Router::new().fallback(std::future::pending::<&'static str>);
    let routes =
        "routes: [{path: /x, backend: 'http://localhost:8082', methods: [GET, POST], timeout: 50ms}]";
    let port = start(gateway(routes, &[Local { port: 8082, service: router.into() }])).await;
    let answer = exchange(port.address, get("/x", "")).await;
    assert_eq!((status(&answer), problem_code(&answer).as_str()), (504, "upstream_timeout"));
    let answer = exchange(port.address, post("/x", "Content-Length: 2\r\n") + "hi").await;
    assert_eq!(status(&answer), 504, "{answer}");
}
