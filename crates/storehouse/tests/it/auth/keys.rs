//! API keys: made by admins, shown once, good for what their scopes say, until they are revoked, expire, or their maker is no admin any more.

use std::time::Duration;

use http::Method;
use kit::identity::Role;
use serde_json::{Value, json};

use super::{client, register, text};
use crate::contract::dump::dump;
use crate::harness::{App, Client, Site, TestDatabase, each_app, each_engine, each_shape, eventually};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A key with these scopes, as its admin gets it.
async fn make(admin: &Client<'_>, scopes: &[&str]) -> Value {
    admin.post("/auth/keys", json!({"name": "The shop", "scopes": scopes})).await.expect(201).json()
}

fn with_key<'a>(admin: &Client<'a>, made: &Value) -> Client<'a> {
    admin.with_token(text(made, "secret"))
}

#[tokio::test]
async fn a16_a_key_is_shown_once_and_does_what_it_was_made_for() {
    each_shape(async |app| {
        let admin = app.admin("root").await;
        let made = make(&admin, &["orders:write", "orders:read", "orders:read"]).await;
        let (id, secret) = (text(&made, "id"), text(&made, "secret"));
        assert!(secret.starts_with("sk_storehouse_") && secret.len() == 62, "{secret}");
        assert_eq!(made["scopes"], json!(["orders:read", "orders:write"]));
        assert_eq!(made["created_by"], json!(admin.id));
        for path in ["/auth/keys".to_owned(), format!("/auth/keys/{id}")] {
            let shown = admin.get(&path).await.expect(200);
            assert!(shown.text().contains(id) && !shown.text().contains(&secret[14..]), "{path}");
        }
        let (key, order) =
            (with_key(&admin, &made), json!({"product_name": "Lamp", "quantity": 1, "total_price": 5}));
        let placed = key.post("/orders", order).await.expect(201).json();
        assert_eq!(placed["user_id"], json!(admin.id), "it acts for its maker");
        for door in ["gateway", "orders"] {
            let path = format!("/orders/{}/history", text(&placed, "id"));
            let history = key.request(Method::GET, &path).to(door).send().await.expect(200).json();
            assert_eq!(history["items"][0]["actor_id"], json!(admin.id));
            let refused = key.request(Method::GET, "/products").to("inventory").send().await;
            let refused = refused.problem(403, "insufficient_scope");
            assert_eq!(
                refused.header("www-authenticate"),
                "Bearer error=\"insufficient_scope\", scope=\"products:read\""
            );
        }
        let told = key.get("/auth/validate").await.expect(200).json();
        assert_eq!(told["key"], made["id"]);
        assert_eq!(
            (told["sub"].clone(), told["scope"].clone()),
            (json!(admin.id), json!("orders:read orders:write"))
        );
    })
    .await;
}

#[tokio::test]
async fn a16_what_is_asked_for_wrongly_is_told_and_no_key_is_made() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let (now, second) = (app.clock.now(), Duration::from_secs(1));
        let wrong = [
            (json!({}), ["name", "scopes"].as_slice()),
            (json!({"name": " ", "scopes": []}), &["name", "scopes"]),
            (json!({"name": "x", "scopes": ["orders:read", "orders:all"]}), &["scopes"]),
            (json!({"name": "x", "scopes": ["keys:write"]}), &["scopes"]),
            (json!({"name": "x", "scopes": [7]}), &["scopes[0]"]),
            (json!({"name": "x", "scopes": ["orders:read"], "expires_in_days": 366}), &["expires_in_days"]),
            (json!({"name": "x", "scopes": ["orders:read"], "expires_in_days": 0}), &["expires_in_days"]),
            (json!({"name": "x", "scopes": ["orders:read"], "expires_at": null}), &["expires_at"]),
            (json!({"name": "x", "scopes": ["orders:read"], "expires_at": now}), &["expires_at"]),
            (json!({"name": "x", "scopes": ["orders:read"], "expires_at": now.plus(366 * DAY)}), &["expires_at"]),
            (
                json!({"name": "x", "scopes": ["orders:read"], "expires_at": now.plus(DAY), "expires_in_days": 1}),
                &["expires_in_days"],
            ),
        ];
        for (body, fields) in wrong {
            let refused = admin.post("/auth/keys", body.clone()).await.expect(422);
            assert_eq!(refused.faulty_fields(), fields, "{body}");
        }
        assert_eq!(admin.get("/auth/keys?count=exact").await.expect(200).json()["total"], 0);
        let body = json!({"name": "x", "scopes": ["orders:read"], "expires_at": now.plus(DAY).plus(second)});
        let made = admin.post("/auth/keys", body).await.expect(201).json();
        assert_eq!(made["expires_at"], json!(now.plus(DAY).plus(second)));
    })
    .await;
}

