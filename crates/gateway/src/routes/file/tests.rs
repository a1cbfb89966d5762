use serde_json::Value as Json;

use super::super::{Ports, SCHEMA};
use super::*;

const SHIPPED: &str = include_str!("../../../../../routes.yaml");

const ORIGINAL: &str = r#"
routes:
  - path: /auth
    backend: http://localhost:8083
    methods: ["GET", "POST"]
  - path: /users
    backend: http://localhost:8081
    methods: ["GET", "POST", "PUT", "DELETE"]
"#;

fn routes(text: &str) -> Vec<RouteConfig> {
    parse(text, "routes.yaml").unwrap().0
}

fn fault(text: &str) -> String {
    parse(text, "routes.yaml").unwrap_err().to_string()
}

/// The faults of a route with these lines after its path.
fn fault_of(lines: &str) -> String {
    fault(&format!("routes:\n  - path: /a\n    methods: [GET]\n{lines}"))
}

#[test]
fn the_shipped_file_is_the_built_in_table() {
    assert_eq!(Routes(routes(SHIPPED)), Routes::built_in(Ports::default()));
}

#[test]
fn the_original_form_works_unchanged() {
    let routes = routes(ORIGINAL);
    assert_eq!(routes[0].methods, [Method::GET, Method::POST]);
    assert_eq!(routes[1].path, "/users");
    assert!(routes.iter().all(|route| !route.public && route.terms == Terms::default()));
}

#[test]
fn more_keys_are_read() {
    let routes = routes(
        "defaults: {timeout: 2m, balance: round_robin, health_check: {path: /up?deep=1, interval: 5s}}\n\
         routes:\n  \
         - {path: /a/, backend: 'http://a', methods: [get], public: true}\n  \
         - {path: /b, backends: ['http://[::1]:1/', 'http://b'], methods: [GET], timeout: 500ms, max_body: 64MiB, balance: least_loaded, health_check: {timeout: 2s}}\n",
    );
    assert_eq!((routes[0].path.as_str(), routes[0].public), ("/a", true));
    assert_eq!(routes[0].terms.timeout, Duration::from_secs(120));
    assert_eq!(routes[0].terms.balance, Balance::RoundRobin);
    assert_eq!(routes[1].terms.timeout, Duration::from_millis(500));
    assert_eq!((routes[0].terms.max_body, routes[1].terms.max_body), (1024 * 1024, 64 * 1024 * 1024));
    for size in ["64", "64MB", "0KiB", "1025MiB", "-1MiB", "1.5MiB", "99999999999999999999MiB", "[]"] {
        assert!(
            fault_of(&format!("    backend: http://a\n    max_body: {size}\n")).contains("size"),
            "{size}"
        );
    }
    assert_eq!(routes[1].terms.balance, Balance::LeastLoaded);
    let addresses: Vec<&str> = routes[1].backends.iter().map(|backend| backend.0.as_str()).collect();
    assert_eq!(addresses, ["[::1]:1", "b"]);
    let check = &routes[1].terms.health_check;
    assert_eq!(
        (check.path.as_str(), check.interval.as_secs(), check.timeout.as_secs()),
        ("/up?deep=1", 5, 2)
    );
}

