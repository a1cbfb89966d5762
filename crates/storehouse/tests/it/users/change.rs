//! `GET`, `PUT` and `PATCH` of `/users/{id}` and `/users/me`

use http::Method;
use serde_json::{Value, json};

use super::path;
use crate::harness::{App, Client, each_app};

#[tokio::test]
async fn who_may_see_and_change_whom() {
    each_app(async |app| {
        let (ada, bob) = (app.customer("ada").await, app.customer("bob").await);
        let (staff, admin) = (app.staff("staff").await, app.admin("root").await);
        let unknown = format!("/users/{}", kit::clock::new_id());
        for (client, target, seen, changed) in [
            (&ada, path(&ada), 200, 200),
            (&ada, path(&bob), 404, 404),
            (&ada, path(&admin), 404, 404),
            (&ada, unknown.clone(), 404, 404),
            (&ada, "/users/none".to_owned(), 404, 404),
            (&staff, path(&ada), 200, 403),
            (&staff, path(&admin), 200, 403),
            (&staff, path(&staff), 200, 200),
            (&staff, unknown.clone(), 404, 404),
            (&admin, path(&ada), 200, 200),
            (&admin, path(&staff), 200, 200),
            (&admin, unknown.clone(), 404, 404),
        ] {
            client.get(&target).await.expect(seen);
            client.put(&target, json!({"phone": "1"})).await.expect(changed);
            let faulty = if changed == 200 { 422 } else { changed };
            client.put(&target, json!({"bad": "1"})).await.expect(faulty);
        }
    })
    .await;
}

#[tokio::test]
async fn put_and_patch_change_what_is_named_and_null_clears() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        for (method, target) in [
            (Method::PUT, "/users/me".to_owned()),
            (Method::PATCH, "/users/me".to_owned()),
            (Method::PUT, path(&ada)),
            (Method::PATCH, path(&ada)),
        ] {
            let set =
                json!({"full_name": "Ada", "phone": "1", "address": "Here", "preferences": {"a": [1, 2.50]}});
            let mut expected = ada.get("/users/me").await.expect(200).json();
            let changed = send(&ada, &method, &target, &set).await;
            for (field, value) in set.as_object().unwrap() {
                expected[field] = value.clone();
            }
            expected["version"] = (expected["version"].as_i64().unwrap() + 1).into();
            expected["updated_at"] = changed["updated_at"].clone();
            assert_eq!(changed, expected);
            let cleared = send(
                &ada,
                &method,
                &target,
                &json!({"full_name": null, "phone": null, "address": null, "preferences": null}),
            )
            .await;
            for field in ["full_name", "phone", "address"] {
                assert_eq!(cleared[field], Value::Null);
            }
            assert_eq!(cleared["preferences"], json!({}));
        }
        let nulls = json!({"email": null, "username": null, "current_password": null});
        let mut fields = ada.put("/users/me", nulls).await.problem(422, "validation_failed").faulty_fields();
        fields.sort();
        assert_eq!(fields, ["current_password", "email", "username"]);
    })
    .await;
}

async fn send(client: &Client<'_>, method: &Method, target: &str, body: &Value) -> Value {
    client.request(method.clone(), target).json(body).send().await.expect(200).json()
}

#[tokio::test]
async fn role_and_disabled_are_fields_for_admins_alone() {
    each_app(async |app| {
        let (staff, admin) = (app.staff("staff").await, app.admin("root").await);
        for (field, value) in [
            ("role", json!("admin")),
            ("disabled", json!(false)),
            ("id", json!("x")),
            ("version", json!(9)),
            ("password_hash", json!("x")),
            ("created_at", json!("x")),
        ] {
            let problem = staff.put("/users/me", json!({field: value})).await.problem(422, "unknown_field");
            assert_eq!(problem.faulty_fields(), [field]);
        }
        for body in [
            json!({"role": null}),
            json!({"disabled": null}),
            json!({"role": "root"}),
            json!({"disabled": "yes"}),
        ] {
            admin.put(&path(&staff), body).await.problem(422, "validation_failed");
        }
        let changed =
            admin.put(&path(&staff), json!({"role": "customer", "disabled": true})).await.expect(200).json();
        assert_eq!((&changed["role"], &changed["disabled"]), (&json!("customer"), &json!(true)));
    })
    .await;
}

/// What nobody may say of themselves, and no one of a new account.
const FORBIDDEN: &[&str] = &[
    "role",
    "is_admin",
    "id",
    "user_id",
    "password_hash",
    "email_verified",
    "created_at",
    "disabled",
    "version",
];

#[tokio::test]
async fn z03_nobody_writes_what_is_not_theirs_to_write() {
    each_app(async |app| {
        let (ada, admin) = (app.customer("ada").await, app.admin("root").await);
        let before = ada.get("/users/me").await.expect(200).json();
        let (me, own) = ("/users/me".to_owned(), format!("/users/{}", ada.id));
        for field in FORBIDDEN {
            for value in [json!("admin"), json!(true), json!(1), json!(null)] {
                for address in [&me, &own] {
                    for method in [Method::PUT, Method::PATCH] {
                        let body = json!({"full_name": "Eve", *field: value});
                        let answer = ada.request(method, address).json(&body).send().await;
                        assert_eq!(answer.problem(422, "unknown_field").faulty_fields(), [*field]);
                    }
                }
                let body = json!({"email": "eve@example.com", "password": "password123", "username": "eve", *field: value});
                let answer = app.nobody().post("/auth/register", body).await.problem(422, "unknown_field");
                assert_eq!(answer.faulty_fields(), [*field]);
            }
            if !matches!(*field, "role") {
                let body = json!({"email": "eve@example.com", "username": "eve", *field: true});
                admin.post("/users", body).await.problem(422, "unknown_field");
            }
        }
        assert_eq!(ada.get("/users/me").await.expect(200).json(), before);
        assert_eq!(admin.get("/users?count=exact").await.expect(200).json()["total"], 2);
    })
    .await;
}