#[tokio::test]
async fn a16_a_key_is_revoked_at_once_and_alone_in_every_shape() {
    each_shape(async |app| {
        let (admin, second) = (app.admin("root").await, app.admin("second").await);
        let (one, other) = (make(&admin, &["orders:read"]).await, make(&admin, &["orders:read"]).await);
        let (one_key, other_key) = (with_key(&admin, &one), with_key(&admin, &other));
        let is_good = async |key: &Client<'_>, door| {
            key.request(Method::GET, "/orders").to(door).send().await.status == 200
        };
        for door in ["gateway", "orders"] {
            assert!(is_good(&one_key, door).await && is_good(&other_key, door).await, "{door}");
        }
        // Any admin may revoke it.
        second.delete(&format!("/auth/keys/{}", text(&one, "id"))).await.expect(204);
        for door in ["gateway", "orders"] {
            eventually("it is heard of", async || !is_good(&one_key, door).await).await;
            one_key.request(Method::GET, "/orders").to(door).send().await.problem(401, "invalid_token");
            assert!(is_good(&other_key, door).await, "{door}");
        }
        second.delete(&format!("/auth/keys/{}", text(&one, "id"))).await.problem(404, "not_found");
        second.get(&format!("/auth/keys/{}", text(&one, "id"))).await.problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a16_a_key_is_revoked_in_other_processes_and_closed_where_that_can_not_be_heard_of() {
    let test = async |database: &TestDatabase| {
        let (one, two) = (App::new(database).await, App::new(database).await);
        let admin = one.admin("root").await;
        let made = make(&admin, &["orders:read"]).await;
        let there = two.nobody().with_token(text(&made, "secret"));
        there.get("/orders").await.expect(200);
        admin.delete(&format!("/auth/keys/{}", text(&made, "id"))).await.expect(204);
        eventually("it is heard of", async || there.get("/orders").await.status == 401).await;
        let made = make(&admin, &["orders:read"]).await;
        let there = two.nobody().with_token(text(&made, "secret"));
        there.get("/orders").await.expect(200);
        two.stop_work();
        eventually("nobody is let in", async || there.get("/orders").await.status == 503).await;
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

#[tokio::test]
async fn a16_a_key_ends_with_its_time() {
    each_shape(async |app| {
        let admin = app.admin("root").await;
        let body = json!({"name": "short", "scopes": ["orders:read"], "expires_in_days": 1});
        let short = admin.post("/auth/keys", body).await.expect(201).json();
        let usual = make(&admin, &["orders:read"]).await;
        let (short, usual) = (with_key(&admin, &short), with_key(&admin, &usual));
        short.get("/orders").await.expect(200);
        app.clock.advance(DAY);
        short.get("/orders").await.problem(401, "invalid_token");
        usual.get("/orders").await.expect(200);
        app.clock.advance(89 * DAY);
        usual.get("/orders").await.problem(401, "invalid_token");
    })
    .await;
}

#[tokio::test]
async fn a16_a_key_is_good_only_while_its_maker_is_an_admin() {
    each_shape(async |app| {
        let root = app.admin("root").await;
        for (name, change) in [("demoted", json!({"role": "staff"})), ("disabled", json!({"disabled": true}))]
        {
            let maker = app.admin(name).await;
            let (key, path) =
                (with_key(&maker, &make(&maker, &["orders:read"]).await), format!("/users/{}", maker.id));
            key.get("/orders").await.expect(200);
            root.put(&path, change).await.expect(200);
            eventually("it is heard of", async || key.get("/orders").await.status == 401).await;
            root.put(&path, json!({"role": "admin", "disabled": false})).await.expect(200);
            eventually("it is heard of", async || key.get("/orders").await.status == 200).await;
            root.delete(&path).await.expect(204);
            eventually("it is heard of", async || key.get("/orders").await.status == 401).await;
        }
        assert_eq!(
            root.get("/auth/keys?count=exact").await.expect(200).json()["total"],
            0,
            "they go with their maker"
        );
    })
    .await;
}

#[tokio::test]
async fn a16_no_key_makes_keys_or_acts_on_people_and_sessions() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let scopes = all_scopes(&admin).await;
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let key = with_key(&admin, &make(&admin, &scopes).await);
        let new = json!({"name": "more", "scopes": ["orders:read"]});
        key.post("/auth/keys", new).await.problem(403, "forbidden");
        for path in ["/auth/keys", "/auth/sessions"] {
            key.get(path).await.problem(403, "forbidden");
        }
        let password = json!({"current_password": "x", "new_password": "battery staple"});
        key.post("/auth/password", password).await.problem(403, "forbidden");
        key.post("/auth/logout-all", json!({})).await.problem(403, "forbidden");
        key.put("/users/me", json!({"full_name": "Eve"})).await.problem(403, "forbidden");
        key.put(&format!("/users/{}", admin.id), json!({"role": "staff"})).await.problem(403, "forbidden");
        key.delete(&format!("/users/{}", admin.id)).await.problem(403, "forbidden");
        key.post("/users", json!({"email": "new@example.com", "username": "newcomer"}))
            .await
            .problem(403, "forbidden");
        admin.get("/users/me").await.expect(200);
        assert_eq!(key.get("/users/me").await.expect(200).json()["role"], "admin", "it may see who made it");
    })
    .await;
}

/// All scopes that there are, by asking for one that there isn't.
async fn all_scopes(admin: &Client<'_>) -> Vec<String> {
    let refused = admin.post("/auth/keys", json!({"name": "x", "scopes": ["none"]})).await.expect(422).json();
    let message = refused["errors"][0]["message"].as_str().unwrap().to_owned();
    message.strip_prefix("must be of these: ").unwrap().split(", ").map(str::to_owned).collect()
}

#[tokio::test]
async fn a16_the_last_use_is_told_to_within_a_minute() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let made = make(&admin, &["orders:read"]).await;
        let (key, path) = (with_key(&admin, &made), format!("/auth/keys/{}", text(&made, "id")));
        let last_use = async || {
            app.store_key_uses().await;
            admin.get(&path).await.expect(200).json()["last_used_at"].clone()
        };
        assert_eq!(last_use().await, Value::Null);
        key.get("/orders").await.expect(200);
        let first = last_use().await;
        assert!(first.is_string(), "{first}");
        app.clock.advance(Duration::from_secs(30));
        key.get("/orders").await.expect(200);
        assert_eq!(last_use().await, first, "once a minute is enough");
        app.clock.advance(Duration::from_secs(31));
        key.get("/orders").await.expect(200);
        assert_ne!(last_use().await, first);
    })
    .await;
}

