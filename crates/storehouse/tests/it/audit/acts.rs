use http::Method;
use serde_json::{Value, json};

use super::{check, entries, only};
use crate::harness::{Client, SECRET, Site, each_app, each_engine, each_shape, eventually};

const PASSWORD: &str = "a long password 7";

/// Registers at an address, and gives the client that is logged in.
async fn register<'a>(nobody: &Client<'a>, name: &str) -> (Client<'a>, Value) {
    let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD, "username": name});
    let answer = nobody.post("/auth/register", body).await.expect(201).json();
    (nobody.with_token(answer["token"].as_str().unwrap()), answer)
}

fn login(name: &str, password: &str) -> Value {
    json!({"email": format!("{name}@example.com"), "password": password})
}

#[tokio::test]
async fn z09_getting_in_and_out_is_told_with_who_when_and_from_where() {
    each_shape(async |app| {
        let admin = app.admin("root").await;
        let there = app.nobody().at("192.0.2.7");
        let (ada, registered) = register(&there, "ada").await;
        let id = registered["user"]["id"].as_str().unwrap().to_owned();
        let created = only(entries(&admin, &format!("action=user.created&object_id={id}")).await);
        assert_eq!(created["actor_id"], id.as_str(), "who registers is that account");
        assert_eq!(created["object"], json!({"kind": "user", "id": id}));
        assert_eq!(created["address"], "192.0.2.7");
        assert_eq!(created["after"], json!({"role": "customer", "disabled": false}));
        assert_eq!(
            created["person"],
            json!({"before": null, "after": {"email": "ada@example.com", "username": "ada"}})
        );
        let call = there.request(Method::POST, "/auth/login").header("x-request-id", "my-login-1");
        let second = call.json(&login("ada", PASSWORD)).send().await.expect(200).json();
        let logged_in = only(entries(&admin, &format!("action=login&actor_id={id}")).await);
        assert_eq!(logged_in["request_id"], "my-login-1");
        assert_eq!((&logged_in["address"], &logged_in["count"]), (&json!("192.0.2.7"), &json!(1)));
        assert_eq!(logged_in["after"], json!({"second_factor": null}));
        assert!(logged_in["created_at"].as_str().unwrap().ends_with('Z'), "{logged_in}");
        let change = json!({"current_password": PASSWORD, "new_password": "another password 8"});
        ada.post("/auth/password", change).await.expect(204);
        ada.post("/auth/logout", json!({})).await.expect(204);
        for action in ["password.changed", "session.ended"] {
            let entry = only(entries(&admin, &format!("action={action}&actor_id={id}")).await);
            assert_eq!(
                (&entry["before"], &entry["after"], &entry["person"]),
                (&json!(null), &json!(null), &json!(null))
            );
        }
        // A token that was used before is a stolen one.
        let again = there.post("/auth/login", login("ada", "another password 8")).await.expect(200).json();
        let old = json!({"refresh_token": again["refresh_token"]});
        let next = there.post("/auth/refresh", old.clone()).await.expect(200).json();
        there.post("/auth/refresh", json!({"refresh_token": next["refresh_token"]})).await.expect(200);
        there.post("/auth/refresh", old).await.expect(401);
        let reused = only(entries(&admin, &format!("action=session.reused&actor_id={id}")).await);
        assert_eq!(reused["object"]["kind"], "session");
        let third = there.post("/auth/login", login("ada", "another password 8")).await.expect(200).json();
        let ada = there.with_token(third["token"].as_str().unwrap());
        ada.post("/auth/logout-all", json!({})).await.expect(204);
        assert_eq!(entries(&admin, &format!("action=sessions.ended&object_id={id}")).await.len(), 1);
        let told = admin.get("/audit").await.expect(200).text();
        for secret in [PASSWORD, "another password", second["token"].as_str().unwrap()] {
            assert!(!told.contains(secret), "{secret}");
        }
        check(app).await;
    })
    .await;
}

