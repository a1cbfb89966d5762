//! Nobody makes themselves, or anybody else, more than they are.

use http::Method;
use serde_json::json;

use crate::contract::stage::{Stage, Who};
use crate::harness::{Client, each_app};

#[tokio::test]
async fn z07_only_an_admin_makes_promotes_or_changes_an_admin() {
    each_app(async |app| {
        let stage = Stage::new(app, "climb").await;
        let admin = stage.client(Who::Admin);
        let target = format!("/users/{}", admin.id);
        let before = stage.dump().await;
        let made = json!({"email": "new@example.com", "username": "newcomer", "role": "admin"});
        for (who, status) in [(Who::Owner, 404), (Who::Staff, 403)] {
            let caller = stage.client(who);
            caller.post("/users", made.clone()).await.problem(403, "forbidden");
            for change in [
                json!({"role": "customer"}),
                json!({"disabled": true}),
                json!({"email": "mine@example.com"}),
                json!({}),
            ] {
                for method in [Method::PUT, Method::PATCH] {
                    caller.request(method, &target).json(&change).send().await.expect(status);
                }
            }
            caller.delete(&target).await.expect(status);
            climb(caller).await;
        }
        assert_eq!(stage.dump().await, before);
        assert_eq!(admin.get("/users/me").await.expect(200).json()["role"], "admin");
    })
    .await;
}

/// Every way to change oneself, and none that makes one more.
async fn climb(caller: &Client<'_>) {
    let own = format!("/users/{}", caller.id);
    for change in [
        json!({"role": "admin"}),
        json!({"role": "staff"}),
        json!({"Role": "admin"}),
        json!({"is_admin": true}),
    ] {
        for path in ["/users/me", own.as_str()] {
            for method in [Method::PUT, Method::PATCH] {
                caller.request(method, path).json(&change).send().await.problem(422, "unknown_field");
            }
        }
    }
}
