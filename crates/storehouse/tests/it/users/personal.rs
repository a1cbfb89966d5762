//! What is kept of a person: told to them, and gone when they are.

use std::collections::HashSet;

use ::audit::{Act, Action};
use ::db::Error;
use futures_util::FutureExt;
use http::Method;
use kit::author::Author;
use serde_json::{Value, json};
use uuid::Uuid;

use super::path;
use crate::contract::dump::dump;
use crate::harness::{App, Client, Engine, TestDatabase, each_app, each_engine, enrol, eventually};

/// A word that stands in all that is personal of one person, and nowhere else.
const MARK: &str = "Zaphodmark";

async fn register<'a>(app: &'a App) -> Client<'a> {
    let body = json!({"email": format!("{MARK}@example.com"), "password": "password123", "username": format!("{MARK} B")});
    let nobody = app.nobody().at("203.0.113.77");
    let call = nobody.request(Method::POST, "/auth/register").header("user-agent", &format!("{MARK}/1.0"));
    let answer = call.json(&body).send().await.expect(201).json();
    let mut client = nobody.with_token(answer["token"].as_str().unwrap());
    client.id = answer["user"]["id"].as_str().unwrap().parse().unwrap();
    client
}

/// Leaves the mark wherever somebody can leave it.
async fn leave_marks(app: &App, person: &Client<'_>) -> [String; 2] {
    let staff = app.staff("staff").await;
    let profile = json!({
        "full_name": format!("{MARK} Beeblebrox"), "phone": format!("{MARK} 42"), "address": format!("{MARK} Street"),
        "preferences": {"theme": MARK},
    });
    person.put("/users/me", profile).await.expect(200);
    let order = json!({
        "product_name": "Towel", "quantity": 1, "total_price": 5, "note": format!("for {MARK}"),
        "ship_to": {"name": MARK}, "metadata": {"who": MARK},
    });
    let place = async |key: &str| {
        let call = person.request(Method::POST, "/orders").header("idempotency-key", key);
        let placed = call.json(&order).send().await.expect(201).json();
        format!("/orders/{}", placed["id"].as_str().unwrap())
    };
    let (closed, open) = (place("one").await, place("two").await);
    person.post(&format!("{closed}/cancel"), json!({"reason": format!("{MARK} says no")})).await.expect(200);
    // By telephone: the answer is kept for whoever of the staff repeats it.
    let mut by_phone = order.clone();
    by_phone["user_id"] = json!(person.id);
    let call = staff.request(Method::POST, "/orders").header("idempotency-key", "phone");
    let phoned = call.json(&by_phone).send().await.expect(201).json();
    let phoned = format!("/orders/{}", phoned["id"].as_str().unwrap());
    staff.post(&format!("{phoned}/cancel"), json!({"reason": format!("{MARK} rang")})).await.expect(200);
    [closed, open]
}

async fn marked_rows(app: &App) -> Vec<String> {
    let mark = MARK.to_lowercase();
    let rows = dump(&app.db).await;
    rows.into_iter()
        .filter(|row| {
            let text = row.to_lowercase();
            // Bodies that are stored as bytes are shown as numbers.
            let bytes: Vec<String> = MARK.bytes().map(|byte| byte.to_string()).collect();
            text.contains(&mark) || text.contains(&bytes.join(", ")) || text.contains("203.0.113.77")
        })
        .collect()
}

