//! `GET /metrics`: right values, a bounded number of series, and nothing that is nobody's business.
//!
//! The full run: `STOREHOUSE_REQUESTS=100000 cargo test -p storehouse --test it metrics`

/// What `/metrics` says.
pub(crate) mod scrape;

use std::collections::BTreeSet;

use bytes::Bytes;
use gateway::MetricsAccess;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use kit::secret::Secret;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::scrape::{Scrape, split_key};
use crate::harness::{App, Client, Engine, Random, Site, Storehouse, TestDatabase, each_app, each_engine};

/// Ada registers, logs in well and badly, and orders, also twice with one key; an admin leads the order on.
pub(crate) async fn a_day(app: &App) -> Client<'_> {
    let registration = json!({"email": "ada@example.com", "password": "password123", "username": "ada"});
    let registered = app.nobody().post("/auth/register", registration.clone()).await.expect(201).json();
    app.nobody().post("/auth/register", registration).await.expect(409);
    for (password, status) in [("password123", 200), ("password124", 401), ("password125", 401)] {
        let login = json!({"email": "ada@example.com", "password": password});
        app.nobody().post("/auth/login", login).await.expect(status);
    }
    let ada = app.nobody().with_token(registered["token"].as_str().unwrap());
    let admin = app.admin("root").await;
    let laptop = json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99});
    let mut path = String::new();
    for _ in 0..3 {
        let place = ada.request(Method::POST, "/orders").header("idempotency-key", "the-key-7");
        path = place.json(&laptop).send().await.expect(201).header("location").to_owned();
    }
    let pens = json!({"lines": [{"name": "Pen", "quantity": 2, "unit_price": 100}], "currency": "JPY"});
    let pens = admin.post("/orders", pens).await.expect(201).header("location").to_owned();
    ada.post("/orders", json!({"product_name": "Laptop", "quantity": 0, "total_price": 1})).await.expect(422);
    admin.post(&format!("{path}/confirm"), json!({})).await.expect(200);
    admin.post(&format!("{path}/confirm"), json!({})).await.expect(409);
    admin.put(&pens, json!({"status": "cancelled"})).await.expect(200);
    for _ in 0..5 {
        ada.get(&path).await.expect(200);
    }
    ada.delete(&path).await.expect(204);
    ada.delete("/orders").await.expect(405);
    stock_up(app, &admin).await;
    ada.get("/nothing/of/ours").await.expect(404);
    ada.request(Method::from_bytes(b"BREW").unwrap(), "/tea").send().await.expect(404);
    ada
}

/// Pens come in, some go to another place, and there are fewer than there should be.
async fn stock_up(app: &App, admin: &Client<'_>) {
    let pen =
        json!({"sku": "PEN-1", "name": "Pen", "unit_price": 2, "unit_cost": "0.5", "reorder_point": 20});
    admin.post("/products", pen).await.expect(201);
    admin.post("/locations", json!({"code": "SHOP", "name": "The shop"})).await.expect(201);
    let received = json!({"sku": "PEN-1", "kind": "receive", "quantity": 12});
    for _ in 0..2 {
        let receive =
            admin.request(Method::POST, "/stock/adjustments").header("idempotency-key", "the-key-7");
        receive.json(&received).send().await.expect(201);
    }
    let away = json!({"sku": "PEN-1", "from": "MAIN", "to": "SHOP", "quantity": 5});
    admin.post("/stock/transfers", away).await.expect(201);
    admin
        .post("/stock/transfers", json!({"quantity": 500, "sku": "PEN-1", "from": "MAIN", "to": "SHOP"}))
        .await
        .expect(409);
    app.refresh_figures().await;
}