#[test]
fn a_rate_has_defaults_of_its_own() {
    let rate = |requests, per, burst| {
        let count = |count| NonZeroU32::new(count).unwrap();
        Some(Rate { requests: count(requests), per: Duration::from_millis(per), burst: count(burst) })
    };
    let routes = routes(
        "defaults: {rate_limit: {requests: 7}}\n\
         routes:\n  \
         - {path: /a, backend: 'http://a', methods: [GET]}\n  \
         - {path: /b, backend: 'http://a', methods: [GET], rate_limit: {requests: 5, per: 1m, burst: 6}}\n  \
         - {path: /c, backend: 'http://a', methods: [GET], rate_limit: {requests: 1000000}}\n",
    );
    assert_eq!(routes[0].terms.rate_limit, rate(7, 1000, 14));
    assert_eq!(routes[1].terms.rate_limit, rate(5, 60_000, 6));
    assert_eq!(routes[2].terms.rate_limit, rate(1_000_000, 1000, 2_000_000));
    for (limit, expected) in [
        ("{requests: 0}", "routes.yaml:5:28: `requests` must be a whole number from 1 to 1000000"),
        ("{requests: 1000001}", "routes.yaml:5:28: `requests` must"),
        ("{requests: -1}", "routes.yaml:5:28: `requests` must"),
        ("{requests: ten}", "routes.yaml:5:28: `requests` must"),
        ("{requests: 1, burst: 1.5}", "routes.yaml:5:38: `burst` must"),
        ("{requests: 1, per: 25h}", "routes.yaml:5:36: `25h` must be a time"),
        ("{per: 1s}", "routes.yaml:5:17: the key `requests` is missing"),
        ("100", "routes.yaml:5:17: `rate_limit` must be a mapping with the keys requests, per, burst"),
    ] {
        let fault = fault_of(&format!("    backend: http://a\n    rate_limit: {limit}\n"));
        assert!(fault.starts_with(expected) && fault.lines().count() == 1, "{limit}: {fault}");
    }
}

