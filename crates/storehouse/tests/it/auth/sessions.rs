//! `/auth/logout`, `/auth/logout-all`, `/auth/sessions`, `/auth/validate`

use http::Method;
use serde_json::{Value, json};

use super::{client, log_in, register, text};
use crate::harness::{Client, each_app};

#[tokio::test]
async fn logging_out_ends_this_session_alone() {
    each_app(async |app| {
        let first = register(app, "ada").await;
        let second = log_in(app, "ada").await;
        let (here, there) = (client(app, &first), client(app, &second));
        let nothing = here.request(Method::POST, "/auth/logout").send().await.expect(204);
        assert!(nothing.body.is_empty());
        here.get("/users/me").await.problem(401, "invalid_token");
        here.post("/auth/logout", json!({})).await.problem(401, "invalid_token");
        let refresh = json!({"refresh_token": first["refresh_token"]});
        app.nobody().post("/auth/refresh", refresh).await.problem(401, "invalid_token");
        there.get("/users/me").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn s06_logging_out_everywhere_ends_all_own_sessions() {
    each_app(async |app| {
        let pairs = [register(app, "ada").await, log_in(app, "ada").await, log_in(app, "ada").await];
        let other = client(app, &register(app, "bob").await);
        client(app, &pairs[1]).post("/auth/logout-all", json!({})).await.expect(204);
        for pair in &pairs {
            client(app, pair).get("/users/me").await.problem(401, "invalid_token");
        }
        other.get("/users/me").await.expect(200);
        let again = client(app, &log_in(app, "ada").await);
        again.get("/users/me").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn s05_the_list_shows_own_sessions_and_which_is_this() {
    each_app(async |app| {
        register(app, "bob").await;
        register(app, "ada").await;
        let login = json!({"email": "ada@example.com", "password": super::PASSWORD});
        let nobody = app.nobody();
        let request = nobody.request(Method::POST, "/auth/login").header("user-agent", "Phone/1.0");
        let ada = client(app, &request.json(&login).send().await.expect(200).json());
        let sessions = items(&ada, "/auth/sessions").await;
        assert_eq!(sessions.len(), 2, "bob's is not among them");
        let mut members: Vec<&str> = sessions[0].as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["created_at", "current", "device", "id", "ip", "last_used_at"]);
        assert_eq!((&sessions[0]["device"], &sessions[0]["current"]), (&json!("Phone/1.0"), &json!(true)));
        assert_eq!(sessions[0]["ip"], "127.0.0.1");
        assert_eq!(sessions[1]["current"], false);
    })
    .await;
}

#[tokio::test]
async fn s05_one_ends_own_sessions_only() {
    each_app(async |app| {
        let pairs = [register(app, "ada").await, log_in(app, "ada").await];
        let (here, there) = (client(app, &pairs[0]), client(app, &pairs[1]));
        let bob = client(app, &register(app, "bob").await);
        let id = text(&items(&there, "/auth/sessions").await[0], "id").to_owned();
        let path = format!("/auth/sessions/{id}");
        bob.delete(&path).await.problem(404, "not_found");
        there.get("/users/me").await.expect(200);
        here.delete(&path).await.expect(204);
        there.get("/users/me").await.problem(401, "invalid_token");
        here.delete(&path).await.problem(404, "not_found");
        here.delete("/auth/sessions/none").await.problem(404, "not_found");
        assert_eq!(items(&here, "/auth/sessions").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn s06_an_admin_ends_all_sessions_of_somebody() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let pairs = [register(app, "ada").await, log_in(app, "ada").await];
        let ada = pairs.each_ref().map(|pair| client(app, pair));
        let path = format!("/users/{}/sessions", text(&pairs[0]["user"], "id"));
        for other in [app.customer("bob").await, app.staff("staff").await] {
            assert!([403, 404].contains(&other.delete(&path).await.status.as_u16()));
        }
        ada[0].get("/users/me").await.expect(200);
        admin.delete(&path).await.expect(204);
        for pair in &pairs {
            client(app, pair).get("/users/me").await.problem(401, "invalid_token");
            let refresh = json!({"refresh_token": pair["refresh_token"]});
            app.nobody().post("/auth/refresh", refresh).await.problem(401, "invalid_token");
        }
        client(app, &log_in(app, "ada").await).get("/users/me").await.expect(200);
        admin.get("/users/me").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn s07_each_login_gives_a_session_of_its_own() {
    each_app(async |app| {
        let registered = register(app, "ada").await;
        let before = app.nobody().with_token(text(&registered, "token"));
        before.post("/auth/logout", json!({})).await.expect(204);
        let login = json!({"email": "ada@example.com", "password": super::PASSWORD});
        // Whatever is sent along with a login, its session is new, and what was sent stays worthless.
        let call = before.request(Method::POST, "/auth/login").header("cookie", "sid=chosen");
        let first = call.json(&login).send().await.expect(200).json();
        let second = log_in(app, "ada").await;
        let mut sessions = Vec::new();
        for pair in [&first, &second] {
            let claims = client(app, pair).get("/auth/validate").await.expect(200).json();
            sessions.push(text(&claims, "sid").to_owned());
        }
        let old = app.tokens.verify(text(&registered, "token")).unwrap().sid.to_string();
        sessions.push(old);
        sessions.sort();
        sessions.dedup();
        assert_eq!(sessions.len(), 3);
        before.get("/users/me").await.problem(401, "invalid_token");
    })
    .await;
}

#[tokio::test]
async fn validate_tells_the_claims() {
    each_app(async |app| {
        let pair = register(app, "ada").await;
        let claims = client(app, &pair).get("/auth/validate").await.expect(200).json();
        let mut members: Vec<&str> = claims.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["aud", "email", "exp", "iat", "iss", "jti", "nbf", "role", "sid", "sub"]);
        assert_eq!((&claims["sub"], &claims["role"]), (&pair["user"]["id"], &json!("admin")));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
        let none = app.nobody().get("/auth/validate").await.problem(401, "missing_token");
        assert_eq!(none.header("www-authenticate"), "Bearer");
        let bad = app.nobody().with_token("x").get("/auth/validate").await.problem(401, "invalid_token");
        assert_eq!(bad.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    })
    .await;
}

async fn items(client: &Client<'_>, path: &str) -> Vec<Value> {
    client.get(path).await.expect(200).json()["items"].as_array().unwrap().clone()
}