#[tokio::test]
async fn z09_what_becomes_of_an_account_is_told_before_and_after() {
    each_app(async |app| {
        let (admin, ada) = (app.admin("root").await, app.customer("ada").await);
        let path = format!("/users/{}", ada.id);
        admin.put(&path, json!({"role": "staff"})).await.expect(200);
        admin.put(&path, json!({"email": "lovelace@example.com", "disabled": true})).await.expect(200);
        let changes = entries(&admin, &format!("action=user.changed&object_id={}", ada.id)).await;
        let [second, first] = changes.as_slice() else { panic!("{changes:#?}") };
        assert_eq!(
            (&first["before"]["role"], &first["after"]["role"]),
            (&json!("customer"), &json!("staff"))
        );
        assert_eq!((&first["after"]["fields"], &first["person"]), (&json!(["role"]), &json!(null)));
        assert_eq!(
            (&second["before"]["disabled"], &second["after"]["disabled"]),
            (&json!(false), &json!(true))
        );
        assert_eq!(second["person"]["before"]["email"], "ada@example.com");
        assert_eq!(second["person"]["after"]["email"], "lovelace@example.com");
        assert!(changes.iter().all(|entry| entry["actor_id"] == json!(admin.id)));
        // What says nothing of what somebody may do, and was done by themselves, is nobody's business.
        let bob = app.customer("bob").await;
        bob.put("/users/me", json!({"phone": "555", "preferences": {"dark": true}})).await.expect(200);
        assert!(entries(&admin, &format!("action=user.changed&object_id={}", bob.id)).await.is_empty());
        admin.put(&format!("/users/{}", bob.id), json!({"phone": "+1 555 0100"})).await.expect(200);
        let by_admin = only(entries(&admin, &format!("action=user.changed&object_id={}", bob.id)).await);
        assert_eq!(by_admin["after"]["fields"], json!(["phone"]));
        assert!(!by_admin.to_string().contains("555 0100"), "{by_admin}");
        admin.delete(&format!("/users/{}", bob.id)).await.expect(204);
        let deleted = only(entries(&admin, &format!("action=user.deleted&object_id={}", bob.id)).await);
        assert_eq!(deleted["before"], json!({"role": "customer", "disabled": false}));
        // What is refused leaves nothing.
        admin.put(&format!("/users/{}", admin.id), json!({"role": "staff"})).await.problem(409, "last_admin");
        assert!(entries(&admin, &format!("action=user.changed&object_id={}", admin.id)).await.is_empty());
        check(app).await;
    })
    .await;
}

#[tokio::test]
async fn z09_prices_corrections_files_and_webhooks_are_told() {
    each_shape(async |app| {
        let (admin, staff) = (app.admin("root").await, app.staff("sam").await);
        let pen = json!({"sku": "PEN-1", "name": "Pen", "unit_price": 2, "unit_cost": "0.50"});
        let pen = staff.post("/products", pen).await.expect(201).json()["id"].as_str().unwrap().to_owned();
        let path = format!("/products/{pen}");
        staff.put(&path, json!({"unit_price": "2.50", "name": "A pen"})).await.expect(200);
        staff.put(&path, json!({"name": "The pen"})).await.expect(200);
        let price = only(entries(&admin, &format!("action=price.changed&object_id={pen}")).await);
        assert_eq!(price["actor_id"], json!(staff.id));
        assert_eq!(price["before"], json!({"currency": "USD", "unit_price": 2.0, "unit_cost": 0.5}));
        assert_eq!(price["after"]["unit_price"], json!(2.5));
        let main = json!(::stock::MAIN);
        for (kind, quantity, was, is) in [
            ("receive", 9, [0, 0], [9, 0]),
            ("adjust", -1, [9, 0], [8, 0]),
            ("count", 7, [8, 0], [7, 0]),
            ("quarantine", 2, [7, 0], [7, 2]),
        ] {
            let body = json!({"sku": "PEN-1", "kind": kind, "quantity": quantity});
            // Repeated by its key it is done, and told, once.
            for _ in 0..2 {
                let call = staff.request(Method::POST, "/stock/adjustments").header("idempotency-key", kind);
                let moved = call.json(&body).send().await.expect(201).json();
                let told = entries(&admin, &format!("action=stock.corrected&object_id={pen}")).await;
                let [place, on_hand, unavailable] = ["location_id", "on_hand", "unavailable"];
                let level =
                    |[lay, blocked]: [i64; 2]| json!({place: main, on_hand: lay, unavailable: blocked});
                let mut after = level(is);
                after["movement_id"] = moved["id"].clone();
                after["kind"] = kind.into();
                assert_eq!((&told[0]["before"], &told[0]["after"]), (&level(was), &after));
            }
        }
        assert_eq!(entries(&admin, &format!("action=stock.corrected&object_id={pen}")).await.len(), 4);
        let file = "sku,name,unit_price\nPEN-1,The pen,3\nINK-1,Ink,4\n";
        staff.request(Method::POST, "/products/import").raw("text/csv", file).send().await.expect(200);
        let dry = staff.request(Method::POST, "/stock/import?dry_run=true");
        dry.raw("text/csv", "sku,on_hand\nPEN-1,5\n").send().await.expect(200);
        let import = staff.request(Method::POST, "/stock/import");
        import.raw("text/csv", "sku,on_hand\nPEN-1,5\nINK-1,0\n").send().await.expect(200);
        let products = only(entries(&admin, "action=products.imported").await);
        assert_eq!(products["after"], json!({"rows": 2, "created": 1, "changed": 1}));
        let counts = only(entries(&admin, "action=stock.imported").await);
        assert_eq!((&counts["after"]["rows"], &counts["object"]), (&json!(2), &json!(null)));
        for file in ["products.csv", "stock.csv", "orders.csv?status=pending", "stock/movements.csv"] {
            staff.get(&format!("/{file}")).await.expect(200);
            let told = entries(&admin, &format!("action=data.exported&actor_id={}", staff.id)).await;
            let name = file.split('?').next().unwrap().rsplit('/').next().unwrap();
            assert_eq!(told[0]["after"], json!({"file": name, "filtered": file.contains('?')}));
        }
        let secret = webhooks(&admin).await;
        let told = admin.get("/audit?limit=200").await.expect(200).text();
        assert!(!told.contains(&secret) && !told.contains("secret-path"), "{told}");
        check(app).await;
    })
    .await;
}

