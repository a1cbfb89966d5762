//! What a stranger finds at a port in production: what is meant to be there, and nothing else.

use crate::harness::Site;

/// Where scanners look.
const PROBED: &[&str] = &[
    "/docs",
    "/docs/rapidoc-9.3.8.js",
    "/openapi.json",
    "/swagger.json",
    "/debug",
    "/debug/pprof",
    "/actuator",
    "/actuator/env",
    "/.git/config",
    "/.env",
    "/config",
    "/storehouse.toml",
    "/routes.yaml",
    "/backup",
    "/storehouse.db",
    "/storehouse.db-wal",
    "/data/jwt-secret",
    "/api/v1/users",
    "/v1/orders",
    "/admin",
    "/console",
    "/server-status",
    "/favicon.ico",
    "/.well-known/security.txt",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g18_production_shows_nothing_but_the_api() {
    let site = Site::new(None)
        .with("ENVIRONMENT", "production")
        .with("HOST", "127.0.0.1")
        .with("JWT_SECRET", "3f1d6a0c9be24785b1a7c3d2e4f60918aabbccdd");
    let process = site.start().await;
    for address in &process.addresses {
        let mut wire = crate::harness::Wire::connect(*address).await.unwrap();
        for path in PROBED {
            let answer = wire.get(path).await.unwrap();
            assert!(matches!(answer.status.as_u16(), 401 | 404), "{address}{path}: {}", answer.status);
        }
    }
    process.connect().await.get("/metrics").await.unwrap().problem(401, "missing_token");
    let index = process.connect().await.get("/").await.unwrap().expect(200).json();
    assert!(index["docs"].is_null() && index["openapi"].is_null(), "{index}");
    let keys = process.connect().await.get("/.well-known/jwks.json").await.unwrap().expect(200);
    assert_eq!(keys.text(), r#"{"keys":[]}"#, "a shared secret has no public half to show");
}

/// Only HTTP/1.1 is spoken, so whatever is wrong with HTTP/2 can't be done here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g08_the_preface_of_http_2_is_refused() {
    let process = Site::new(None).start().await;
    let refused = process.exchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 505 "), "{refused}");
    let upgrade = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let stays = process.exchange(&upgrade.replace("Connection: Upgrade", "Connection: close, Upgrade")).await;
    assert!(stays.starts_with("HTTP/1.1 200 "), "{stays}");
}
