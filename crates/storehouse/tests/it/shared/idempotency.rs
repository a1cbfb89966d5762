//! `Idempotency-Key`

use std::time::Duration;

use ::stock::{Change, MAIN};
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::order;
use crate::harness::goods::{Goods, adjust, check_stock};
use crate::harness::{Answer, Client, each_app};

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_byte_by_byte() {
    each_app(async |app| {
        let (ada, admin) = (app.customer("ada").await, app.admin("root").await);
        let placed = keyed(&ada, "/orders", "key-1", &order(1)).await.expect(201);
        assert_eq!(placed.header("idempotent-replayed"), "");
        let path = placed.header("location").to_owned();
        assert_replayed(&ada, "/orders", "key-1", &order(1), &placed).await;
        let pay = format!("{path}/pay");
        let amount = json!({"amount": 0.25});
        let paid = keyed(&admin, &pay, "key-1", &amount).await.expect(200);
        admin.post(&format!("{path}/confirm"), json!({})).await.expect(200);
        assert_replayed(&admin, &pay, "key-1", &amount, &paid).await;
        let user = json!({"email": "new@example.com", "username": "new"});
        let made = keyed(&admin, "/users", "key-2", &user).await.expect(201);
        assert_replayed(&admin, "/users", "key-2", &user, &made).await;
        assert_eq!(ada.get("/orders?count=exact").await.expect(200).json()["total"], 1);
        assert_eq!(admin.get(&path).await.expect(200).json()["version"], 3, "paid once, confirmed once");
    })
    .await;
}

async fn assert_replayed(client: &Client<'_>, path: &str, key: &str, body: &Value, first: &Answer) {
    let again = keyed(client, path, key, body).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("idempotent-replayed"), "true");
    for name in ["location", "etag", "content-type"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
}

#[tokio::test]
async fn b03_another_request_with_the_same_key_is_refused() {
    each_app(async |app| {
        let (ada, bob, admin) =
            (app.customer("ada").await, app.customer("bob").await, app.admin("root").await);
        keyed(&ada, "/orders", "key", &order(1)).await.expect(201);
        for (path, body) in [
            ("/orders", order(2)),
            ("/orders?x=1", order(1)),
            ("/orders", json!({"bad": 1})),
            ("/orders", json!([])),
        ] {
            keyed(&ada, path, "key", &body).await.problem(422, "idempotency_key_reused");
        }
        let spaced = ada.request(Method::POST, "/orders").header("idempotency-key", "key");
        let spaced = spaced.raw("application/json", format!(" {}", order(1))).send().await;
        spaced.problem(422, "idempotency_key_reused");
        let path = keyed(&bob, "/orders", "key", &order(1)).await.expect(201).header("location").to_owned();
        keyed(&bob, &format!("{path}/cancel"), "key", &json!({}))
            .await
            .problem(422, "idempotency_key_reused");
        keyed(&admin, &format!("{path}/confirm"), "key", &json!({})).await.expect(200);
        keyed(&admin, &format!("{path}/hold"), "key", &json!({}))
            .await
            .problem(422, "idempotency_key_reused");
        assert_eq!(admin.get(&path).await.expect(200).json()["status"], "confirmed");
    })
    .await;
}

