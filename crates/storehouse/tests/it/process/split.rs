//! Parts as processes of their own, with no more settings than they need.

use std::net::SocketAddr;

use serde_json::json;

use super::walk;
use crate::harness::{PASSWORD, Site, Wire, soon};

#[tokio::test]
async fn parts_on_one_machine_share_a_file_and_a_secret_without_any_setting() {
    let site = Site::new(None);
    let mut split = site.start_split().await;
    let banner = split.part("gateway").banner();
    assert!(banner.contains("checked by the services") && !banner.contains("  data "), "{banner}");
    assert!(banner.contains("  secret    made in ./data"), "{banner}");
    let banner = split.part("orders").banner();
    assert!(banner.contains("without a gateway") && banner.contains("  data "), "{banner}");
    walk(split.part("gateway")).await;
}

#[tokio::test]
async fn a_gateway_without_a_database_leaves_sessions_to_the_services() {
    let site = Site::new(None);
    let mut split = site.start_split().await;
    let (mut wire, _) = split.part("gateway").connect().await.register("boss").await;
    wire.get("/orders").await.unwrap().expect(200);
    wire.post("/auth/logout", &json!({})).await.unwrap().expect(204);
    for path in ["/auth/validate", "/users/me", "/orders"] {
        let token = wire.token().to_owned();
        let gateway = split.part("gateway").gateway();
        soon(&format!("{path} refuses an ended session"), async || {
            let mut wire = Wire::connect(gateway).await.unwrap().with_token(&token);
            wire.get(path).await.unwrap().status == 401
        })
        .await;
    }
    let mut forged = split.part("gateway").connect().await.with_token("a.b.c");
    forged.get("/orders").await.unwrap().problem(401, "invalid_token");
}

/// Some parts beside the gateway, in its process, and the others in another.
#[tokio::test]
async fn any_set_of_parts_makes_a_process() {
    let site = Site::new(None);
    let others = site.start_as(site.command(&["serve", "orders", "users", "inventory"])).await;
    let mut command = site.command(&["serve", "auth", "gateway"]);
    for (part, address) in ["USERS", "ORDERS", "INVENTORY"].into_iter().zip(&others.addresses) {
        command.env(format!("{part}_PORT"), address.port().to_string());
    }
    let front = site.start_as(command).await;
    assert_eq!((front.addresses.len(), others.addresses.len()), (2, 3), "{}", front.banner());
    walk(&front).await;
    let nobody = front.connect().await.get("/products").await.unwrap();
    nobody.problem(401, "missing_token");
}

#[tokio::test]
async fn a_service_elsewhere_knows_the_clients_address_from_the_gateway_alone() {
    let site = Site::new(None).with("TRUSTED_PROXIES", "127.0.0.1");
    let mut split = site.start_split().await;
    let (_, registered) = split.part("gateway").connect().await.register("boss").await;
    let login = json!({"email": "boss@example.com", "password": PASSWORD});
    for (part, told, expected) in
        [("gateway", "203.0.113.7", "203.0.113.7"), ("auth", "203.0.113.8", "127.0.0.1")]
    {
        let address: SocketAddr = split.part(part).addresses[0];
        let mut wire = Wire::connect(address).await.unwrap().forwarded_for(told);
        let token = wire.post("/auth/login", &login).await.unwrap().expect(200).json();
        let mut wire = wire.with_token(token["token"].as_str().unwrap());
        let sessions = wire.get("/auth/sessions").await.unwrap().expect(200).json();
        assert_eq!(sessions["items"][0]["ip"], expected, "through {part}: {sessions} {registered}");
    }
}

#[tokio::test]
async fn the_originals_containers_start_each_on_a_file_of_its_own() {
    for (part, file) in [("auth", "auth.db"), ("users", "users.db"), ("orders", "orders.db")] {
        let site = Site::new(Some(file)).with("PORT", "0");
        let process = site.start_as(site.command(&["serve", part])).await;
        let notes: Vec<String> =
            process.banner().lines().filter(|line| line.contains("  note ")).map(str::to_owned).collect();
        assert_eq!(notes.len(), 1, "{}", process.banner());
        assert!(notes[0].contains("/users/me") && notes[0].contains("one database"), "{}", notes[0]);
        for word in ["orders and stock", "401", "the same DATABASE_URL", "one DATA_DIR"] {
            assert!(process.banner().contains(word), "{word}: {}", process.banner());
        }
        assert!(site.path(file).exists());
        process.connect().await.get("/health").await.unwrap().expect(200);
    }
}

#[tokio::test]
async fn a_gateway_alone_must_know_where_the_services_are() {
    let line = Site::new(None).refusal(&["serve", "gateway"]);
    assert!(line.contains("AUTH_PORT is 0"), "{line}");
}

#[tokio::test]
async fn a_route_back_to_the_gateway_itself_is_refused() {
    let site = Site::new(None).with("GATEWAY_PORT", "8123");
    std::fs::write(
        site.path("routes.yaml"),
        "routes:\n  - {path: /x, methods: [GET], backend: \"http://localhost:8123\"}\n",
    )
    .unwrap();
    let line = site.refusal(&["serve", "gateway"]);
    assert!(line.contains("the route /x leads back to the gateway itself"), "{line}");
}

#[tokio::test]
async fn a_fault_in_the_routes_file_keeps_no_service_from_starting() {
    let site = Site::new(None);
    std::fs::write(site.path("routes.yaml"), "routes: [").unwrap();
    site.start_as(site.command(&["serve", "orders"])).await;
    let said = site.run(&["serve", "gateway"]);
    assert!(String::from_utf8(said.stderr).unwrap().contains("routes.yaml:1:"));
    assert_eq!(said.status.code(), Some(1));
}
