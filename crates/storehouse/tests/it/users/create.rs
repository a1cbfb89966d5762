//! `POST /users`

use serde_json::{Value, json};

use crate::harness::each_app;

#[tokio::test]
async fn an_admin_makes_users_of_any_role() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        for role in ["customer", "staff", "admin"] {
            let body = json!({
                "email": format!("{role}@example.com"), "username": format!("the {role}"), "role": role, "password": "password123",
                "full_name": "Ada Lovelace", "phone": "+44 1", "address": "1 Main St\nLondon", "preferences": {"theme": "dark"},
            });
            let answer = admin.post("/users", body.clone()).await.expect(201);
            let user = answer.json();
            for field in ["email", "username", "role", "full_name", "phone", "address", "preferences"] {
                assert_eq!(user[field], body[field], "{field}");
            }
            let path = format!("/users/{}", user["id"].as_str().unwrap());
            assert_eq!((answer.header("location"), answer.header("etag")), (path.as_str(), "\"1\""));
            assert_eq!(admin.get(&path).await.expect(200).json(), user);
            let login = json!({"email": body["email"], "password": "password123"});
            assert_eq!(app.nobody().post("/auth/login", login).await.expect(200).json()["user"], user);
        }
        let plain = admin.post("/users", json!({"email": "p@example.com", "username": "plain"})).await.expect(201).json();
        assert_eq!((&plain["role"], &plain["full_name"], &plain["preferences"]), (&json!("customer"), &Value::Null, &json!({})));
    })
    .await;
}

#[tokio::test]
async fn others_may_not_whatever_they_send() {
    each_app(async |app| {
        for client in [app.customer("ada").await, app.staff("staff").await] {
            let good = json!({"email": "new@example.com", "username": "new"});
            client.post("/users", good).await.problem(403, "forbidden");
            client.post("/users", json!({"bad": 1})).await.problem(403, "forbidden");
        }
        app.nobody().post("/users", json!({})).await.problem(401, "missing_token");
    })
    .await;
}

#[tokio::test]
async fn duplicates_and_faults_are_told() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        app.customer("ada").await;
        let make = async |email: &str, username: &str| admin.post("/users", json!({"email": email, "username": username})).await;
        make("ADA@example.com", "other").await.problem(409, "email_taken");
        make("other@example.com", "ADA").await.problem(409, "username_taken");
        let wrong = json!({
            "email": "x", "username": "", "password": "short", "role": "root", "full_name": "x".repeat(201), "phone": 1,
            "address": "x".repeat(1001), "preferences": [], "disabled": true,
        });
        let mut fields = admin.post("/users", wrong).await.problem(422, "validation_failed").faulty_fields();
        fields.sort();
        assert_eq!(fields, ["address", "disabled", "email", "full_name", "password", "phone", "preferences", "role", "username"]);
        let repeats = json!({"email": "new@example.com", "username": "new.user", "password": "New.User"});
        assert_eq!(admin.post("/users", repeats).await.problem(422, "validation_failed").faulty_fields(), ["password"]);
    })
    .await;
}
