use std::time::Duration;

use serde_json::json;

use super::{check, counted, entries, only};
use crate::harness::{each_app, each_shape, limited_app};

#[tokio::test]
async fn z09_denials_are_counted_with_who_and_what() {
    each_shape(async |app| {
        let (admin, ada, bob) =
            (app.admin("root").await, app.customer("ada").await, app.customer("bob").await);
        let order = json!({"product_name": "Laptop", "quantity": 1, "total_price": 1});
        let path = bob.post("/orders", order).await.expect(201).header("location").to_owned();
        let here = ada.at("192.0.2.9");
        here.get(&path).await.problem(404, "not_found");
        here.put(&path, json!({"note": "mine"})).await.problem(404, "not_found");
        here.get("/users").await.problem(403, "forbidden");
        here.get(&format!("/users/{}", bob.id)).await.problem(404, "not_found");
        here.get("/webhooks/no-such").await.problem(404, "not_found");
        here.get(&format!("/webhooks/{}", bob.id)).await.problem(404, "not_found");
        here.get("/audit").await.problem(403, "forbidden");
        // What isn't there, or is one's own, is no denial.
        here.get(&format!("/orders/{}", bob.id)).await.problem(404, "not_found");
        bob.delete(&path).await.expect(204);
        bob.get(&path).await.problem(404, "not_found");
        let denied = entries(&admin, "action=access.denied").await;
        assert_eq!(counted(&denied), 7, "{denied:#?}");
        for entry in &denied {
            assert_eq!((&entry["actor_id"], &entry["address"]), (&json!(ada.id), &json!("192.0.2.9")));
        }
        let first = denied.last().unwrap();
        assert_eq!(first["after"], json!({"asked": "GET /orders/{id}", "others": false}));
        check(app).await;
    })
    .await;
}

#[tokio::test]
async fn z09_a_denial_names_the_api_key_and_each_key_counts_apart() {
    each_shape(async |app| {
        let admin = app.admin("root").await;
        let (one, one_key) = app.key(&admin, &["orders:read"]).await;
        let (other, other_key) = app.key(&admin, &["products:read"]).await;
        for _ in 0..3 {
            one_key.get("/products").await.problem(403, "insufficient_scope");
        }
        one_key.get("/audit").await.problem(403, "forbidden");
        one_key.get(&format!("/auth/keys/{other}")).await.expect(403);
        other_key.get("/orders").await.problem(403, "insufficient_scope");
        let denied = entries(&admin, &format!("action=access.denied&actor_id={}", admin.id)).await;
        let of =
            |key: &str| -> Vec<_> { denied.iter().filter(|entry| entry["key_id"] == key).cloned().collect() };
        assert_eq!((counted(&of(&one)), counted(&of(&other)), counted(&denied)), (5, 1, 6), "{denied:#?}");
        check(app).await;
    })
    .await;
}

#[tokio::test]
async fn z09_failed_logins_are_counted_for_each_address_and_account() {
    each_shape(async |app| {
        let (admin, ada) = (app.admin("root").await, app.customer("ada").await);
        let nobody = app.nobody().at("192.0.2.8");
        for _ in 0..3 {
            nobody
                .post("/auth/login", json!({"email": ada.email, "password": "wrong one"}))
                .await
                .expect(401);
            nobody
                .post("/auth/login", json!({"email": "nobody@example.com", "password": "wrong one"}))
                .await
                .expect(401);
        }
        let failed = entries(&admin, "action=login.failed").await;
        assert_eq!(counted(&failed), 6, "{failed:#?}");
        let tried: Vec<_> =
            failed.iter().filter(|entry| entry["object"]["id"] == json!(ada.id)).cloned().collect();
        assert_eq!(counted(&tried), 3);
        for entry in &failed {
            assert_eq!((&entry["address"], &entry["actor_id"]), (&json!("192.0.2.8"), &json!(null)));
            assert!(!entry.to_string().contains("nobody@"), "what was tried may be a password: {entry}");
        }
        let wrong = json!({"current_password": "wrong one", "new_password": "another one 9"});
        ada.post("/auth/password", wrong).await.expect(401);
        let password = only(entries(&admin, "action=password.failed").await);
        assert_eq!((&password["actor_id"], &password["object"]["id"]), (&json!(ada.id), &json!(ada.id)));
    })
    .await;
}

#[tokio::test]
async fn z09_who_guesses_too_often_is_told_too() {
    limited_app(async |app| {
        let admin = app.admin("root").await;
        let nobody = app.nobody().at("2001:db8::7");
        for _ in 0..40 {
            let wrong = json!({"email": "nobody@example.com", "password": "wrong one"});
            let answer = nobody.post("/auth/login", wrong).await;
            assert!(matches!(answer.status.as_u16(), 401 | 429), "{}", answer.status);
        }
        let (failed, limited) =
            (entries(&admin, "action=login.failed").await, entries(&admin, "action=login.limited").await);
        assert_eq!((counted(&failed), counted(&limited)), (5, 35));
        assert!(
            limited.iter().all(|entry| entry["address"] == "2001:db8::"),
            "a network counts as one: {limited:#?}"
        );
    })
    .await;
}

/// However much is refused, so much is written and no more.
#[tokio::test]
async fn z09_a_flood_of_refusals_buys_few_entries() {
    each_app(async |app| {
        let (admin, ada) = (app.admin("root").await, app.customer("ada").await);
        let before = entries(&admin, "").await.len();
        for minute in 0..2 {
            for number in 0..150 {
                let here = ada.at(&format!("192.0.{minute}.{number}"));
                for _ in 0..3 {
                    here.get("/users").await.problem(403, "forbidden");
                }
            }
            app.clock.advance(Duration::from_secs(60));
        }
        let denied = entries(&admin, "action=access.denied").await;
        assert_eq!(counted(&denied), 900, "none is forgotten");
        // The flood may have met the end of a minute of the clock, so it counts as three at most.
        assert!((202..=303).contains(&denied.len()), "{}", denied.len());
        let others: Vec<_> = denied.iter().filter(|entry| entry["after"]["others"] == true).collect();
        assert!(others.iter().all(|entry| entry["address"].is_null() && entry["actor_id"].is_null()));
        assert_eq!(entries(&admin, "").await.len(), before + denied.len());
        check(app).await;
    })
    .await;
}
