//! Request ids, `HEAD`, CORS, content types.

use http::Method;
use serde_json::json;

use super::order;
use crate::harness::each_app;

const SERVICES: [&str; 2] = ["gateway", "orders"];

#[tokio::test]
async fn a_well_formed_request_id_is_kept_and_another_replaced() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        for service in SERVICES {
            let ask = |id: &str| ada.request(Method::GET, "/orders").to(service).header("x-request-id", id);
            for id in ["a", "A-1_b.c", &"x".repeat(128)] {
                assert_eq!(ask(id).send().await.expect(200).header("x-request-id"), id);
            }
            for id in ["", "a b", "ü", "a/b", "<script>", &"x".repeat(129)] {
                let given = ask(id).send().await.expect(200).header("x-request-id").to_owned();
                assert_ne!(given, id);
                given.parse::<uuid::Uuid>().unwrap();
            }
            let twice = ask("a").header("x-request-id", "b").send().await.expect(200);
            assert!(!["a", "b"].contains(&twice.header("x-request-id")));
        }
    })
    .await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let path = staff.post("/orders", order(1)).await.expect(201).header("location").to_owned();
        let history = format!("{path}/history");
        let unknown = format!("/orders/{}", kit::clock::new_id());
        for path in [
            &*path,
            &*history,
            &*unknown,
            "/orders",
            "/orders?limit=x",
            "/orders/states",
            "/users",
            "/users/me",
            "/auth/sessions",
            "/auth/validate",
        ] {
            let ask = |method| staff.request(method, path).header("x-request-id", "same").send();
            let (get, head) = (ask(Method::GET).await, ask(Method::HEAD).await);
            assert_eq!(head.status, get.status, "{path}");
            for name in ["etag", "content-type", "link", "cache-control"] {
                assert_eq!(head.header(name), get.header(name), "{path} {name}");
            }
            assert!(head.body.is_empty(), "{path}: {}", head.text());
        }
    })
    .await;
}

#[tokio::test]
async fn a_preflight_needs_no_token() {
    each_app(async |app| {
        let nobody = app.nobody();
        let ask = |origin: &str| {
            let call = nobody.request(Method::OPTIONS, "/orders").header("origin", origin);
            call.header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization, content-type")
        };
        let allowed = ask("http://localhost:3000").send().await.expect(204);
        assert_eq!(allowed.header("access-control-allow-origin"), "http://localhost:3000");
        assert_eq!(allowed.header("access-control-allow-headers"), "authorization, content-type");
        assert!(allowed.header("access-control-allow-methods").contains("POST"));
        for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
            let refused = ask(origin).send().await.expect(204);
            assert_eq!(refused.header("access-control-allow-origin"), "", "{origin}");
        }
    })
    .await;
}

#[tokio::test]
async fn g13_a_page_may_read_answers_and_problems_if_its_origin_may_call() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        for (path, status) in [("/orders", 200), ("/orders/none", 404), ("/nothing", 404)] {
            for (origin, allowed) in
                [("http://localhost:3000", true), ("https://evil.example", false), ("null", false)]
            {
                let answer =
                    ada.request(Method::GET, path).header("origin", origin).send().await.expect(status);
                assert_eq!(
                    answer.header("access-control-allow-origin"),
                    if allowed { origin } else { "" },
                    "{path}"
                );
                assert!(answer.headers.get_all("vary").iter().any(|vary| vary == "Origin"), "{path}");
                assert_eq!(answer.header("access-control-allow-credentials"), "");
            }
        }
        let anonymous =
            app.nobody().request(Method::GET, "/orders").header("origin", "http://localhost:1").send().await;
        assert_eq!(
            anonymous.problem(401, "missing_token").header("access-control-allow-origin"),
            "http://localhost:1"
        );
    })
    .await;
}

#[tokio::test]
async fn a_body_is_json_in_utf_8() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let send = async |content_type: &str, body: Vec<u8>| {
            ada.request(Method::POST, "/orders").raw(content_type, body).send().await
        };
        let good = order(1).to_string().into_bytes();
        for content_type in [
            "application/json",
            "APPLICATION/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/merge-patch+json",
        ] {
            send(content_type, good.clone()).await.expect(201);
        }
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json; charset=latin1",
            "json",
            "",
        ] {
            send(content_type, good.clone()).await.problem(415, "unsupported_media_type");
        }
        for body in [
            "",
            "{",
            "[1,]",
            "{\"a\":1}x",
            "{'a':1}",
            "{\"quantity\":1,\"quantity\":2}",
            "{\"quantity\":1,\"quant\\u0069ty\":2}",
            "\u{feff}{}",
            "{\"a\":01}",
            "{\"a\":NaN}",
            "{\"a\":\"\\ud800\"}",
        ] {
            send("application/json", body.as_bytes().to_vec()).await.problem(400, "malformed_json");
        }
        send("application/json", vec![b'"', 0xff, b'"']).await.problem(400, "malformed_json");
        send("application/json", vec![b' '; 1024 * 1024 + 1]).await.expect(413);
        for body in ["[]", "1", "null", "\"x\""] {
            send("application/json", body.as_bytes().to_vec()).await.problem(422, "validation_failed");
        }
    })
    .await;
}

#[tokio::test]
async fn checks_come_in_their_order() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        for service in SERVICES {
            let nobody = app.nobody();
            nobody.request(Method::GET, "/nothing").to(service).send().await.problem(404, "not_found");
            ada.request(Method::DELETE, "/orders")
                .to(service)
                .send()
                .await
                .problem(405, "method_not_allowed");
            let bad = json!({"bad": 1});
            nobody
                .request(Method::POST, "/orders")
                .to(service)
                .json(&bad)
                .send()
                .await
                .problem(401, "missing_token");
            nobody
                .request(Method::GET, "/orders?bad=1")
                .to(service)
                .send()
                .await
                .problem(401, "missing_token");
            let none = ada.request(Method::POST, "/orders/none/confirm").to(service).json(&bad);
            none.send().await.problem(404, "not_found");
        }
        let method = app.nobody().request(Method::DELETE, "/orders").to("orders");
        method.send().await.problem(405, "method_not_allowed");
    })
    .await;
}