#[tokio::test]
async fn a_deleted_person_leaves_nothing_personal() {
    let test = async |database: &TestDatabase| {
        let app = App::new(database).await;
        let (admin, person) = (app.admin("root").await, register(&app).await);
        let [closed, open] = leave_marks(&app, &person).await;
        assert!(marked_rows(&app).await.len() >= 8, "the marks are there: {:#?}", marked_rows(&app).await);
        person.delete(&path(&person)).await.expect(204);
        let closed_is_clean = async || {
            let order = admin.get(&closed).await.expect(200).json();
            order["ship_to"].is_null() && order["note"].is_null() && order["metadata"] == json!({})
        };
        eventually("what is personal in closed orders is gone", closed_is_clean).await;
        // What is still to be shipped says where to; all else is gone already.
        let still_there = admin.get(&open).await.expect(200).json();
        assert_eq!(still_there["ship_to"], json!({"name": MARK}));
        let only_the_open_one = async || marked_rows(&app).await.iter().all(|row| row.starts_with("orders "));
        eventually("all but the open order is gone", only_the_open_one).await;
        admin.post(&format!("{open}/cancel"), json!({"reason": format!("{MARK} is gone")})).await.expect(200);
        let is_clean = async || marked_rows(&app).await.is_empty();
        eventually("nothing is left", is_clean).await;
        let note = json!({"note": format!("{MARK} rang again")});
        admin.request(Method::PATCH, &closed).json(&note).send().await.expect(200);
        eventually("what was written to it later is gone too", is_clean).await;
        let kept = admin.get(&closed).await.expect(200).json();
        assert_eq!((&kept["user_id"], &kept["total_price"]), (&json!(person.id), &json!(5.0)));
        assert_eq!(kept["product_name"], "Towel");
        app.db.close().await;
        if database.engine == Engine::Sqlite {
            no_byte_is_left(database);
        }
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

/// Looked for all the time, as by many processes: the last order of each closes somewhere in the middle of it.
#[tokio::test]
async fn an_order_that_closes_while_its_person_is_erased_is_erased_too() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        for round in 0..20 {
            let person = app.customer(&format!("person{round}")).await;
            let body = json!({"product_name": "Towel", "quantity": 1, "total_price": 5, "note": MARK, "ship_to": {"name": MARK}});
            let placed = person.post("/orders", body).await.expect(201).json();
            let order = format!("/orders/{}", placed["id"].as_str().unwrap());
            let cancelled = format!("{order}/cancel");
            person.delete(&path(&person)).await.expect(204);
            let cancel = admin.post(&cancelled, json!({}));
            let erase = async {
                loop {
                    ::orders::erase_people(&app.db, &mut Uuid::nil()).await.unwrap();
                }
            };
            tokio::select! {
                answer = cancel => answer.expect(200),
                () = erase => unreachable!(),
            };
            ::orders::erase_people(&app.db, &mut Uuid::nil()).await.unwrap();
            let kept = admin.get(&order).await.expect(200).json();
            assert_eq!((&kept["note"], &kept["ship_to"]), (&Value::Null, &Value::Null), "round {round}");
        }
    })
    .await;
}

#[tokio::test]
async fn one_whose_orders_can_not_be_erased_keeps_nobody_else_waiting() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let mut orders = Vec::new();
        for name in ["ada", "bob"] {
            let person = app.customer(name).await;
            let body = json!({"product_name": "Towel", "quantity": 1, "total_price": 5, "note": MARK});
            let placed = person.post("/orders", body).await.expect(201).json();
            let order = format!("/orders/{}", placed["id"].as_str().unwrap());
            admin.post(&format!("{order}/cancel"), json!({})).await.expect(200);
            orders.push((person, order));
        }
        let spoil = app.db.write(orders[0].0.id, |tx, id| {
            async move {
                tx.execute("UPDATE orders SET currency = 'none' WHERE user_id = $1", &[(*id).into()]).await
            }
            .boxed()
        });
        spoil.await.unwrap();
        for (person, _) in &orders {
            person.delete(&path(person)).await.expect(204);
        }
        let is_erased = async || admin.get(&orders[1].1).await.expect(200).json()["note"].is_null();
        eventually("the other's note is gone", is_erased).await;
    })
    .await;
}

/// Neither in free pages nor in the log.
fn no_byte_is_left(database: &TestDatabase) {
    let file = database.url().trim_start_matches("sqlite:");
    for ending in ["", "-wal"] {
        let bytes = std::fs::read(format!("{file}{ending}")).unwrap_or_default();
        for mark in [MARK.as_bytes(), MARK.to_lowercase().as_bytes()] {
            let found = bytes.windows(mark.len()).filter(|window| *window == mark).count();
            assert_eq!(found, 0, "in the file{ending}");
        }
    }
}

