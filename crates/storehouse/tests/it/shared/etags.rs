//! `ETag`, `If-Match`, `If-None-Match`

use http::Method;
use serde_json::{Value, json};

use super::order;
use crate::harness::{Answer, Client, each_app};

#[tokio::test]
async fn if_none_match_spares_the_answer() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let placed = ada.post("/orders", order(1)).await.expect(201);
        let path = placed.header("location").to_owned();
        for path in [path.as_str(), "/users/me", &format!("/users/{}", ada.id)] {
            assert_eq!(ada.get(path).await.expect(200).header("etag"), "\"1\"");
            for tags in ["\"1\"", "*", "W/\"1\"", "\"9\", \"1\"", "\"9\",W/\"1\"", " \"1\" "] {
                let spared = send(&ada, Method::GET, path, "if-none-match", tags).await.expect(304);
                assert_eq!(spared.header("etag"), "\"1\"", "{tags}");
            }
            for tags in ["\"2\"", "\"11\"", "\"\"", "\"1.1\""] {
                send(&ada, Method::GET, path, "if-none-match", tags).await.expect(200);
            }
            for tags in ["1", "\"1", "W/1", "*, \"1\"", "\"1\" \"2\"", ",", ""] {
                send(&ada, Method::GET, path, "if-none-match", tags).await.problem(400, "invalid_header");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn if_match_guards_every_change_of_an_order() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let path = staff.post("/orders", order(1)).await.expect(201).header("location").to_owned();
        let mut version = 1;
        for (method, rest) in [
            (Method::PUT, ""),
            (Method::PATCH, ""),
            (Method::POST, "/confirm"),
            (Method::POST, "/hold"),
            (Method::DELETE, ""),
        ] {
            let target = format!("{path}{rest}");
            for stale in ["\"99\"", "W/\"1\"", "\"0\", \"99\""] {
                let refused = send(&staff, method.clone(), &target, "if-match", stale)
                    .await
                    .problem(412, "stale_version");
                assert_eq!(refused.header("etag"), format!("\"{version}\""));
            }
            send(&staff, method.clone(), &target, "if-match", "x").await.problem(400, "invalid_header");
            let present = format!("\"99\", \"{version}.7\"");
            let done = send(&staff, method, &target, "if-match", &present).await;
            assert!(done.status.is_success(), "{}", done.text());
            version += 1;
        }
        assert_eq!(staff.get(&path).await.expect(200).header("etag"), format!("\"{version}\""));
    })
    .await;
}

#[tokio::test]
async fn if_match_guards_every_change_of_a_user() {
    each_app(async |app| {
        let (ada, admin) = (app.customer("ada").await, app.admin("root").await);
        let path = format!("/users/{}", ada.id);
        for (client, method, target) in [
            (&ada, Method::PUT, "/users/me"),
            (&ada, Method::PATCH, &*path),
            (&admin, Method::DELETE, &*path),
        ] {
            send(client, method.clone(), target, "if-match", "\"99\"").await.problem(412, "stale_version");
            let present = admin.get(&path).await.expect(200).header("etag").to_owned();
            let done = send(client, method, target, "if-match", &present).await;
            assert!(done.status.is_success(), "{}", done.text());
        }
    })
    .await;
}

#[tokio::test]
async fn b06_of_two_editors_of_one_version_the_second_is_told() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let path = ada.post("/orders", order(1)).await.expect(201).header("location").to_owned();
        let edit = || send(&ada, Method::PUT, &path, "if-match", "\"1\"");
        let (one, two) = futures_util::future::join(edit(), edit()).await;
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
    })
    .await;
}

#[tokio::test]
async fn a_fault_of_the_body_comes_before_412_and_412_before_409() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let path = staff.post("/orders", order(1)).await.expect(201).header("location").to_owned();
        let ship = format!("{path}/ship");
        let stale = |body: Value| staff.request(Method::POST, &ship).header("if-match", "\"9\"").json(&body);
        stale(json!({"bad": 1})).send().await.problem(422, "unknown_field");
        stale(json!({})).send().await.problem(412, "stale_version");
        staff.post(&ship, json!({})).await.problem(409, "illegal_transition");
        let word = json!({"status": "pending"});
        let put = staff.request(Method::PUT, &path).header("if-match", "\"9\"").json(&word);
        put.send().await.problem(412, "stale_version");
    })
    .await;
}

async fn send(client: &Client<'_>, method: Method, path: &str, header: &str, tags: &str) -> Answer {
    let call = client.request(method.clone(), path).header(header, tags);
    if !matches!(method, Method::PUT | Method::PATCH) {
        return call.send().await;
    }
    // A change that names nothing would change nothing.
    let named = if path.starts_with("/orders") { "note" } else { "phone" };
    call.json(&json!({named: "0123"})).send().await
}

#[tokio::test]
async fn a_change_that_names_nothing_changes_nothing() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let path = ada.post("/orders", order(1)).await.expect(201).header("location").to_owned();
        for path in [&*path, "/users/me"] {
            let before = ada.get(path).await.expect(200);
            let after = ada.put(path, json!({})).await.expect(200);
            assert_eq!((after.json(), after.header("etag")), (before.json(), before.header("etag")));
        }
        let history = ada.get(&format!("{path}/history")).await.expect(200).json();
        assert_eq!(history["items"].as_array().map(Vec::len), Some(1));
    })
    .await;
}
