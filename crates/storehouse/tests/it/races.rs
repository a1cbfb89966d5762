//! Many at once, and clients that go away: on both engines, through the gateway.

/// Files beside orders and changes of the same products.
mod imports;

/// Logins, logouts and refreshes at once.
mod sessions;

/// Many who want the same stock.
mod stock;

/// The same over real connections.
mod connections;

use std::collections::HashSet;

use ::db::Error;
use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use http::Method;
use kit::identity::Role;
use serde_json::{Value, json};

use crate::harness::{Answer, App, Client, each_app, each_engine};

const MANY: usize = 50;

/// The same request from many at once.
async fn at_once(count: usize, request: impl AsyncFn(usize) -> Answer) -> Vec<Answer> {
    join_all((0..count).map(|number| request(number))).await
}

fn with_status(answers: &[Answer], status: u16) -> Vec<&Answer> {
    answers.iter().filter(|answer| answer.status == status).collect()
}

/// Fails unless one answer has the one status and all the others the other.
#[track_caller]
fn expect_one(answers: &[Answer], winner: u16, loser: (u16, &str)) {
    assert_eq!(with_status(answers, winner).len(), 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != winner) {
        answer.clone().problem(loser.0, loser.1);
    }
}

async fn count(app: &App, sql: &'static str) -> i64 {
    let count: Result<i64, Error> =
        app.db.lookup((), |tx, ()| async move { tx.one(sql, &[], |row| row.get(0)).await }.boxed()).await;
    count.unwrap()
}

fn laptop() -> Value {
    json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99})
}