#[test]
fn every_fault_is_told_with_its_place() {
    let text = "\
default: {}
defaults: {timeout: 0s, time: 1s}
routes:
  - path: /a
    bakend: http://a:1
    methods: [GET, GTE]
    methods: [GET]
  - path: /a/
    backend: http://a/b
    backends: [http://c, http://c:80]
  - {path: /c, backends: [], methods: {}, public: yes please, balance: random}
  - nothing
  - path: d
    backend: [http://d]
    methods: GET
    health_check: {path: up, intervall: 1s}
";
    let expected = [
        "routes.yaml:1:1: unknown key `default`: did you mean `defaults`? The keys of the file are defaults, routes",
        "routes.yaml:2:21: `0s` must be a time like `30s`, `500ms` or `2m`, from 1ms to 24h",
        "routes.yaml:2:25: unknown key `time`: did you mean `timeout`? The keys of `defaults` are timeout, max_body, rate_limit, balance, health_check",
        "routes.yaml:5:5: unknown key `bakend`: did you mean `backend`? The keys of a route are path, backend, backends, methods, public, timeout, max_body, rate_limit, balance, health_check",
        "routes.yaml:6:20: `GTE` is not a method: use GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        "routes.yaml:7:5: the key `methods` stands twice",
        "routes.yaml:8:5: the key `methods` is missing",
        "routes.yaml:8:11: the path `/a` stands twice",
        "routes.yaml:9:14: the backend `http://a/b` must be an address like `http://localhost:8082`, without a path",
        "routes.yaml:10:15: a route has `backend` or `backends`, not both",
        "routes.yaml:10:26: the backend `http://c:80` stands twice",
        "routes.yaml:11:26: `backends` is empty",
        "routes.yaml:11:39: `methods` must be a list; this is a mapping",
        "routes.yaml:11:51: `public` must be true or false",
        "routes.yaml:11:72: `balance` must be `least_loaded` or `round_robin`, not `random`",
        "routes.yaml:12:5: a route must be a mapping with the keys path, backend, backends, methods, public, timeout, max_body, rate_limit, balance, health_check; this is text",
        "routes.yaml:13:11: the path `d` must begin with `/`",
        "routes.yaml:14:14: `backend` must be text; this is a list",
        "routes.yaml:15:14: `methods` must be a list; this is text",
        "routes.yaml:16:26: the path `up` of a health check must be like `/health/ready`",
        "routes.yaml:16:30: unknown key `intervall`: did you mean `interval`? The keys of `health_check` are path, interval, timeout",
    ];
    assert_eq!(fault(text).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_path_or_an_address_that_is_no_good_is_a_fault() {
    for path in ["/b/../c", "/b?x", "/b#x", "//b", "/%62", "b"] {
        let fault = fault(&format!("routes:\n  - {{path: '{path}', backend: 'http://b', methods: [GET]}}\n"));
        assert!(fault.starts_with(&format!("routes.yaml:2:12: the path `{path}` must")), "{fault}");
    }
    let fault = fault_of("    backend: 'https://user:s3cret@b'\n");
    assert!(fault.starts_with("routes.yaml:4:14: the backend `b` can't be asked over TLS"), "{fault}");
    for address in ["http://b/c", "http://b:x", "http://b:0", "b:1", "http://", "x"] {
        let fault = fault_of(&format!("    backend: '{address}'\n"));
        assert!(fault.starts_with(&format!("routes.yaml:4:14: the backend `{address}` must")), "{fault}");
    }
    let fault = fault_of("    backend: 'http://user:s3cret@b:1'\n");
    assert!(fault.contains("`b:1`") && !fault.contains("s3cret"), "{fault}");
}

#[test]
fn a_path_that_no_request_could_have_is_a_fault() {
    let fault_of = |path: &str| {
        fault(&format!("routes:\n  - {{path: '{path}', backend: 'http://b', methods: [GET]}}\n"))
    };
    for (path, prefix) in [
        ("/orders/*", "/orders"),
        ("/orders/{id}", "/orders"),
        ("/orders/{id}/lines/:line", "/orders"),
        ("/a/b:c/:id", "/a/b:c"),
        ("/*", "/"),
        ("/**/x", "/"),
        ("/x*", "/"),
    ] {
        let expected = format!(
            "routes.yaml:2:12: the path `{path}` has a placeholder, but a path is a prefix: `{prefix}` covers all below it"
        );
        assert_eq!(fault_of(path), expected);
    }
    for path in ["/metrics", "/health/", "/health/ready", "/.well-known/jwks.json"] {
        let expected = format!(
            "routes.yaml:2:12: the path `{path}` is one that the gateway answers itself, always: choose another"
        );
        assert_eq!(fault_of(path), expected);
    }
    for path in ["/", "/metrics/mine", "/.well-known", "/docs"] {
        routes(&format!("routes:\n  - {{path: '{path}', backend: 'http://b', methods: [GET]}}\n"));
    }
}

#[test]
fn what_can_not_be_read_is_told_in_words_of_our_own() {
    let deep = "[".repeat(17) + &"]".repeat(17);
    for (text, expected) in [
        (
            format!("{}---\nroutes: []\n", ORIGINAL.trim_start()),
            "routes.yaml:9:1: a second document begins here",
        ),
        (format!("routes: {deep}\n"), "lists and mappings lie too deep in one another here"),
        ("routes: &a [*a]\n".to_owned(), "routes.yaml:1:13: an alias stands here within what it stands for"),
        ("routes: [*a]\n".to_owned(), "routes.yaml:1:10: an alias stands here for something"),
        ("~: []\n".to_owned(), "routes.yaml:1:1: a key must be text"),
        ("routes: [\n".to_owned(), "this is no YAML: "),
    ] {
        let fault = fault(&text);
        assert!(fault.starts_with("routes.yaml:") && fault.contains(expected), "{expected}: {fault}");
        assert!(fault.lines().count() == 1 && !fault.starts_with("routes.yaml:0"), "{fault}");
    }
    let latin = Routes::parse(b"routes:\n  - path: /\xe9\n", "routes.yaml").unwrap_err().to_string();
    assert_eq!(
        latin,
        "routes.yaml:2:12: from here on this is no text in UTF-8: save the file in that encoding"
    );
}

#[test]
fn what_is_no_routes_file_is_one_fault() {
    for (text, expected) in [
        ("", "the file must be a mapping"),
        ("routes: []\n", "routes.yaml:1:9: `routes` is empty"),
        ("routes:\n", "`routes` must be a list; this is empty"),
        ("defaults:\n", "routes.yaml:1:1: the key `routes` is missing"),
        ("paths: []\n", "routes.yaml:1:1: unknown key `paths`"),
        ("routes: {", "routes.yaml:1:"),
        ("routes:\n\t- a", "routes.yaml:2:"),
        ("- a\n", "routes.yaml:1:1: the file must be a mapping"),
    ] {
        let fault = fault(text);
        assert!(fault.starts_with("routes.yaml:") && fault.contains(expected), "{fault}");
        assert!(text == "paths: []\n" || fault.lines().count() == 1, "{fault}");
    }
}

#[test]
fn times_have_units_and_bounds() {
    for good in ["1ms", "24h", "1440m", "86400s", "007s"] {
        routes(&format!("defaults: {{timeout: {good}}}\n{}", ORIGINAL.trim_start()));
    }
    for bad in ["soon", "0s", "30", "-1s", "1.5s", "86401s", "99999999999999999999s", "99999999999999999m"] {
        let fault = fault_of(&format!("    backend: http://a\n    timeout: {bad}\n"));
        assert!(
            fault.starts_with("routes.yaml:5:14: `") && fault.contains("must be a time"),
            "{bad}: {fault}"
        );
    }
    let fault = fault_of("    backend: http://a\n    timeout: []\n");
    assert_eq!(fault, "routes.yaml:5:14: a time is needed; this is a list");
}

#[test]
fn aliases_and_merges_are_read_where_they_stand() {
    let text = "routes:\n  - &base {path: /a, backend: 'http://a', methods: &methods [GET]}\n  - {<<: *base, path: /b, methods: *methods}\n";
    let routes = routes(text);
    assert_eq!((routes[1].path.as_str(), routes[1].backends.len()), ("/b", 1));
    let route = |number: u16| format!("  - {{path: /r{number}, backend: 'http://a', methods: *methods}}\n");
    let many: String = (0..300).map(route).collect();
    assert_eq!(self::routes(&format!("{text}{many}")).len(), 302);
}

#[test]
fn a_person_reads_one_route_on_a_line() {
    let text = "routes:\n  - {path: /, backends: ['http://a', 'http://b:1'], methods: [GET], public: true, timeout: 1500ms}\n  - {path: /orders, backend: 'http://c', methods: [POST], rate_limit: {requests: 5, per: 1m}}\n";
    let expected = "\
/        → http://a, http://b:1 (least_loaded)  GET HEAD  public  timeout 1500ms
/orders  → http://c  POST  token  timeout 30s  5 requests per 60s, burst 10
";
    assert_eq!(parse(text, "routes.yaml").unwrap().to_string(), expected);
}

/// The keys that the schema knows at a place.
fn schema_keys(schema: &Json, pointer: &str) -> Vec<String> {
    let object = schema.pointer(pointer).unwrap_or_else(|| panic!("the schema has no {pointer}"));
    assert_eq!(object["additionalProperties"], false, "{pointer}");
    let mut keys: Vec<String> = object["properties"].as_object().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}

#[test]
fn the_schema_knows_the_same_keys() {
    let schema: Json = serde_json::from_str(SCHEMA).unwrap();
    for (pointer, known) in [
        ("", FILE),
        ("/properties/defaults", DEFAULTS),
        ("/$defs/route", ROUTE),
        ("/$defs/rate_limit", RATE_LIMIT),
        ("/$defs/health_check", HEALTH_CHECK),
    ] {
        let mut known = known.to_vec();
        known.sort_unstable();
        assert_eq!(schema_keys(&schema, pointer), known, "{pointer}");
    }
    assert_eq!(schema["$defs"]["balance"]["enum"], serde_json::json!(Balance::ALL.map(Balance::name)));
    let (least, most) = (REQUESTS.start(), REQUESTS.end());
    let count = &schema["$defs"]["count"];
    assert_eq!((count["minimum"].as_u64(), count["maximum"].as_u64()), (Some(*least), Some(*most)));
    assert_eq!(
        include_str!("../../../../../docs/routes.schema.json"),
        SCHEMA,
        "run: storehouse check --schema > docs/routes.schema.json"
    );
}

#[test]
fn the_shipped_file_has_keys_of_the_schema_alone() {
    let schema: Json = serde_json::from_str(SCHEMA).unwrap();
    let file: Json = serde_saphyr::from_str(SHIPPED).unwrap();
    let holds = |value: &Json, pointer: &str| {
        let known = schema_keys(&schema, pointer);
        value.as_object().unwrap().keys().all(|key| known.contains(key))
    };
    assert!(holds(&file, "") && holds(&file["defaults"], "/properties/defaults"));
    let routes = file["routes"].as_array().unwrap();
    assert!(!routes.is_empty() && routes.iter().all(|route| holds(route, "/$defs/route")));
    assert!(SHIPPED.starts_with("# yaml-language-server: $schema=docs/routes.schema.json\n"));
}