#[tokio::test]
async fn a_person_downloads_all_that_is_kept_of_them() {
    each_app(async |app| {
        let person = register(app).await;
        leave_marks(app, &person).await;
        let other = app.customer("other").await;
        let order = json!({"product_name": "Other's", "quantity": 1, "total_price": 1});
        other.post("/orders", order.clone()).await.expect(201);
        for _ in 0..23 {
            person.post("/orders", order.clone()).await.expect(201);
        }
        let answer = person.get("/users/me/export").await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(answer.header("content-disposition").contains("attachment; filename="));
        let file = answer.json();
        let mut members: Vec<&str> = file.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        let all = [
            "account",
            "api_keys",
            "audit",
            "exported_at",
            "login",
            "mails",
            "order_history",
            "orders",
            "sessions",
        ];
        assert_eq!(members, all);
        let items = |name: &str| file[name].as_array().unwrap().clone();
        assert_eq!(file["account"], person.get("/users/me").await.expect(200).json());
        assert_eq!((items("sessions").len(), items("login").len()), (1, 1));
        assert_eq!(items("sessions")[0]["ip"], "203.0.113.77");
        assert_eq!(items("login")[0]["has_password"], true);
        let orders = items("orders");
        assert_eq!(orders.len(), 26);
        assert!(orders.iter().all(|order| order["user_id"] == json!(person.id)));
        assert_eq!(orders.iter().filter(|order| order["ship_to"] == json!({"name": MARK})).count(), 3);
        let reasons = items("order_history");
        assert_eq!(reasons.iter().filter(|row| row["reason"].is_string()).count(), 2);
        assert_eq!(reasons.len(), 28);
        let empty = other.get("/users/me/export").await.expect(200).json();
        assert_eq!(empty["orders"].as_array().map(Vec::len), Some(1));
        app.nobody().get("/users/me/export").await.problem(401, "missing_token");
        let nothing = Value::Array(Vec::new());
        let fresh = app.customer("fresh").await.get("/users/me/export").await.expect(200).json();
        assert_eq!((&fresh["orders"], &fresh["order_history"]), (&nothing, &nothing));
    })
    .await;
}

/// Makes an admin of somebody, and logs them in again.
async fn promote<'a>(app: &'a App, root: &Client<'_>, person: &Client<'a>) -> Client<'a> {
    root.put(&path(person), json!({"role": "admin"})).await.expect(200);
    let login = json!({"email": format!("{MARK}@example.com"), "password": "password123"});
    let nobody = app.nobody().at("203.0.113.77");
    let answer = nobody.post("/auth/login", login).await.expect(200).json();
    person.with_token(answer["token"].as_str().unwrap())
}