#[tokio::test]
async fn preferences_have_a_size_and_a_depth() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let sized = |bytes: usize| json!({"preferences": {"x": "y".repeat(bytes - r#"{"x":""}"#.len())}});
        ada.put("/users/me", sized(16 * 1024)).await.expect(200);
        let problem = ada.put("/users/me", sized(16 * 1024 + 1)).await.problem(422, "validation_failed");
        assert_eq!(problem.faulty_fields(), ["preferences"]);
        let nested =
            |depth: usize| format!(r#"{{"preferences":{{"x":{}{}}}}}"#, "[".repeat(depth), "]".repeat(depth));
        let put = async |body: String| {
            ada.request(Method::PUT, "/users/me").raw("application/json", body).send().await
        };
        put(nested(30)).await.expect(200);
        put(nested(31)).await.problem(400, "malformed_json");
        put(nested(100_000)).await.problem(400, "malformed_json");
        for value in ["[]", "1", "\"x\"", "true"] {
            put(format!(r#"{{"preferences":{value}}}"#)).await.problem(422, "validation_failed");
        }
        put(r#"{"preferences":{"a":1,"a":2}}"#.to_owned()).await.problem(400, "malformed_json");
    })
    .await;
}

#[tokio::test]
async fn the_own_email_changes_only_with_the_password() {
    each_app(async |app| {
        // Eight blanks are a password like any other.
        let password = "        ";
        let body = json!({"email": "ada@example.com", "password": password, "username": "ada"});
        let registered = app.nobody().post("/auth/register", body).await.expect(201).json();
        let ada = app.nobody().with_token(registered["token"].as_str().unwrap());
        let change = json!({"email": "ada@new.example"});
        ada.put("/users/me", change.clone()).await.problem(403, "forbidden");
        let with = |password: &str| json!({"email": "ada@new.example", "current_password": password});
        ada.put("/users/me", with("wrong password")).await.problem(401, "invalid_credentials");
        assert_eq!(ada.get("/users/me").await.expect(200).json(), registered["user"]);
        let changed = ada.put("/users/me", with(password)).await.expect(200).json();
        assert_eq!(changed["email"], "ada@new.example");
        ada.put("/users/me", change).await.expect(200);
        let login = |email: &str| json!({"email": email, "password": password});
        app.nobody().post("/auth/login", login("ada@new.example")).await.expect(200);
        app.nobody().post("/auth/login", login("ada@example.com")).await.problem(401, "invalid_credentials");
        check_taken(app, &ada).await;
    })
    .await;
}

async fn check_taken(app: &App, ada: &Client<'_>) {
    app.customer("bob").await;
    let taken = json!({"email": "BOB@example.com", "current_password": "        "});
    ada.put("/users/me", taken).await.problem(409, "email_taken");
    ada.put("/users/me", json!({"username": "Bob"})).await.problem(409, "username_taken");
    ada.put("/users/me", json!({"username": "ADA"})).await.expect(200);
}

#[tokio::test]
async fn an_admin_changes_anothers_email_without_a_password() {
    each_app(async |app| {
        let (ada, admin) = (app.customer("ada").await, app.admin("root").await);
        let changed = admin.put(&path(&ada), json!({"email": "new@example.com"})).await.expect(200).json();
        assert_eq!(changed["email"], "new@example.com");
        admin.put("/users/me", json!({"email": "root@new.example"})).await.problem(403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn z07_the_last_admin_stays() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        for body in [
            json!({"role": "staff"}),
            json!({"disabled": true}),
            json!({"role": "customer", "disabled": true}),
        ] {
            admin.put("/users/me", body).await.problem(409, "last_admin");
        }
        admin.delete(&path(&admin)).await.problem(409, "last_admin");
        let other = app.admin("other").await;
        other.put("/users/me", json!({"disabled": true})).await.expect(200);
        admin.put("/users/me", json!({"role": "staff"})).await.problem(409, "last_admin");
        admin.put(&path(&other), json!({"disabled": false})).await.expect(200);
        admin.put("/users/me", json!({"role": "staff"})).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn of_two_admins_who_demote_each_other_at_once_one_stays() {
    each_app(async |app| {
        let (one, two) = (app.admin("one").await, app.admin("two").await);
        let demote = json!({"role": "customer"});
        let (one_path, two_path) = (path(&one), path(&two));
        let (first, second) = futures_util::future::join(
            one.put(&two_path, demote.clone()),
            two.put(&one_path, demote.clone()),
        )
        .await;
        let done = [first.status, second.status].iter().filter(|status| **status == 200).count();
        assert_eq!(done, 1, "{} {}", first.text(), second.text());
    })
    .await;
}