#[tokio::test]
async fn there_are_at_most_1000_keys() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        make(&admin, &["orders:read"]).await;
        for _ in 1..1_000 {
            app.key(&admin, &["orders:read"]).await;
        }
        let one_more = json!({"name": "more", "scopes": ["orders:read"]});
        admin.post("/auth/keys", one_more).await.problem(409, "too_many_keys");
    })
    .await;
}

#[tokio::test]
async fn j10_no_kind_of_token_passes_for_another() {
    each_shape(async |app| {
        let admin = app.admin("root").await;
        let made = make(&admin, &["orders:read"]).await;
        let (pair, key) = (register(app, "ada").await, text(&made, "secret"));
        let refresh = text(&pair, "refresh_token");
        let wrong =
            [refresh.to_owned(), text(&made, "id").to_owned(), key[3..].to_owned(), format!("Bearer {key}")];
        for token in wrong {
            for (door, path) in [("gateway", "/orders"), ("orders", "/orders"), ("auth", "/auth/validate")] {
                let answer = app.nobody().with_token(&token).request(Method::GET, path).to(door).send().await;
                answer.problem(401, "invalid_token");
            }
        }
        for token in [key, text(&pair, "token")] {
            let refused = app.nobody().post("/auth/refresh", json!({"refresh_token": token})).await;
            // One that is longer than any is a fault of the body.
            assert!(matches!(refused.status.as_u16(), 401 | 422), "{}", refused.text());
        }
        let basic =
            app.nobody().request(Method::GET, "/orders").header("authorization", &format!("Basic {key}"));
        basic.send().await.problem(401, "invalid_token");
        for header in ["x-api-key", "api-key", "cookie"] {
            let sent = app.nobody().request(Method::GET, "/orders").header(header, key).send().await;
            sent.problem(401, "missing_token");
        }
        app.nobody().get(&format!("/orders?api_key={key}")).await.problem(401, "missing_token");
        let login = json!({"email": admin.email, "password": key});
        app.nobody().post("/auth/login", login).await.problem(401, "invalid_credentials");
        // The secret that signs tokens signs no keys: one of the right form that was never made is none.
        let forged = kit::api_key::generate().unwrap().0;
        let stranger = app.nobody().with_token(forged.expose());
        stranger.get("/orders").await.problem(401, "invalid_token");
        client(app, &pair).get("/orders").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn b04_two_keys_of_one_admin_have_idempotency_keys_of_their_own() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let (one, other) = (make(&admin, &["orders:write"]).await, make(&admin, &["orders:write"]).await);
        let place = async |client: &Client<'_>, name: &str| {
            let body = json!({"product_name": name, "quantity": 1, "total_price": 5});
            let call = client.request(Method::POST, "/orders").header("idempotency-key", "order-1");
            call.json(&body).send().await.expect(201).json()["id"].clone()
        };
        let (one, other) = (with_key(&admin, &one), with_key(&admin, &other));
        let placed = [place(&one, "Lamp").await, place(&other, "Chair").await, place(&admin, "Desk").await];
        assert!(placed[0] != placed[1] && placed[1] != placed[2]);
        assert_eq!(place(&one, "Lamp").await, placed[0]);
    })
    .await;
}

