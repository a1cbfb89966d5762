//! The gateway's rate limits: 100 a second, 200 at once.

use std::time::Duration;

use gateway::Routes;
use http::Method;
use serde_json::json;

use crate::harness::{Answer, App, Client, Site, each_app, each_engine, limited_app};

const BURST: u32 = 200;

/// Uses up what a client has on a cheap path, each time with this status.
async fn use_up(client: &Client<'_>, path: &str, status: u16) {
    for left in (0..BURST).rev() {
        let answer = client.get(path).await.expect(status);
        assert_eq!(told(&answer).0, left);
    }
}

/// What an answer says is left, and for how many seconds.
#[track_caller]
fn told(answer: &Answer) -> (u32, u64) {
    assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=200;w=2", "{}", answer.what);
    let parts = answer.header("ratelimit").strip_prefix("\"default\";r=").unwrap().split_once(";t=").unwrap();
    (parts.0.parse().unwrap(), parts.1.parse().unwrap())
}

#[tokio::test]
async fn g16_an_answer_says_what_is_left_and_a_refusal_when_to_come_back() {
    limited_app(async |app| {
        let ada = app.customer("ada").await;
        assert_eq!(told(&ada.get("/users/me").await.expect(200)), (199, 1));
        assert_eq!(told(&ada.get("/orders/none").await.expect(404)), (198, 1));
        for _ in 0..198 {
            ada.get("/users/me").await.expect(200);
        }
        let refused = ada.get("/users/me").await.problem(429, "rate_limited");
        assert_eq!((told(&refused), refused.header("retry-after")), ((0, 1), "1"));
        assert!(refused.json()["detail"].as_str().unwrap().contains("try again in 1 second."));
        for _ in 0..300 {
            ada.get("/users/me").await.problem(429, "rate_limited");
        }
        app.clock.advance(Duration::from_secs(1));
        for left in (0..100).rev() {
            assert_eq!(told(&ada.get("/users/me").await.expect(200)), (left, 2));
        }
        ada.get("/users/me").await.problem(429, "rate_limited");
    })
    .await;
}

#[tokio::test]
async fn g16_who_paces_by_the_headers_is_never_refused() {
    limited_app(async |app| {
        let ada = app.customer("ada").await;
        for _ in 0..5 {
            let mut left = (1, 0);
            while left.0 > 0 {
                left = told(&ada.get("/users/me").await.expect(200));
            }
            app.clock.advance(Duration::from_secs(left.1));
        }
    })
    .await;
}

#[tokio::test]
async fn each_user_counts_alone_and_strangers_by_address() {
    limited_app(async |app| {
        let (ada, bob) = (app.customer("ada").await, app.customer("bob").await);
        use_up(&ada, "/users/me", 200).await;
        ada.get("/users/me").await.problem(429, "rate_limited");
        ada.at("192.0.2.7").get("/users/me").await.problem(429, "rate_limited");
        assert_eq!(told(&bob.get("/users/me").await.expect(200)).0, 199, "behind the same address");
        assert_eq!(told(&app.nobody().get("/users/me").await.problem(401, "missing_token")).0, 199);
        // Nobody is known yet where one registers, logs in and refreshes, so these count by address for all.
        let refresh = json!({"refresh_token": "none"});
        assert_eq!(told(&ada.post("/auth/refresh", refresh.clone()).await.expect(401)).0, 198);
        assert_eq!(
            told(&bob.at("2001:db8::1").post("/auth/refresh", refresh.clone()).await.expect(401)).0,
            199
        );
        assert_eq!(
            told(&bob.at("2001:db8::2").post("/auth/refresh", refresh.clone()).await.expect(401)).0,
            198
        );
        assert_eq!(told(&bob.at("2001:db8:0:1::").post("/auth/refresh", refresh).await.expect(401)).0, 199);
    })
    .await;
}

#[tokio::test]
async fn bad_tokens_use_up_their_address_and_nobody_else() {
    limited_app(async |app| {
        let ada = app.customer("ada").await;
        let forger = ada.with_token("forged");
        use_up(&forger, "/orders", 401).await;
        let refused = forger.get("/orders").await.problem(429, "rate_limited");
        assert_eq!(told(&refused), (0, 1));
        app.nobody().get("/users/me").await.problem(429, "rate_limited");
        forger.at("192.0.2.7").get("/orders").await.problem(401, "invalid_token");
        ada.get("/orders").await.expect(200);
        app.clock.advance(Duration::from_secs(1));
        forger.get("/orders").await.problem(401, "invalid_token");
    })
    .await;
}

#[tokio::test]
async fn each_api_key_counts_alone_and_a_wrong_one_for_its_address() {
    limited_app(async |app| {
        let admin = app.admin("root").await;
        let (one, other) =
            (app.key(&admin, &["users:read"]).await.1, app.key(&admin, &["users:read"]).await.1);
        use_up(&one, "/users/me", 200).await;
        one.at("192.0.2.7").get("/users/me").await.problem(429, "rate_limited");
        assert_eq!(told(&other.get("/users/me").await.expect(200)).0, 199);
        assert_eq!(told(&admin.get("/users/me").await.expect(200)).0, 199, "its maker counts apart");
        for wrong in [kit::api_key::generate().unwrap().0.expose(), "sk_storehouse_none"] {
            let guesser = admin.with_token(wrong);
            use_up(&guesser, "/users/me", 401).await;
            guesser.get("/users/me").await.problem(429, "rate_limited");
            app.clock.advance(Duration::from_secs(2));
        }
    })
    .await;
}

