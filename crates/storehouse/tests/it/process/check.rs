//! `storehouse check`: a routes file that is good, one that isn't, and the schema for editors.

use std::fs;

use serde_json::Value;

use super::commands::said;
use super::original_routes;
use crate::harness::Site;
use crate::tidy::root;

#[test]
fn a_good_file_is_shown_route_by_route() {
    let site = Site::new(None);
    let more = "  - {path: /eu, backends: ['http://eu1:8082', 'http://eu2:8082'], methods: [GET], public: true, \
                timeout: 5s, rate_limit: {requests: 10}}\n";
    fs::write(site.path("mine.yaml"), original_routes([8083, 8081, 8082]) + more).unwrap();
    let shown = said(&site.run(&["check", "mine.yaml"]));
    let expected = "mine.yaml is good:
/auth    → http://localhost:8083  GET POST HEAD  token  timeout 30s
/users   → http://localhost:8081  GET POST PUT DELETE HEAD  token  timeout 30s
/orders  → http://localhost:8082  GET POST PUT DELETE HEAD  token  timeout 30s
/eu      → http://eu1:8082, http://eu2:8082 (least_loaded)  GET HEAD  public  timeout 5s  10 requests per 1s, burst 20
No route leads to a part of the auth service: /audit, /audit.csv answer 404
No route leads to a part of the orders service: /events, /webhooks, /orders.csv answer 404
No route leads to the whole inventory service: /products, /stock, /categories, /reason-codes, /locations, /products.csv, /stock.csv answer 404
";
    assert_eq!(shown, expected);
    assert!(!site.path("data").exists(), "it needs no database");
}

#[test]
fn without_a_name_it_is_the_file_that_serve_would_use() {
    let site = Site::new(None).with("ORDERS_PORT", "9002");
    let built_in = said(&site.run(&["check"]));
    assert!(built_in.starts_with("No routes file: the built-in routes are in use:\n/auth "), "{built_in}");
    assert!(built_in.contains("/orders           → http://localhost:9002  GET "), "{built_in}");
    assert!(built_in.contains("POST  token  timeout 120s  body 64MiB\n"), "{built_in}");
    assert!(!built_in.contains("No route leads"), "{built_in}");
    for file in ["routes.yaml", "deploy/routes.yaml"] {
        let shown = said(&site.run(&["check", root().join(file).to_str().unwrap()]));
        assert!(!shown.contains("No route leads"), "{shown}");
    }
    fs::write(site.path("routes.yaml"), original_routes([1, 2, 3])).unwrap();
    assert!(said(&site.run(&["check"])).starts_with("routes.yaml is good:\n"));
    let named = Site::new(None).with("ROUTES_FILE", "missing.yaml");
    assert!(named.refusal(&["check"]).contains("missing.yaml"));
}

#[test]
fn every_fault_of_a_bad_file_is_told_with_its_place() {
    let site = Site::new(None);
    let text = original_routes([1, 2, 3])
        .replacen("backend: http://localhost:2", "bakend: http://localhost:2", 1)
        .replacen("path: /orders", "path: orders", 1);
    fs::write(site.path("mine.yaml"), text).unwrap();
    let output = site.run(&["check", "mine.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let told = String::from_utf8(output.stderr).unwrap();
    let [key, path, count] = told.lines().collect::<Vec<_>>()[..] else { panic!("three lines: {told}") };
    assert!(key.starts_with("mine.yaml:6:5: unknown key `bakend`: did you mean `backend`? "), "{told}");
    assert!(path.starts_with("mine.yaml:8:11: the path `orders` must begin with `/`"), "{told}");
    assert_eq!(count, "storehouse: the routes file mine.yaml has 2 faults");
    fs::write(site.path("mine.yaml"), "routes: [\n").unwrap();
    let output = site.run(&["check", "mine.yaml"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("mine.yaml:") && told.ends_with("mine.yaml has a fault\n"), "{told}");
    fs::write(site.path("mine.yaml"), b"\xff\xfer\0").unwrap();
    let told = String::from_utf8(site.run(&["check", "mine.yaml"]).stderr).unwrap();
    assert!(told.starts_with("mine.yaml:1:1: from here on this is no text in UTF-8"), "{told}");
}

#[test]
fn the_schema_is_the_one_in_the_docs() {
    let site = Site::new(None);
    let printed = said(&site.run(&["check", "--schema"]));
    assert_eq!(printed, include_str!("../../../../../docs/routes.schema.json"));
    let schema: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(site.run(&["check", "--schema", "mine.yaml"]).status.code(), Some(2));
}
