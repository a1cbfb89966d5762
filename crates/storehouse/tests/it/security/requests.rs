//! Requests that are ambiguous, too deep, or lie about who sends them and where to.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Site, each_app, each_shape};

fn order() -> Value {
    json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99})
}

/// What `Connection` names is dropped, but nothing that would make it another request.
#[tokio::test]
async fn g02_connection_names_away_neither_token_nor_body_nor_client() {
    each_shape(async |app| {
        let ada = app.customer("ada").await;
        for door in ["gateway", "orders"] {
            for named in [
                "close, Authorization, X-User-Id, X-Forwarded-For, X-Request-Id",
                "X-Forwarded-Signature, Content-Type, Content-Length, Host",
                "authorization",
            ] {
                let call = ada.request(Method::POST, "/orders").to(door).header("connection", named);
                let placed = call.header("x-request-id", "kept").json(&order()).send().await.expect(201);
                assert_eq!(placed.json()["user_id"], ada.id.to_string());
                assert_eq!(placed.header("x-request-id"), "kept");
                let call = app.nobody().request(Method::GET, "/orders").to(door).header("connection", named);
                call.header("x-user-id", &ada.id.to_string()).send().await.problem(401, "missing_token");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn g01_identity_headers_have_no_effect_on_any_service() {
    each_shape(async |app| {
        let (ada, admin) = (app.customer("ada").await, app.admin("boss").await);
        let id = admin.id.to_string();
        for door in ["gateway", "users"] {
            for (name, value) in [
                ("x-user-id", &*id),
                ("X-USER-ID", &id),
                ("x_user_id", &id),
                ("x-user-role", "admin"),
                ("x-auth-user", &id),
                ("x-auth-role", "admin"),
                ("x-internal-user", &id),
                ("x-forwarded-user", &id),
                ("x-original-url", "/auth/login"),
                ("x-rewrite-url", "/auth/login"),
                ("x-http-method-override", "GET"),
            ] {
                for (client, status, code) in
                    [(&app.nobody(), 401, "missing_token"), (&ada, 403, "forbidden")]
                {
                    let ask = client.request(Method::GET, "/users").to(door).header(name, value);
                    ask.header(name, value).send().await.problem(status, code);
                }
                let me = ada.request(Method::GET, "/users/me").to(door).header(name, value).send().await;
                assert_eq!(me.expect(200).json()["id"], ada.id.to_string(), "{name}");
            }
        }
    })
    .await;
}

/// Whatever a path looks like, only the one way to write it leads to what is guarded, and its guard is asked.
#[tokio::test]
async fn g05_a_path_has_one_meaning_at_gateway_and_service() {
    each_shape(async |app| {
        let (ada, admin) = (app.customer("ada").await, app.admin("boss").await);
        let list = admin.get("/users").await.expect(200).body;
        for path in [
            "/auth/login/..%2f..%2fusers",
            "/auth/login/%2e%2e/%2e%2e/users",
            "/auth/login/%2E%2E/%2e./users",
            "/auth/%252e%252e/users",
            "/auth/login/../../users",
            "/auth/login/..;/..;/users",
            "/auth/login%5c..%5c..%5cusers",
            "//users",
            "/auth//users",
            "/./users",
            "/users/.",
            "/users/",
            "/users;x=1",
            "/users%00",
            "/users.",
            "/users%2f",
            "/users%20",
            "/USERS",
            "/%75sers",
            "/us%65rs?limit=50",
        ] {
            for door in ["gateway", "users", "auth"] {
                let nobody = app.nobody().request(Method::GET, path).to(door).send().await;
                assert!(
                    matches!(nobody.status.as_u16(), 400 | 401 | 404),
                    "{door} {path}: {}",
                    nobody.status
                );
                let low = ada.request(Method::GET, path).to(door).send().await;
                assert!(matches!(low.status.as_u16(), 400 | 403 | 404), "{door} {path}: {}", low.status);
                let high = admin.request(Method::GET, path).to(door).send().await;
                let is_the_list = high.status == 200 && high.body == list;
                assert!(
                    is_the_list || matches!(high.status.as_u16(), 400 | 404),
                    "{door} {path}: {}",
                    high.status
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn g06_no_path_leads_to_a_file() {
    each_app(async |app| {
        for path in [
            "/docs/../../../etc/passwd",
            "/docs/..%2f..%2fstorehouse.db",
            "/docs/%2e%2e/storehouse.db",
            "/docs/rapidoc-9.3.8.js/../../etc/passwd",
            "/docs/rapidoc-9.3.8.js%00.html",
            "/docs/.",
            "/data/storehouse.db",
            "/storehouse.db",
            "/jwt-secret",
        ] {
            for door in ["gateway", "orders"] {
                let answer = app.nobody().request(Method::GET, path).to(door).send().await;
                assert!(matches!(answer.status.as_u16(), 400 | 404), "{door} {path}: {}", answer.status);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn g10_a_compressed_body_is_refused_and_the_largest_taken() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        for coding in ["gzip", "br", "deflate", "zstd", "gzip, identity", "x"] {
            for (path, content_type) in [("/orders", "application/json"), ("/products/import", "text/csv")] {
                let call = staff.request(Method::POST, path).header("content-encoding", coding);
                let refused = call.raw(content_type, order().to_string()).send().await;
                assert_eq!(
                    refused.problem(415, "unsupported_media_type").header("accept-encoding"),
                    "identity"
                );
            }
        }
        let plain = staff.request(Method::POST, "/orders").header("content-encoding", "identity");
        plain.json(&order()).send().await.expect(201);
        // Blanks around it are part of a body, so its length can be made to fit.
        let text = order().to_string();
        let padded = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
        let send = |body: String| staff.request(Method::POST, "/orders").raw("application/json", body).send();
        send(padded(kit::body::MAX_BODY)).await.expect(201);
        send(padded(kit::body::MAX_BODY + 1)).await.problem(413, "body_too_large");
    })
    .await;
}

#[tokio::test]
async fn g11_a_bottomless_body_is_refused() {
    each_shape(async |app| {
        let ada = app.customer("ada").await;
        for body in [
            "[".repeat(100_000),
            "{\"a\":".repeat(100_000),
            format!("{{\"metadata\":{}1", "{\"a\":".repeat(33)),
        ] {
            for door in ["gateway", "orders"] {
                let call = ada.request(Method::POST, "/orders").to(door);
                call.raw("application/json", body.clone()).send().await.problem(400, "malformed_json");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g14_no_answer_leads_to_another_host() {
    let process = Site::new(None).start().await;
    let (ada, _) = process.connect().await.register("ada").await;
    let body = order().to_string();
    for host in ["evil.example", "evil.example:8000", "localhost.evil.example"] {
        let head = format!(
            "Host: {host}\r\nX-Forwarded-Host: {host}\r\nX-Forwarded-Proto: gopher\r\nForwarded: host={host}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n",
            ada.token()
        );
        let place = format!(
            "POST /orders HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let placed = process.exchange(&place).await;
        assert!(placed.starts_with("HTTP/1.1 201 ") && placed.contains("\r\nlocation: /orders/"), "{placed}");
        let mut answers = vec![placed];
        for path in [
            "/orders?limit=1",
            "/",
            "/docs",
            "/openapi.json",
            "/nothing",
            "/?next=//evil.example",
            "/orders?next=https:evil.example",
        ] {
            answers.push(process.exchange(&format!("GET {path} HTTP/1.1\r\n{head}\r\n")).await);
            // A proxy's form of a request, whose host is the same.
            answers.push(process.exchange(&format!("GET http://{host}{path} HTTP/1.1\r\n{head}\r\n")).await);
        }
        for answer in answers {
            assert!(!answer.contains("evil.example"), "{answer}");
        }
    }
    let odd = process
        .exchange("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await;
    assert!(odd.starts_with("HTTP/1.1 400 "), "{odd}");
}