/// Makes, changes, rotates and removes one, and sees each told; gives the secret.
async fn webhooks(admin: &Client<'_>) -> String {
    let body = json!({"url": "https://example.com:8443/secret-path", "types": ["order.*"], "enabled": false});
    let made = admin.post("/webhooks", body).await.expect(201).json();
    let id = made["id"].as_str().unwrap();
    let path = format!("/webhooks/{id}");
    admin.put(&path, json!({"url": "https://example.org/secret-path"})).await.expect(200);
    admin.post(&format!("{path}/rotate"), json!({})).await.expect(200);
    admin.delete(&path).await.expect(204);
    let told = entries(admin, &format!("object_id={id}")).await;
    let actions: Vec<&str> = told.iter().rev().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["webhook.created", "webhook.changed", "webhook.rotated", "webhook.deleted"]);
    let [deleted, rotated, changed, _] = told.as_slice() else { panic!("{told:#?}") };
    assert_eq!(
        (&changed["before"]["host"], &changed["after"]["host"]),
        (&json!("example.com:8443"), &json!("example.org"))
    );
    assert_eq!(changed["after"]["fields"], json!(["url"]));
    let generations = (&rotated["before"]["secret_generation"], &rotated["after"]["secret_generation"]);
    assert_eq!(generations, (&json!(1), &json!(2)));
    assert_eq!((&deleted["before"]["types"], &deleted["after"]), (&json!(["order.*"]), &json!(null)));
    made["secret"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn z09_the_log_is_read_in_pages_and_as_a_file_by_admins_alone() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        for number in 0..7 {
            app.customer(&format!("user{number}")).await;
        }
        let all = entries(&admin, "").await;
        let pages = entries(&admin, "limit=3").await;
        assert_eq!(pages, all, "pages of any size tell the same");
        let numbers: Vec<i64> = all.iter().map(|entry| entry["number"].as_i64().unwrap()).collect();
        assert!(numbers.len() >= 8 && numbers.iter().all(|number| *number > 0), "{numbers:?}");
        let moment = all[3]["created_at"].as_str().unwrap();
        let (since, until) = (
            entries(&admin, &format!("since={moment}")).await,
            entries(&admin, &format!("until={moment}")).await,
        );
        assert_eq!(since.len() + until.len(), all.len());
        assert_eq!(entries(&admin, "action=user.created&count=exact").await.len(), 8);
        let text = admin.get("/audit.csv?action=user.created").await.expect(200).text();
        assert_eq!(text.lines().count(), 9, "{text}");
        assert!(text.starts_with("number,id,created_at,action,object_kind,object_id,"), "{text}");
        assert_eq!(text.matches(",user.created,user,").count(), 8, "{text}");
        let export = only(entries(&admin, "action=data.exported").await);
        assert_eq!(export["after"], json!({"file": "audit.csv", "filtered": true}));
        for path in ["/audit", "/audit.csv"] {
            app.staff(&format!("sam{}", path.len())).await.get(path).await.problem(403, "forbidden");
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                admin.request(method, path).send().await.problem(405, "method_not_allowed");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn z09_no_text_of_a_client_breaks_a_line() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        for name in ["a\r\nb", "a\u{1b}[31mb", "a\u{9b}b", "a\u{202e}b"] {
            let body = json!({"email": "x@example.com", "username": name});
            admin.post("/users", body).await.problem(422, "validation_failed");
        }
        let call = admin.request(Method::POST, "/users").header("x-request-id", "=cmd|a b");
        call.json(&json!({"email": "=cmd@example.com", "username": "-cmd"})).send().await.expect(201);
        let made = entries(&admin, "action=user.created").await;
        let text = admin.get("/audit.csv?action=user.created").await.expect(200).text();
        let is_plain = |letter: char| letter == '\r' || letter == '\n' || !letter.is_control();
        assert!(text.chars().all(is_plain), "{text:?}");
        assert_eq!(text.lines().count(), 1 + made.len(), "{text}");
        assert!(!text.contains(",=cmd"), "{text}");
    })
    .await;
}