#[tokio::test]
async fn z06_what_is_downloaded_of_mails_keys_and_acts_holds_no_secret_and_nobody_else() {
    each_app(async |app| {
        let (root, other) =
            (app.admin("root").await.at("192.0.2.1"), app.customer("other").await.at("192.0.2.2"));
        let person = promote(app, &root, &register(app).await).await;
        let authenticator = enrol(app, &person, "password123").await;
        let new = json!({"name": "The shop", "scopes": ["orders:read"]});
        let made = person.post("/auth/keys", new.clone()).await.expect(201).json();
        root.post("/auth/keys", new).await.expect(201);
        let change = json!({"username": "elsewhere", "disabled": true});
        person.put(&path(&other), change).await.expect(200);
        let wrong = json!({"email": format!("{MARK}@example.com"), "password": "wrong one"});
        app.nobody().at("198.51.100.9").post("/auth/login", wrong).await.expect(401);
        for email in [format!("{MARK}@example.com"), root.email.clone()] {
            app.nobody().post("/auth/password/forgot", json!({"email": email})).await.expect(204);
        }
        app.keep_audit().await;
        let answer = person.get("/users/me/export").await.expect(200);
        let (text, file) = (answer.text(), answer.json());
        assert_eq!(file["login"][0]["recovery_codes_left"], 10);
        assert!(file["login"][0]["two_factor_since"].is_string(), "{text}");
        let keys = file["api_keys"].as_array().unwrap();
        assert_eq!((keys.len(), &keys[0]["id"], &keys[0]["name"]), (1, &made["id"], &json!("The shop")));
        let words = |list: &str, member: &str| -> Vec<String> {
            let items = file[list].as_array().unwrap().iter();
            items.map(|item| item[member].as_str().unwrap().to_owned()).collect()
        };
        let mails = ["verify_email", "second_factor_changed", "api_key_made", "reset_password"];
        assert_eq!(words("mails", "kind"), mails);
        check_acts(&file["audit"]);
        let secret = made["secret"].as_str().unwrap()[14..].to_owned();
        let secrets = [secret, authenticator.secret.clone(), person.token.clone().unwrap()];
        let others = ["password123", "$argon2", "root", "other@", "elsewhere", "192.0.2."].map(str::to_owned);
        let ids = [root.id.to_string(), other.id.to_string()];
        for never in secrets.iter().chain(&authenticator.recovery_codes).chain(&others).chain(&ids) {
            assert!(!text.contains(never.as_str()), "{never}: {text}");
        }
    })
    .await;
}

/// What the log says of the person, of whom an admin made an admin.
fn check_acts(audit: &Value) {
    let mut acts: Vec<Value> = audit.as_array().unwrap().clone();
    // The download itself may be sealed already.
    acts.retain(|act| act["action"] != "data.exported");
    let words: Vec<&str> = acts.iter().map(|act| act["action"].as_str().unwrap()).collect();
    let expected = [
        "user.created",
        "user.changed",
        "login",
        "totp.enabled",
        "key.created",
        "user.changed",
        "login.failed",
    ];
    assert_eq!(words.iter().collect::<HashSet<_>>(), expected.iter().collect::<HashSet<_>>());
    assert_eq!(words.len(), expected.len(), "{acts:#?}");
    let find = |word: &str, by_oneself: bool| {
        let is_it = |act: &&Value| act["action"] == word && act["by_oneself"] == by_oneself;
        acts.iter().find(is_it).unwrap_or_else(|| panic!("{word}: {acts:#?}"))
    };
    let (created, failed) = (find("user.created", true), find("login.failed", false));
    assert_eq!(created["person"]["after"]["email"], format!("{MARK}@example.com"));
    assert_eq!((&created["address"], &failed["address"]), (&json!("203.0.113.77"), &json!("198.51.100.9")));
    let promoted = find("user.changed", false);
    assert_eq!((&promoted["after"]["role"], &promoted["address"]), (&json!("admin"), &json!(null)));
    assert_eq!(promoted["request_id"], json!(null));
    let of_other = find("user.changed", true);
    for member in ["object", "before", "after", "person"] {
        assert_eq!(of_other[member], json!(null), "{of_other}");
    }
}

#[tokio::test]
async fn each_act_is_downloaded_once_however_many_there_are() {
    each_app(async |app| {
        let person = app.customer("ada").await;
        // All of one moment, so that the id alone tells them apart.
        let author = Author::nobody(app.clock.now()).by(person.id);
        let written = app.db.write((author, person.id), |tx, (author, id)| {
            async move {
                for _ in 0..450 {
                    ::audit::record(tx, author, Act::new(Action::LoggedIn, *id)).await?;
                }
                Ok::<_, Error>(())
            }
            .boxed()
        });
        written.await.unwrap();
        app.keep_audit().await;
        let file = person.get("/users/me/export").await.expect(200).json();
        let audit = file["audit"].as_array().unwrap();
        let logins = audit.iter().filter(|act| act["action"] == "login");
        let ids: HashSet<&str> = logins.clone().map(|act| act["id"].as_str().unwrap()).collect();
        assert_eq!((logins.count(), ids.len()), (450, 450));
    })
    .await;
}