#[tokio::test]
async fn only_successes_are_kept() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        keyed(&staff, "/orders", "key", &json!({"bad": 1})).await.problem(422, "validation_failed");
        let path = keyed(&staff, "/orders", "key", &order(1)).await.expect(201).header("location").to_owned();
        let ship = format!("{path}/ship");
        keyed(&staff, &ship, "ship", &json!({})).await.problem(409, "illegal_transition");
        staff.post(&format!("{path}/confirm"), json!({})).await.expect(200);
        keyed(&staff, &ship, "ship", &json!({})).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn permission_is_checked_again() {
    each_app(async |app| {
        let (ada, admin) = (app.customer("ada").await, app.admin("root").await);
        let staff = app.staff("staff").await;
        let path = ada.post("/orders", order(1)).await.expect(201).header("location").to_owned();
        let own = staff.post("/orders", order(1)).await.expect(201).header("location").to_owned();
        for target in [&path, &own] {
            keyed(&staff, &format!("{target}/confirm"), target, &json!({})).await.expect(200);
        }
        admin.put(&format!("/users/{}", staff.id), json!({"role": "customer"})).await.expect(200);
        let claims = app.tokens.verify(staff.token.as_ref().unwrap()).unwrap();
        let token =
            app.tokens.sign(staff.id, &staff.email, kit::identity::Role::Customer, claims.sid).unwrap();
        let demoted = staff.with_token(token.expose());
        keyed(&demoted, &format!("{path}/confirm"), &path, &json!({})).await.problem(404, "not_found");
        keyed(&demoted, &format!("{own}/confirm"), &own, &json!({})).await.problem(403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        keyed(&ada, "/orders", "key", &order(1)).await.expect(201);
        app.clock.advance(Duration::from_secs(24 * 60 * 60 - 60));
        let claims = app.tokens.verify(ada.token.as_ref().unwrap());
        assert!(claims.is_err(), "the token is older than its time");
        let session = session_of(&ada);
        let fresh = || {
            let token = app.tokens.sign(ada.id, &ada.email, kit::identity::Role::Customer, session);
            ada.with_token(token.unwrap().expose())
        };
        keyed(&fresh(), "/orders", "key", &order(2)).await.problem(422, "idempotency_key_reused");
        app.clock.advance(Duration::from_secs(120));
        let second = keyed(&fresh(), "/orders", "key", &order(2)).await.expect(201);
        assert_eq!((second.header("idempotent-replayed"), &second.json()["number"]), ("", &json!(1002)));
    })
    .await;
}

fn session_of(client: &Client<'_>) -> uuid::Uuid {
    let payload = client.token.as_ref().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&kit::token::from_base64(payload).unwrap()).unwrap();
    claims["sid"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn b03_a_malformed_key_is_refused() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        for key in ["", "a b", "ü", &"k".repeat(256)] {
            let call = ada.request(Method::POST, "/orders").header("idempotency-key", key).json(&order(1));
            call.send().await.problem(400, "invalid_idempotency_key");
        }
        let twice = ada
            .request(Method::POST, "/orders")
            .header("idempotency-key", "a")
            .header("idempotency-key", "a");
        twice.json(&order(1)).send().await.problem(400, "invalid_idempotency_key");
        for key in ["k", &"k".repeat(255), "\"8e03978e-40d5-43dd-bc93-6894a57f9324\""] {
            keyed(&ada, "/orders", key, &order(1)).await.expect(201);
        }
    })
    .await;
}

#[tokio::test]
async fn b03_fifty_at_once_place_one_order() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let body = order(1);
        let answers = join_all((0..50).map(|_| keyed(&ada, "/orders", "key", &body))).await;
        let bodies: Vec<Vec<u8>> = answers.into_iter().map(|answer| answer.expect(201).body).collect();
        assert!(bodies.iter().all(|body| *body == bodies[0]));
        assert_eq!(ada.get("/orders?count=exact").await.expect(200).json()["total"], 1);
    })
    .await;
}

/// Many who place at once, most with a key, some twice with the same, and some of what there is too little of: each once, and whoever is refused may try
/// again with its key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_orders_that_are_placed_together_are_each_their_own() {
    each_app(async |app| {
        let (ada, bob) = (app.customer("ada").await, app.customer("bob").await);
        let scarce = Goods::new("SCARCE", 5).add_to(&app.db).await;
        Goods::new("PLENTY", 1000).add_to(&app.db).await;
        let client = |number: usize| if number.is_multiple_of(2) { &ada } else { &bob };
        let place = async |number: usize| {
            let sku = if number.is_multiple_of(5) { "SCARCE" } else { "PLENTY" };
            let body = json!({"lines": [{"sku": sku, "quantity": 1}]});
            match number % 3 {
                1 => client(number).post("/orders", body).await,
                _ => keyed(client(number), "/orders", &number.to_string(), &body).await,
            }
        };
        let twice = (0..60).step_by(6);
        let numbers: Vec<usize> = (0..60).chain(twice).collect();
        let answers = join_all(numbers.iter().map(|number| place(*number))).await;
        for (number, again) in numbers.iter().zip(&answers).skip(60) {
            assert_eq!((again.status, &again.code()), (answers[*number].status, &answers[*number].code()));
            assert!(again.status != 201 || again.body == answers[*number].body, "{number}");
        }
        let placed = answers.iter().take(60).filter(|answer| answer.status == 201).count();
        let total = async |client: &Client<'_>| {
            client.get("/orders?count=exact").await.expect(200).json()["total"].as_i64().unwrap()
        };
        assert_eq!((placed, total(&ada).await + total(&bob).await), (48 + 5, 48 + 5));
        adjust(&app.db, scarce, MAIN, Change::Receive(7)).await.unwrap();
        for (number, first) in answers.into_iter().take(60).enumerate().filter(|(number, _)| number % 3 != 1)
        {
            let again = place(number).await.expect(201);
            let is_replayed = if first.status == 201 { "true" } else { "" };
            assert_eq!(again.header("idempotent-replayed"), is_replayed, "a key is kept with an order alone");
            assert!(first.status != 201 || again.body == first.body, "{number}");
        }
        check_stock(&app.db).await;
    })
    .await;
}

async fn keyed(client: &Client<'_>, path: &str, key: &str, body: &Value) -> Answer {
    client.request(Method::POST, path).header("idempotency-key", key).json(body).send().await
}