/// Settings are told by the first process that starts with others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn z09_other_settings_are_told_at_the_next_start() {
    each_engine(&[], async |database| {
        let mut token = String::new();
        for (expiry, told) in [("24h", 1), ("24h", 1), ("36h", 2)] {
            let site =
                Site::new(Some(database.url())).with("JWT_SECRET", SECRET).with("PENDING_EXPIRY", expiry);
            let process = site.start().await;
            if token.is_empty() {
                token = process.connect().await.register("boss").await.0.token().to_owned();
            }
            let list = async || {
                let mut wire = process.connect().await.with_token(&token);
                let page = wire.get("/audit?action=settings.changed").await.unwrap().expect(200).json();
                page["items"].as_array().unwrap().clone()
            };
            eventually("all is sealed", async || list().await.len() >= told).await;
            let entries = list().await;
            assert_eq!(entries.len(), told, "{entries:#?}");
            let newest = &entries[0];
            assert_eq!(newest["after"]["PENDING_EXPIRY"], expiry);
            let before = if told == 1 { &json!(null) } else { &json!("24h") };
            assert_eq!(&newest["before"]["PENDING_EXPIRY"], before);
            assert!(!newest.to_string().contains("canary"), "{newest}");
            assert_eq!(process.signal_and_wait("TERM").await, Some(0));
        }
    })
    .await;
}

#[tokio::test]
async fn z09_what_staff_price_by_hand_is_told_and_no_other_order() {
    each_app(async |app| {
        let (admin, staff, ada) =
            (app.admin("root").await, app.staff("sam").await.at("192.0.2.4"), app.customer("ada").await);
        staff.post("/products", json!({"sku": "PEN-1", "name": "Pen", "unit_price": 2})).await.expect(201);
        let pen = json!({"sku": "PEN-1", "quantity": 1});
        ada.post("/orders", json!({"product_name": "Lamp", "quantity": 1, "total_price": 9}))
            .await
            .expect(201);
        staff.post("/orders", json!({"lines": [pen]})).await.problem(409, "insufficient_stock");
        let receive = json!({"sku": "PEN-1", "kind": "receive", "quantity": 5});
        staff.post("/stock/adjustments", receive).await.expect(201);
        staff.post("/orders", json!({"lines": [pen]})).await.expect(201);
        assert!(entries(&admin, "action=order.priced").await.is_empty());
        let shipping = json!({"name": "Shipping", "quantity": 1, "unit_price": "4.90"});
        let order = staff.post("/orders", json!({"lines": [pen, shipping]})).await.expect(201).json();
        let path = format!("/orders/{}", order["id"].as_str().unwrap());
        staff.put(&path, json!({"note": "by the door"})).await.expect(200);
        let cheaper = json!({"name": "Shipping", "quantity": 1, "unit_price": "1.00"});
        staff.put(&path, json!({"lines": [pen, cheaper]})).await.expect(200);
        let told = entries(&admin, "action=order.priced").await;
        let [changed, placed] = told.as_slice() else { panic!("{told:#?}") };
        assert_eq!((&placed["object"]["id"], &placed["address"]), (&order["id"], &json!("192.0.2.4")));
        assert_eq!((&placed["before"], &placed["after"]["total_price"]), (&json!(null), &json!(6.9)));
        assert_eq!(
            (&changed["before"]["total_price"], &changed["after"]["total_price"]),
            (&json!(6.9), &json!(3.0))
        );
        assert_eq!(changed["after"]["priced_lines"], 1);
        check(app).await;
    })
    .await;
}

#[tokio::test]
async fn z09_keys_are_told_and_what_is_done_with_one() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let new = json!({"name": "the till", "scopes": ["products:write"]});
        let made = admin.post("/auth/keys", new).await.expect(201).json();
        let (id, key) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
        let till = app.nobody().with_token(key);
        let pen = json!({"sku": "PEN-1", "name": "Pen", "unit_price": 2});
        let path = till.post("/products", pen).await.expect(201).header("location").to_owned();
        till.put(&path, json!({"unit_price": 3})).await.expect(200);
        till.get("/users").await.expect(403);
        admin.delete(&format!("/auth/keys/{id}")).await.expect(204);
        let told = entries(&admin, &format!("object_id={id}")).await;
        let [revoked, created] = told.as_slice() else { panic!("{told:#?}") };
        assert_eq!((&revoked["action"], &created["action"]), (&json!("key.revoked"), &json!("key.created")));
        assert_eq!(created["after"]["scopes"], json!(["products:write"]));
        let price = only(entries(&admin, "action=price.changed").await);
        assert_eq!((&price["actor_id"], &price["key_id"]), (&json!(admin.id), &json!(id)));
        assert_eq!(entries(&admin, "action=access.denied").await.len(), 1);
        assert!(!admin.get("/audit").await.expect(200).text().contains(key));
        check(app).await;
    })
    .await;
}