#[tokio::test]
async fn g04_a_client_cannot_choose_its_address() {
    limited_app(async |app| {
        let claims = ["X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"];
        for number in 0..BURST {
            let mut call = app.nobody().request(Method::GET, "/users/me");
            for name in claims {
                call = call.header(name, &format!("198.51.100.{number}"));
            }
            assert_eq!(told(&call.send().await.expect(401)).0, BURST - 1 - number);
        }
        let call = app.nobody().request(Method::GET, "/users/me").header("X-Forwarded-For", "203.0.113.1");
        call.send().await.problem(429, "rate_limited");
    })
    .await;
}

#[tokio::test]
async fn a_client_behind_a_trusted_proxy_counts_for_itself() {
    limited_behind_proxy(async |app| {
        let from = async |forwarded: &str| {
            let call = app.nobody().request(Method::GET, "/users/me").header("X-Forwarded-For", forwarded);
            told(&call.send().await.expect(401)).0
        };
        assert_eq!(from("198.51.100.1").await, 199);
        assert_eq!(from("198.51.100.2").await, 199);
        assert_eq!(from("203.0.113.5, 198.51.100.1").await, 198);
    })
    .await;
}

async fn limited_behind_proxy(test: impl AsyncFn(&App)) {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let app = App::with(database, |options| {
            options.rate_limit = true;
            options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        });
        test(&app.await).await;
    })
    .await;
}

const ROUTES: &str = "
routes:
  - path: /orders
    backend: http://localhost:8082
    methods: [GET, POST]
    rate_limit: {requests: 1, per: 10s, burst: 3}
  - {path: /users, backend: 'http://localhost:8081', methods: [GET]}
";

#[tokio::test]
async fn a_route_may_have_a_rate_of_its_own() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let app = App::with(database, |options| {
            options.rate_limit = true;
            options.routes = Routes::parse(ROUTES, "routes.yaml").unwrap();
        })
        .await;
        let ada = app.customer("ada").await;
        let on_orders = |answer: Answer, left: &str| {
            assert_eq!(answer.header("ratelimit-policy"), "\"/orders\";q=3;w=30");
            assert!(answer.header("ratelimit").starts_with(&format!("\"/orders\";r={left};")), "{answer:?}");
        };
        for left in ["2", "1", "0"] {
            on_orders(ada.get("/orders").await.expect(200), left);
        }
        let refused = ada.get("/orders/states").await.problem(429, "rate_limited");
        assert_eq!(refused.header("retry-after"), "10");
        on_orders(refused, "0");
        assert_eq!(told(&ada.get("/users/me").await.expect(200)).0, 199, "another route counts apart");
        on_orders(app.customer("bob").await.get("/orders").await.expect(200), "2");
        app.clock.advance(Duration::from_secs(10));
        on_orders(ada.get("/orders").await.expect(200), "0");
        let metrics = app.nobody().get("/metrics").await.expect(200).text();
        for (policy, count) in [("/orders", 1), ("default", 0), ("login", 0), ("register", 0)] {
            let series = format!("storehouse_rate_limited_total{{policy=\"{policy}\"}} {count}\n");
            assert!(metrics.contains(&series), "{series}{metrics}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_reaches_no_service_is_not_limited() {
    limited_app(async |app| {
        let nobody = app.nobody();
        for _ in 0..10 {
            for (path, status) in [("/", 200), ("/health", 200), ("/health/ready", 200), ("/none", 404)] {
                let answer = nobody.get(path).await.expect(status);
                assert!(!answer.headers.contains_key("ratelimit"), "{path}");
            }
            let preflight =
                nobody.request(Method::OPTIONS, "/orders").header("origin", "http://localhost:3000");
            preflight.header("access-control-request-method", "GET").send().await.expect(204);
            nobody.request(Method::TRACE, "/orders").send().await.expect(405);
        }
        assert_eq!(told(&nobody.get("/orders").await.expect(401)).0, 199);
    })
    .await;
}

#[tokio::test]
async fn a_page_may_read_how_much_is_left() {
    limited_app(async |app| {
        let ada = app.customer("ada").await;
        use_up(&ada, "/users/me", 200).await;
        let refused =
            ada.request(Method::GET, "/users/me").header("origin", "http://localhost:3000").send().await;
        let exposed = refused.problem(429, "rate_limited").header("access-control-expose-headers").to_owned();
        for name in ["RateLimit", "RateLimit-Policy", "Retry-After"] {
            assert!(exposed.split(", ").any(|exposed| exposed == name), "{exposed}");
        }
    })
    .await;
}

#[tokio::test]
async fn switched_off_nothing_is_limited() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        for _ in 0..300 {
            let answer = ada.get("/users/me").await.expect(200);
            assert!(
                !answer.headers.contains_key("ratelimit") && !answer.headers.contains_key("ratelimit-policy")
            );
        }
    })
    .await;
}

#[tokio::test]
async fn the_program_limits_unless_told_not_to() {
    for (setting, headers) in [("on", 1), ("off", 0)] {
        let process = Site::new(None).with("RATE_LIMIT", setting).start().await;
        let mut wire = process.connect().await;
        let answer = wire.get("/users/me").await.unwrap().expect(401);
        assert_eq!(answer.headers.get_all("ratelimit").iter().count(), headers, "{setting}");
        let login = json!({"email": "nobody@example.com", "password": "wrong password"});
        let mut auth = crate::harness::Wire::connect(process.addresses[1]).await.unwrap();
        for _ in 0..5 {
            auth.post("/auth/login", &login).await.unwrap().expect(401);
        }
        auth.post("/auth/login", &login).await.unwrap().expect(if setting == "on" { 429 } else { 401 });
    }
}