#[tokio::test]
async fn only_admins_see_and_make_keys() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let made = make(&admin, &["orders:read"]).await;
        for role in [Role::Customer, Role::Staff] {
            let other = app.user(role.as_str(), role).await;
            other.get("/auth/keys").await.problem(403, "forbidden");
            other.get(&format!("/auth/keys/{}", text(&made, "id"))).await.problem(404, "not_found");
        }
    })
    .await;
}

#[tokio::test]
async fn s08_a_key_stands_in_no_file_and_in_no_log() {
    let site = Site::new(None).with("LOG_LEVEL", "debug");
    let process = site.start().await;
    let (mut admin, _) = process.connect().await.register("root").await;
    let body = json!({"name": "The shop", "scopes": ["orders:read"]});
    let made = admin.post("/auth/keys", &body).await.unwrap().expect(201).json();
    let secret = text(&made, "secret");
    let mut key = process.connect().await.with_token(secret);
    key.get("/orders").await.unwrap().expect(200);
    key.get("/products").await.unwrap().expect(403);
    key.get(&format!("/orders/{}", text(&made, "id"))).await.unwrap().expect(404);
    let random = kit::token::from_base64(&secret[14..]).unwrap();
    let files: Vec<_> =
        std::fs::read_dir(site.path("data")).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.iter().any(|path| path.ends_with("storehouse.db-wal")), "{files:?}");
    for file in files.iter().filter(|path| path.is_file()) {
        let bytes = std::fs::read(file).unwrap();
        for piece in [&secret.as_bytes()[14..], &random[..32]] {
            let holds = bytes.windows(piece.len()).any(|window| window == piece);
            assert!(!holds, "{}", file.display());
        }
    }
    eventually("the log tells of the requests", async || site.output().contains("/products")).await;
    assert!(!site.output().contains(&secret[14..]));
}

#[tokio::test]
async fn s08_of_a_key_only_a_hash_is_stored() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let made = make(&admin, &["orders:read"]).await;
        with_key(&admin, &made).get("/orders").await.expect(200);
        let rows = dump(&app.db).await;
        assert!(rows.iter().any(|row| row.contains("The shop")));
        assert!(!rows.iter().any(|row| row.contains(&text(&made, "secret")[14..])));
    })
    .await;
}
