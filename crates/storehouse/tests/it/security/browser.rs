//! G17: the headers that every answer has. The harness checks each answer of every test; here everything is asked for once.

use http::Method;
use serde_json::json;

use crate::contract::{document::Document, examples::examples, stage::Stage};
use crate::harness::{App, each_shape};

/// What every port serves besides its endpoints, and what it doesn't.
const OTHERS: [&str; 9] = [
    "/",
    "/health",
    "/health/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs/rapidoc-9.3.8.js",
    "/.well-known/jwks.json",
    "/nothing",
];

#[tokio::test]
async fn g17_every_answer_has_the_headers() {
    each_shape(async |app| {
        let stage = Stage::new(app, "headers").await;
        for operation in &Document::new().operations() {
            for door in ["gateway", operation.service()] {
                stage.call(&app.nobody(), operation, door).send().await;
                stage
                    .call(stage.caller(operation), operation, door)
                    .header("content-type", "text/plain")
                    .send()
                    .await;
                for (who, body) in examples(operation).into_iter().take(1) {
                    stage.call(stage.client(who), operation, door).json(&stage.body(body)).send().await;
                }
            }
        }
        for path in OTHERS {
            for door in ["gateway", "auth", "users", "orders", "inventory"] {
                app.nobody().request(Method::GET, path).to(door).send().await;
                app.nobody().request(Method::HEAD, path).to(door).header("accept", "text/html").send().await;
                app.nobody().request(Method::DELETE, path).to(door).send().await;
            }
        }
        ask_as_browsers_do(app).await;
    })
    .await;
}

async fn ask_as_browsers_do(app: &App) {
    let nobody = app.nobody();
    let page = nobody.request(Method::GET, "/").header("accept", "text/html").send().await.expect(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let docs = nobody.get("/docs").await.expect(200);
    assert!(docs.header("content-security-policy").contains("script-src 'self'"));
    for origin in ["http://localhost:3000", "https://evil.example"] {
        let ask = nobody.request(Method::OPTIONS, "/orders").header("origin", origin);
        ask.header("access-control-request-method", "POST").send().await.expect(204);
    }
    nobody.get("/a//b").await.expect(400);
    nobody.post("/auth/login", json!({"email": "x".repeat(2 << 20)})).await.expect(413);
}