fn registration(name: &str) -> Value {
    json!({"email": format!("{name}@example.com"), "password": "password123", "username": name})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_first_registrations_one_is_the_admin() {
    each_app(async |app| {
        let nobody = app.nobody();
        let register =
            async |number| nobody.post("/auth/register", registration(&format!("user{number}"))).await;
        let roles: Vec<String> = at_once(MANY, register)
            .await
            .into_iter()
            .map(|answer| answer.expect(201).json()["user"]["role"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(roles.iter().filter(|role| *role == "admin").count(), 1, "{roles:?}");
        assert_eq!(roles.iter().filter(|role| *role == "customer").count(), MANY - 1, "{roles:?}");
        assert_eq!(count(app, "SELECT COUNT(*) FROM accounts WHERE role = 'admin'").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_email_and_a_name_are_taken_once() {
    each_app(async |app| {
        let nobody = app.nobody();
        let same_email = async |number: usize| {
            let email = ["a@example.com", "A@Example.com"][number % 2];
            let body =
                json!({"email": email, "password": "password123", "username": format!("name{number}")});
            nobody.post("/auth/register", body).await
        };
        expect_one(&at_once(20, same_email).await, 201, (409, "email_taken"));
        let admin = app.admin("boss").await;
        let same_name = async |number: usize| {
            let name = ["Same", "same"][number % 2];
            let body = json!({"email": format!("b{number}@example.com"), "username": name});
            admin.post("/users", body).await
        };
        expect_one(&at_once(20, same_name).await, 201, (409, "username_taken"));
    })
    .await;
}

/// What may take an admin away.
async fn remove(by: &Client<'_>, whom: &Client<'_>, how: usize) -> Answer {
    let path = format!("/users/{}", whom.id);
    match how % 3 {
        0 => by.put(&path, json!({"role": "customer"})).await,
        1 => by.put(&path, json!({"disabled": true})).await,
        _ => by.delete(&path).await,
    }
}

async fn active_admins(app: &App) -> i64 {
    count(app, "SELECT COUNT(*) FROM accounts WHERE role = 'admin' AND disabled = FALSE").await
}

/// Leaves one active admin, whom the next round may be begun with.
async fn last_two(app: &App, round: usize) -> [Client<'_>; 2] {
    let two = [app.admin(&format!("first{round}")).await, app.admin(&format!("second{round}")).await];
    const OTHERS: &str = "UPDATE accounts SET role = 'staff' WHERE id <> $1 AND id <> $2";
    let ids = [two[0].id, two[1].id];
    let demoted: Result<u64, Error> = app
        .db
        .write(ids, |tx, ids| {
            async move { tx.execute(OTHERS, &[ids[0].into(), ids[1].into()]).await }.boxed()
        })
        .await;
    demoted.unwrap();
    two
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_is_always_left() {
    each_app(async |app| {
        for round in 0..20 {
            let [first, second] = &last_two(app, round).await;
            let (one, other) = join(remove(first, second, round), remove(second, first, round / 2)).await;
            assert_eq!(active_admins(app).await, 1, "round {round}: {one:?} {other:?}");
            let won = [&one, &other].into_iter().filter(|answer| answer.status.is_success()).count();
            assert_eq!(won, 1, "round {round}: {one:?} {other:?}");
            for lost in [one, other].into_iter().filter(|answer| !answer.status.is_success()) {
                // Whoever comes a moment later is no admin any more, and its token is not good.
                assert!(matches!(&*lost.code(), "last_admin" | "invalid_token"), "{lost:?}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_last_admins_who_resign_at_once_one_is_refused() {
    each_app(async |app| {
        for round in 0..20 {
            let [first, second] = &last_two(app, round).await;
            let (one, other) = join(remove(first, first, round), remove(second, second, round / 2)).await;
            assert_eq!(active_admins(app).await, 1, "round {round}");
            let lost: Vec<Answer> =
                [one, other].into_iter().filter(|answer| !answer.status.is_success()).collect();
            assert_eq!(lost.len(), 1, "round {round}: {lost:?}");
            lost[0].clone().problem(409, "last_admin");
        }
    })
    .await;
}

async fn keyed(client: &Client<'_>, path: &str, key: &str, body: &Value) -> Answer {
    client.request(Method::POST, path).header("idempotency-key", key).json(body).send().await
}

/// One answer is the first one's, all others repeat it.
#[track_caller]
fn expect_repeated(answers: &[Answer], status: u16) {
    let first = answers[0].body.clone();
    for answer in answers {
        let answer = answer.clone().expect(status);
        assert_eq!(answer.body, first, "{answer:?}");
        assert_eq!(
            (answer.header("etag"), answer.header("location")),
            (answers[0].header("etag"), answers[0].header("location"))
        );
    }
    let replayed = answers.iter().filter(|answer| answer.header("idempotent-replayed") == "true").count();
    assert_eq!(replayed, answers.len() - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_from_many_at_once_does_it_once() {
    each_app(async |app| {
        let (customer, admin) = (app.customer("ann").await, app.admin("boss").await);
        let placed = at_once(MANY, async |_| keyed(&customer, "/orders", "k1", &laptop()).await).await;
        expect_repeated(&placed, 201);
        assert_eq!(count(app, "SELECT COUNT(*) FROM orders").await, 1);
        let step = format!("/orders/{}/confirm", placed[0].json()["id"].as_str().unwrap());
        let body = json!({"reason": "paid by phone"});
        expect_repeated(&at_once(MANY, async |_| keyed(&admin, &step, "k1", &body).await).await, 200);
        assert_eq!(count(app, "SELECT COUNT(*) FROM order_history").await, 2);
        let user = json!({"email": "new@example.com", "username": "new", "password": "password123"});
        expect_repeated(&at_once(MANY, async |_| keyed(&admin, "/users", "k2", &user).await).await, 201);
        assert_eq!(count(app, "SELECT COUNT(*) FROM accounts").await, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b04_a_key_belongs_to_one_request_of_one_account() {
    each_app(async |app| {
        let (ann, bob) = (app.customer("ann").await, app.customer("bob").await);
        let bodies: Vec<Value> = (1..=20)
            .map(|quantity| json!({"product_name": "Pen", "quantity": quantity, "total_price": 20}))
            .collect();
        let answers = at_once(20, async |number| keyed(&ann, "/orders", "k", &bodies[number]).await).await;
        expect_one(&answers, 201, (422, "idempotency_key_reused"));
        let of_bob = keyed(&bob, "/orders", "k", &bodies[0]).await.expect(201);
        assert_eq!(of_bob.header("idempotent-replayed"), "");
        assert_eq!(of_bob.json()["user_id"], bob.id.to_string());
        assert_eq!(count(app, "SELECT COUNT(*) FROM orders").await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_request_leaves_its_key_free() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let app = &App::with(database, |options| options.max_pending_orders = 1).await;
        let ann = app.customer("ann").await;
        let first = ann.post("/orders", laptop()).await.expect(201).json();
        let refused = at_once(10, async |_| keyed(&ann, "/orders", "k", &laptop()).await).await;
        for answer in refused {
            answer.problem(409, "too_many_pending_orders");
        }
        keyed(&ann, "/orders", "k", &json!({})).await.expect(422);
        assert_eq!(count(app, "SELECT COUNT(*) FROM idempotency_keys").await, 0);
        ann.post(&format!("/orders/{}/cancel", first["id"].as_str().unwrap()), json!({})).await.expect(200);
        let placed = keyed(&ann, "/orders", "k", &laptop()).await.expect(201);
        assert_eq!(placed.header("idempotent-replayed"), "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_orders_are_pending_than_may_be() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let app = &App::with(database, |options| options.max_pending_orders = 5).await;
        let ann = app.customer("ann").await;
        let answers = at_once(20, async |_| ann.post("/orders", laptop()).await).await;
        assert_eq!(with_status(&answers, 201).len(), 5);
        for refused in with_status(&answers, 409) {
            refused.clone().problem(409, "too_many_pending_orders");
        }
        let numbers: HashSet<i64> = with_status(&answers, 201)
            .into_iter()
            .map(|answer| answer.json()["number"].as_i64().unwrap())
            .collect();
        assert_eq!(numbers.len(), 5);
        assert_eq!(count(app, "SELECT COUNT(*) FROM orders").await, 5);
    })
    .await;
}

/// What is placed at once may share a transaction, in which each order keeps its lines, and each refusal stays with its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_are_placed_at_once_do_not_mix() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let app = &App::with(database, |options| options.max_pending_orders = 3).await;
        let (ann, bob, staff) =
            (app.customer("ann").await, app.customer("bob").await, app.staff("sam").await);
        let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
        let answers = at_once(32, async |number| {
            let free =
                json!({"product_name": format!("Thing {number}"), "quantity": 1, "total_price": number + 1});
            let line =
                |line| json!({"name": format!("{number}-{line}"), "quantity": line + 1, "unit_price": 2});
            let lines: Vec<_> = (0..number).map(line).collect();
            match number % 4 {
                0 => ann.post("/orders", free).await,
                1 => bob.post("/orders", free).await,
                2 => staff.post("/orders", json!({"lines": lines})).await,
                _ => staff.post("/orders", json!({"lines": lines, "user_id": nobody})).await,
            }
        })
        .await;
        let placed = with_status(&answers, 201);
        let statuses = [placed.len(), with_status(&answers, 409).len(), with_status(&answers, 422).len()];
        assert_eq!(statuses, [3 + 3 + 8, 5 + 5, 8]);
        for answer in placed {
            let order = answer.json();
            let path = format!("/orders/{}", order["id"].as_str().unwrap());
            assert_eq!(staff.get(&path).await.expect(200).json()["lines"], order["lines"]);
            let history = staff.get(&format!("{path}/history")).await.expect(200).json();
            assert_eq!(history["items"].as_array().unwrap().len(), 1);
        }
        assert_eq!(count(app, "SELECT COUNT(*) FROM orders").await, 14);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b07_a_step_is_taken_once() {
    each_app(async |app| {
        let staff = app.staff("sam").await;
        for (step, loser) in [("confirm", 409), ("cancel", 409), ("pay", 0)] {
            let order = staff.post("/orders", laptop()).await.expect(201).json();
            let path = format!("/orders/{}", order["id"].as_str().unwrap());
            let step = format!("{path}/{step}");
            let answers = at_once(MANY, async |_| staff.post(&step, json!({})).await).await;
            assert_eq!(with_status(&answers, 200).len(), 1, "{step}");
            for lost in answers.iter().filter(|answer| answer.status != 200) {
                // What is paid is no longer open, which is a fault of the amount or of the moment.
                assert!(lost.status == loser || (loser == 0 && lost.status.is_client_error()), "{lost:?}");
            }
            assert_eq!(staff.get(&path).await.expect(200).json()["version"], 2);
            let history = staff.get(&format!("{path}/history")).await.expect(200).json();
            assert_eq!(history["items"].as_array().unwrap().len(), 2);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b06_no_change_is_lost_to_another() {
    each_app(async |app| {
        let ann = app.customer("ann").await;
        let order = ann.post("/orders", laptop()).await.expect(201).json();
        for path in [format!("/orders/{}", order["id"].as_str().unwrap()), "/users/me".to_owned()] {
            let field = if path == "/users/me" { "full_name" } else { "note" };
            let change = async |number: usize| {
                let request = ann.request(Method::PUT, &path).header("if-match", "\"1\"");
                request.json(&json!({field: format!("change {number}")})).send().await
            };
            let answers = at_once(2, change).await;
            expect_one(&answers, 200, (412, "stale_version"));
            let winner = with_status(&answers, 200)[0].json();
            assert_eq!(ann.get(&path).await.expect(200).json(), winner);
        }
        assert_eq!(app.user("other", Role::Customer).await.get("/users/me").await.json()["version"], 1);
    })
    .await;
}