#[tokio::test]
async fn known_requests_give_known_counts() {
    each_app(async |app| {
        let ada = a_day(app).await;
        let scrape = Scrape::of(app).await;
        scrape.check_histograms();
        for (series, count) in [
            (r#"http_requests_total{service="orders",method="GET",route="/orders/{id}",status="200"}"#, 5),
            (r#"http_requests_total{service="orders",method="PUT",route="/orders/{id}",status="200"}"#, 1),
            (r#"http_requests_total{service="orders",method="POST",route="/orders",status="201"}"#, 4),
            (r#"http_requests_total{service="orders",method="POST",route="/orders",status="422"}"#, 1),
            (r#"http_requests_total{service="orders",method="POST",route="/orders/{id}/confirm",status="409"}"#, 1),
            (r#"http_requests_total{service="orders",method="DELETE",route="/orders",status="405"}"#, 1),
            (r#"http_requests_total{service="auth",method="POST",route="/auth/login",status="401"}"#, 2),
            (r#"http_requests_total{service="gateway",method="GET",route="/orders",status="200"}"#, 5),
            (r#"http_requests_total{service="gateway",method="POST",route="/auth",status="401"}"#, 2),
            (r#"http_requests_total{service="gateway",method="GET",route="other",status="404"}"#, 1),
            (r#"http_requests_total{service="gateway",method="other",route="other",status="404"}"#, 1),
            (r#"http_request_duration_seconds_count{service="orders",route="/orders/{id}"}"#, 7),
            (r#"http_requests_in_flight{service="gateway"}"#, 1),
            (r#"http_requests_in_flight{service="orders"}"#, 0),
            ("storehouse_registrations_total", 1),
            (r#"storehouse_logins_total{outcome="success"}"#, 1),
            (r#"storehouse_logins_total{outcome="wrong"}"#, 2),
            ("storehouse_orders_placed_total", 2),
            (r#"storehouse_order_value_minor_units_total{currency="USD"}"#, 99_999),
            (r#"storehouse_order_value_minor_units_total{currency="JPY"}"#, 200),
            (r#"storehouse_order_status_total{status="pending"}"#, 2),
            (r#"storehouse_order_status_total{status="confirmed"}"#, 1),
            (r#"storehouse_order_status_total{status="cancelled"}"#, 2),
            (r#"storehouse_stock_movements_total{kind="receive"}"#, 1),
            (r#"storehouse_stock_movements_total{kind="transfer_out"}"#, 1),
            (r#"storehouse_stock_movements_total{kind="transfer_in"}"#, 1),
            (r#"storehouse_stock_value_minor_units{currency="USD"}"#, 600),
            ("storehouse_low_stock_products", 1),
            (r#"storehouse_events_recorded_total{type="order.placed"}"#, 2),
            (r#"storehouse_events_recorded_total{type="order.cancelled"}"#, 2),
            (r#"storehouse_events_recorded_total{type="user.created"}"#, 2),
            (r#"storehouse_events_recorded_total{type="stock.received"}"#, 1),
            (r#"storehouse_events_recorded_total{type="stock.transferred_out"}"#, 1),
            ("storehouse_password_hash_seconds_count", 5),
            ("storehouse_password_hashes_refused_total", 0),
            ("storehouse_ready", 1),
        ] {
            assert_eq!(scrape.value(series), f64::from(count), "{series}\n{}", scrape.text);
        }
        for secret in ["ada", "example", "the-key-7", "nothing", "tea", "BREW", "password1", ada.token.as_ref().unwrap()] {
            assert!(!scrape.text.contains(secret), "{secret}: {}", scrape.text);
        }
    })
    .await;
}

/// What both engines have, then SQLite's and PostgreSQL's own.
const FAMILIES: [&[&str]; 3] = [
    &[
        "http_requests_total",
        "http_request_duration_seconds_bucket",
        "http_requests_in_flight",
        "storehouse_db_commit_seconds_bucket",
        "storehouse_password_hashes_running",
        "storehouse_password_hashes_waiting",
        "storehouse_password_hashes_refused_total",
        "storehouse_password_hash_seconds_bucket",
        "storehouse_registrations_total",
        "storehouse_logins_total",
        "storehouse_rate_limited_total",
        "storehouse_orders_placed_total",
        "storehouse_order_value_minor_units_total",
        "storehouse_order_status_total",
        "storehouse_stock_movements_total",
        "storehouse_stock_value_minor_units",
        "storehouse_low_stock_products",
        "storehouse_event_streams",
        "storehouse_events_recorded_total",
        "storehouse_webhook_pending",
        "storehouse_audit_sealed_total",
        "storehouse_audit_entries",
        "storehouse_audit_unsealed_seconds",
        "storehouse_webhook_oldest_pending_seconds",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
        "process_threads",
        "storehouse_data_free_bytes",
        "storehouse_invariant_violations_total",
        "storehouse_ready",
        "storehouse_build_info",
    ],
    &[
        "storehouse_db_writes_waiting",
        "storehouse_db_reads_waiting",
        "storehouse_db_batch_size_bucket",
        "storehouse_database_bytes",
    ],
    &["storehouse_db_pool_connections", "storehouse_db_pool_waiting", "storehouse_db_retries_total"],
];

#[cfg(target_os = "linux")]
#[tokio::test]
async fn every_family_is_there_and_the_same_on_every_port() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let app = App::new(database).await;
        a_day(&app).await;
        let own = if database.engine == Engine::Sqlite { FAMILIES[1] } else { FAMILIES[2] };
        let gateway = Scrape::of(&app).await;
        for family in FAMILIES[0].iter().chain(own) {
            assert!(gateway.names().contains(family), "{family}: {}", gateway.text);
        }
        assert!(gateway.value("storehouse_db_commit_seconds_count") >= 4.0, "{}", gateway.text);
        assert!(gateway.value("process_start_time_seconds") > 1.7e9, "{}", gateway.text);
        for service in ["auth", "users", "orders", "inventory"] {
            let scrape = Scrape::of_part(&app, service).await;
            assert_eq!(scrape.names(), gateway.names(), "{service}");
            app.nobody().request(Method::HEAD, "/metrics").to(service).send().await.expect(200);
            app.nobody().request(Method::POST, "/metrics").to(service).send().await.expect(405);
        }
    })
    .await;
}

#[tokio::test]
async fn a_gateway_tells_of_its_backends_and_a_process_of_its_own_parts_alone() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let app = App::split(database).await;
        a_day(&app).await;
        let (gateway, orders) = (Scrape::of(&app).await, Scrape::of_part(&app, "orders").await);
        let of_orders = |name: &str, more: &str| {
            let backend = gateway.series.keys().find_map(|key| {
                let labels = split_key(key).1;
                let is_orders = labels.contains(&("route", "/orders"));
                labels.into_iter().find(|(label, _)| is_orders && *label == "backend")
            });
            let (_, backend) = backend.unwrap_or_else(|| panic!("{}", gateway.text));
            gateway.value(&format!("{name}{{route=\"/orders\",backend=\"{backend}\"{more}}}"))
        };
        let through =
            gateway.value(r#"http_request_duration_seconds_count{service="gateway",route="/orders"}"#);
        for (outcome, count) in [("answered", through), ("refused", 0.0), ("broken", 0.0), ("gone", 0.0)] {
            let outcome = format!(",outcome=\"{outcome}\"");
            let told = of_orders("storehouse_upstream_requests_total", &outcome);
            assert_eq!(told, count, "{outcome}: {}", gateway.text);
        }
        assert_eq!(of_orders("storehouse_upstream_in_flight", ""), 0.0, "{}", gateway.text);
        assert_eq!(of_orders("storehouse_upstream_healthy", ""), 1.0, "{}", gateway.text);
        assert!(gateway.is_unused("storehouse_orders_placed_total"), "{}", gateway.text);
        assert_eq!(orders.value("storehouse_orders_placed_total"), 2.0, "{}", orders.text);
        assert!(orders.is_unused("storehouse_registrations_total"), "{}", orders.text);
    })
    .await;
}

#[tokio::test]
async fn asking_whether_the_writer_is_there_is_no_commit() {
    let database = TestDatabase::new(Engine::Sqlite, storehouse::migrations::MIGRATIONS).await;
    let app = App::new(&database).await;
    // Nothing else commits from here on, as the sealing of the audit log would.
    app.stop_work();
    app.customer("ada").await;
    let commits = async || {
        let scrape = Scrape::of(&app).await;
        ["batch_size_count", "batch_size_sum", "commit_seconds_count"]
            .map(|name| scrape.value(&format!("storehouse_db_{name}")))
    };
    let before = commits().await;
    for _ in 0..50 {
        app.nobody().get("/health/ready").await.expect(200);
        app.nobody().request(Method::GET, "/health/ready").to("orders").send().await.expect(200);
    }
    assert_eq!(commits().await, before);
    app.customer("bob").await;
    assert_eq!(commits().await, before.map(|count| count + 1.0));
}

#[tokio::test]
async fn the_gateways_metrics_can_need_a_token() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let token = MetricsAccess::Token(Secret::new("scraper-7"));
        let app = App::with(database, |options| options.metrics_access = token).await;
        let ask = async |header: &str| {
            app.nobody().request(Method::GET, "/metrics").header("authorization", header).send().await
        };
        ask("Bearer scraper-7").await.expect(200);
        ask("bearer scraper-7").await.expect(200);
        for wrong in ["Bearer scraper-8", "Bearer scraper-", "Bearer scraper-77", "Bearer "] {
            ask(wrong).await.problem(401, "invalid_token");
        }
        ask("Basic scraper-7").await.problem(401, "missing_token");
        app.nobody().get("/metrics").await.problem(401, "missing_token");
        app.admin("root").await.get("/metrics").await.problem(401, "invalid_token");
        let app = App::with(database, |options| options.metrics_access = MetricsAccess::Closed).await;
        let answer = app.nobody().get("/metrics").await.problem(401, "missing_token");
        assert!(answer.text().contains("METRICS_TOKEN"), "{}", answer.text());
        let of_service = app.nobody().request(Method::GET, "/metrics").to("orders");
        of_service.send().await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn g18_in_production_the_gateways_metrics_are_closed_until_a_token_is_set() {
    let site = || {
        let site = Site::new(None).with("ENVIRONMENT", "production").with("HOST", "127.0.0.1");
        site.with("JWT_SECRET", "b7e1f05c9d3a4e68812f6c0d5a9b37e4c2d8f1a6")
    };
    let closed = site();
    let process = closed.start().await;
    let mut wire = process.connect().await;
    wire.get("/metrics").await.unwrap().problem(401, "missing_token");
    assert!(process.log().contains("METRICS_TOKEN"), "{}", process.log());
    let open = site().with("METRICS_TOKEN", "scraper-7");
    let process = open.start().await;
    process.connect().await.get("/metrics").await.unwrap().problem(401, "missing_token");
    let mut wire = process.connect().await.with_token("scraper-7");
    Scrape::parse(&wire.get("/metrics").await.unwrap().expect(200).text());
    assert!(!open.output().contains("scraper-7"));
}

/// How many random requests to send: so many that a leak of half a kilobyte by each shows.
fn requests() -> usize {
    std::env::var("STOREHOUSE_REQUESTS").map_or(10_000, |count| count.parse().unwrap())
}

/// A keep-alive connection for requests that no sane client sends.
struct Fuzzer {
    senders: Vec<SendRequest<Empty<Bytes>>>,
    random: Random,
}

impl Fuzzer {
    const METHODS: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];
    const FOLDERS: [&str; 9] = [
        "/",
        "/orders/",
        "/users/",
        "/auth/",
        "/health/",
        "/docs/",
        "/orders/user/",
        "/a//",
        "/auth/sessions/",
    ];

    async fn connect(process: &Storehouse) -> Self {
        let mut senders = Vec::new();
        for address in &process.addresses {
            let stream = TcpStream::connect(address).await.unwrap();
            let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            senders.push(sender);
        }
        Self { senders, random: Random::new() }
    }

    fn word(&mut self) -> String {
        (0..self.random.below(20) + 1).map(|_| char::from(b'a' + self.random.next() as u8 % 26)).collect()
    }

    async fn send(&mut self, port: usize, method: &str, folder: &str) -> StatusCode {
        let path = format!("{folder}{}?{}={}", self.word(), self.word(), self.word());
        let request = Request::builder().method(method).uri(path).header("host", self.word());
        let sender = &mut self.senders[port];
        sender.ready().await.unwrap();
        let response = sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        let status = response.status();
        response.into_body().collect().await.unwrap();
        status
    }

    /// One of each kind, so that every series is there that such requests can make.
    async fn send_one_of_each(&mut self) {
        for port in 0..self.senders.len() {
            for method in Self::METHODS {
                for folder in Self::FOLDERS {
                    self.send(port, method, folder).await;
                }
            }
        }
    }

    async fn send_any(&mut self) {
        let port = self.random.below(self.senders.len());
        let folder = *self.random.pick(&Self::FOLDERS);
        let method = match self.random.once_in(3) {
            true => self.word().to_uppercase(),
            false => (*self.random.pick(&Self::METHODS)).to_owned(),
        };
        // The client takes its answer for a tunnel.
        if method != "CONNECT" {
            assert!(self.send(port, &method, folder).await.is_client_error());
        }
    }
}

async fn scrape(process: &Storehouse) -> Scrape {
    Scrape::parse(&process.connect().await.get("/metrics").await.unwrap().expect(200).text())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_method_or_host_makes_a_series_or_costs_memory() {
    let site = Site::new(None).with("RATE_LIMIT", "off").with("LOG_LEVEL", "error");
    let process = site.start().await;
    let mut fuzzer = Fuzzer::connect(&process).await;
    fuzzer.send_one_of_each().await;
    // Until then buffers and caches grow.
    for _ in 0..1_000 {
        fuzzer.send_any().await;
    }
    scrape(&process).await;
    let before = scrape(&process).await;
    for _ in 0..requests() {
        fuzzer.send_any().await;
    }
    let after = scrape(&process).await;
    let series = |scrape: &Scrape| scrape.series.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(series(&before), series(&after));
    let memory = |scrape: &Scrape| scrape.value("process_resident_memory_bytes");
    let grown = memory(&after) - memory(&before);
    assert!(grown < 5e6, "{grown} bytes more after {} requests", requests());
}

#[tokio::test]
async fn a_request_that_is_refused_before_any_route_counts_too() {
    let site = Site::new(None);
    let process = site.start().await;
    let mut stream = TcpStream::connect(process.gateway()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let series = r#"http_requests_total{service="gateway",method="other",route="other",status="400"}"#;
    assert_eq!(scrape(&process).await.value(series), 1.0);
}
