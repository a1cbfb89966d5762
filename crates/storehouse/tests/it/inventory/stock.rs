//! Levels: receiving, putting right, counting, setting aside, moving; and what is refused, which changes nothing.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::{adjust, check_ledger, each, figures, items, location, path, product, transfer};
use crate::contract::dump::dump;
use crate::harness::{Random, deadlocks, each_app};

#[tokio::test]
async fn each_kind_changes_a_level_in_its_way() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let lap = product(&staff, "LAP-1", json!({})).await;
        let body = json!({"product_id": lap["id"], "kind": "receive", "quantity": 10, "reason": "found", "unit_cost": "4.20"});
        let received = staff.post("/stock/adjustments", body).await.expect(201);
        assert!(received.text().contains("\"unit_cost\":4.20"), "{}", received.text());
        assert!(received.header("location").starts_with("/stock/movements?product_id="));
        let row = received.json();
        assert_eq!((&row["reason"], &row["actor_id"]), (&json!("found"), &json!(staff.id.to_string())));
        assert_eq!(row["request_id"], received.header("x-request-id"));
        assert_eq!(row["cause"], json!({"kind": "adjustment", "id": row["id"], "step": 1}));
        for (kind, quantity, deltas, after, expected) in [
            ("adjust", -3, [-3, 0], [7, 0], [7, 0, 0, 7]),
            ("quarantine", 4, [0, 4], [7, 0], [7, 0, 4, 3]),
            ("quarantine", -1, [0, -1], [7, 0], [7, 0, 3, 4]),
            ("count", 9, [2, 0], [9, 0], [9, 0, 3, 6]),
            ("adjust", 1, [1, 0], [10, 0], [10, 0, 3, 7]),
            ("count", 10, [0, 0], [10, 0], [10, 0, 3, 7]),
            ("adjust", -8, [-8, -1], [2, 0], [2, 0, 2, 0]),
            ("count", 1, [-1, -1], [1, 0], [1, 0, 1, 0]),
            ("count", 5, [4, 0], [5, 0], [5, 0, 1, 4]),
            ("count", 0, [-5, -1], [0, 0], [0, 0, 0, 0]),
        ] {
            let row = adjust(&staff, "lap-1", "main", kind, quantity).await.expect(201).json();
            assert_eq!([&row["on_hand_delta"], &row["unavailable_delta"]], deltas, "{kind}");
            assert_eq!([&row["on_hand_after"], &row["allocated_after"]], after, "{kind}");
            let level = &items(&staff, "/stock").await[0];
            assert_eq!(figures(level), expected, "{kind}");
            assert_eq!(figures(&staff.get(&path("products", &lap, "")).await.expect(200).json()["stock"]), expected);
        }
        check_ledger(app).await;
    })
    .await;
}

#[tokio::test]
async fn what_there_is_too_little_of_is_refused() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        product(&staff, "LAP-1", json!({"backorder_limit": 50})).await;
        location(&staff, "B").await;
        adjust(&staff, "LAP-1", "MAIN", "receive", 5).await.expect(201);
        adjust(&staff, "LAP-1", "MAIN", "quarantine", 2).await.expect(201);
        let before = dump(&app.db).await;
        for (kind, quantity, available) in [("adjust", -6, 5), ("quarantine", 4, 3), ("quarantine", -3, 2)] {
            let refused =
                adjust(&staff, "LAP-1", "MAIN", kind, quantity).await.problem(409, "insufficient_stock");
            assert_eq!(refused.json()["available"], available, "{kind}");
        }
        adjust(&staff, "LAP-1", "B", "adjust", -1).await.problem(409, "insufficient_stock");
        let refused = transfer(&staff, "LAP-1", "MAIN", "B", 4).await.problem(409, "insufficient_stock");
        assert_eq!(refused.json()["available"], 3, "what is set aside or backordered can't be moved");
        transfer(&staff, "LAP-1", "B", "MAIN", 1).await.problem(409, "insufficient_stock");
        assert_eq!(dump(&app.db).await, before);
        transfer(&staff, "LAP-1", "MAIN", "B", 3).await.expect(201);
    })
    .await;
}

#[tokio::test]
async fn a_count_can_be_compared_before_it_is_set() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        product(&staff, "LAP-1", json!({})).await;
        adjust(&staff, "LAP-1", "MAIN", "receive", 5).await.expect(201);
        let before = dump(&app.db).await;
        let count = async |counted: i64, expected: i64| {
            let body =
                json!({"sku": "LAP-1", "kind": "count", "quantity": counted, "expected_on_hand": expected});
            staff.post("/stock/adjustments", body).await
        };
        let refused = count(7, 4).await.problem(409, "unexpected_stock");
        assert_eq!(refused.json()["on_hand"], 5);
        assert_eq!(dump(&app.db).await, before);
        count(7, 5).await.expect(201);
        count(7, 5).await.problem(409, "unexpected_stock");
        count(0, 7).await.expect(201);
        count(1, 0).await.expect(201);
        let many = join_all((2..22).map(|counted| count(counted, 1))).await;
        assert_eq!(
            many.iter().filter(|answer| answer.status == 201).count(),
            1,
            "of many that saw the same, one counts"
        );
    })
    .await;
}

/// Bodies with a place for a figure, each with its address.
fn with_figures() -> Vec<(&'static str, String)> {
    let adjustment = |kind: &str| format!(r#"{{"sku": "LAP-1", "kind": "{kind}", "quantity": @}}"#);
    let mut bodies = ["receive", "adjust", "count", "quarantine"]
        .map(|kind| ("/stock/adjustments", adjustment(kind)))
        .to_vec();
    for (address, body) in [
        ("/stock/transfers", r#"{"sku": "LAP-1", "from": "MAIN", "to": "B", "quantity": @}"#),
        ("/stock/adjustments", r#"{"sku": "LAP-1", "kind": "count", "quantity": 7, "expected_on_hand": @}"#),
        ("/products", r#"{"sku": "NEW", "name": "x", "unit_price": 1, "backorder_limit": @}"#),
    ] {
        bodies.push((address, body.to_owned()));
    }
    bodies
}

/// Requirement I06: numbers that are no quantities, in every place for one.
#[tokio::test]
async fn i06_every_number_that_is_no_quantity_is_refused_and_nothing_changes() {
    const NUMBERS: [&str; 16] = [
        "0.5",
        "2147483648",
        "9007199254740993",
        "9223372036854775808",
        "-9223372036854775808",
        "1e309",
        "-1e309",
        "NaN",
        "Infinity",
        "-0",
        "\"1\"",
        "true",
        "null",
        "1.0",
        "1e2",
        "[1]",
    ];
    each_app(async |app| {
        let staff = app.staff("staff").await;
        product(&staff, "LAP-1", json!({})).await;
        location(&staff, "B").await;
        adjust(&staff, "LAP-1", "MAIN", "receive", 5).await.expect(201);
        let before = dump(&app.db).await;
        for (address, body) in with_figures() {
            for number in NUMBERS {
                let call = staff.request(Method::POST, address);
                let answer = call.raw("application/json", body.replace('@', number)).send().await;
                // What is no JSON at all is told so.
                let is_json = !["NaN", "Infinity"].contains(&number);
                answer.expect(if is_json { 422 } else { 400 });
            }
        }
        let nothing = json!({"sku": "LAP-1", "kind": "receive", "quantity": 1, "expected_on_hand": null, "unit_cost": null});
        let refused = staff.post("/stock/adjustments", nothing).await.problem(422, "validation_failed");
        assert_eq!(refused.faulty_fields(), ["expected_on_hand", "unit_cost"]);
        for (kind, number) in [
            ("receive", 0),
            ("receive", -1),
            ("adjust", 0),
            ("count", -1),
            ("quarantine", 0),
            ("adjust", -1_000_000_001),
        ] {
            let refused =
                adjust(&staff, "LAP-1", "MAIN", kind, number).await.problem(422, "validation_failed");
            assert_eq!(refused.faulty_fields(), ["quantity"], "{kind} {number}");
        }
        assert_eq!(dump(&app.db).await, before);
    })
    .await;
}

#[tokio::test]
async fn what_a_body_names_must_be_there() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let lap = product(&staff, "LAP-1", json!({})).await;
        adjust(&staff, "LAP-1", "MAIN", "receive", 5).await.expect(201);
        let before = dump(&app.db).await;
        let nobody = "0193f000-0000-7000-8000-00000000abcd";
        let refuse = async |address: &str, body: Value, fields: &[(&str, &str)]| {
            let errors =
                staff.post(address, body).await.problem(422, "validation_failed").json()["errors"].clone();
            let told: Vec<(&str, &str)> = errors
                .as_array()
                .unwrap()
                .iter()
                .map(|fault| (fault["field"].as_str().unwrap(), fault["code"].as_str().unwrap()))
                .collect();
            assert_eq!(told, fields);
        };
        let unknown =
            json!({"sku": "LAP-9", "location": "Z", "kind": "count", "quantity": 1, "reason": "none"});
        let expected =
            [("sku", "unknown_product"), ("location", "unknown_location"), ("reason", "unknown_reason")];
        refuse("/stock/adjustments", unknown, &expected).await;
        let by_id = json!({"product_id": nobody, "location": nobody, "kind": "count", "quantity": 1});
        refuse(
            "/stock/adjustments",
            by_id,
            &[("product_id", "unknown_product"), ("location", "unknown_location")],
        )
        .await;
        let none = json!({"kind": "count", "quantity": 1});
        refuse("/stock/adjustments", none, &[("sku", "required")]).await;
        let both = json!({"product_id": lap["id"], "sku": "LAP-1", "kind": "count", "quantity": 1});
        refuse("/stock/adjustments", both, &[("product_id", "invalid_value")]).await;
        let cost = json!({"sku": "LAP-1", "kind": "count", "quantity": 1, "unit_cost": 1});
        refuse("/stock/adjustments", cost, &[("unit_cost", "invalid_value")]).await;
        let decimals = json!({"sku": "LAP-1", "kind": "receive", "quantity": 1, "unit_cost": "0.001"});
        refuse("/stock/adjustments", decimals, &[("unit_cost", "invalid_amount")]).await;
        let moved = json!({"sku": "LAP-9", "from": "Y", "to": "Z", "quantity": 1});
        let expected = [("sku", "unknown_product"), ("from", "unknown_location"), ("to", "unknown_location")];
        refuse("/stock/transfers", moved, &expected).await;
        let nowhere = json!({"sku": "LAP-1", "from": "MAIN", "to": "main", "quantity": 1});
        refuse("/stock/transfers", nowhere, &[("to", "same_location")]).await;
        assert_eq!(dump(&app.db).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_repeated_adjustment_acts_once() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        product(&staff, "LAP-1", json!({})).await;
        let body = json!({"sku": "LAP-1", "kind": "receive", "quantity": 5});
        let send = || {
            staff
                .request(Method::POST, "/stock/adjustments")
                .header("idempotency-key", "k")
                .json(&body)
                .send()
        };
        let answers = join_all((0..10).map(|_| send())).await;
        assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == answers[0].body));
        assert_eq!(figures(&items(&staff, "/stock").await[0]), [5, 0, 0, 5]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opposite_transfers_at_once_move_everything_once() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let places = ["MAIN", "B", "C"];
        for code in &places[1..] {
            location(&staff, code).await;
        }
        for sku in ["ONE", "TWO"] {
            product(&staff, sku, json!({})).await;
            for place in places {
                adjust(&staff, sku, place, "receive", 20).await.expect(201);
            }
        }
        let mut random = Random::new();
        let mut moves = Vec::new();
        for _ in 0..150 {
            let from = random.below(3);
            let to = (from + 1 + random.below(2)) % 3;
            moves.push((*random.pick(&["ONE", "TWO"]), places[from], places[to], random.between(1, 9)));
        }
        let done = join_all(
            moves.iter().map(|(sku, from, to, quantity)| transfer(&staff, sku, from, to, *quantity)),
        )
        .await;
        let moved = done.iter().filter(|answer| answer.status == 201).count();
        for answer in done.into_iter().filter(|answer| answer.status != 201) {
            answer.problem(409, "insufficient_stock");
        }
        assert!(moved > 50, "only {moved} moved");
        let levels = items(&staff, "/stock").await;
        for sku in ["ONE", "TWO"] {
            let own: Vec<i64> =
                levels.iter().filter(|level| level["sku"] == sku).map(|level| figures(level)[0]).collect();
            assert!(
                own.len() == 3 && own.iter().sum::<i64>() == 60 && own.iter().all(|on_hand| *on_hand >= 0),
                "{own:?}"
            );
        }
        assert_eq!(deadlocks(&app.db), 0, "nobody waited in a circle");
        check_ledger(app).await;
    })
    .await;
}

#[tokio::test]
async fn levels_are_listed_by_product_and_filtered() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let b = location(&staff, "B").await;
        let mut first = String::new();
        for (sku, more) in
            [("c", json!({"reorder_point": 3})), ("A", json!({})), ("b", json!({"reorder_point": 1}))]
        {
            let made = product(&staff, sku, more).await;
            if first.is_empty() {
                first = made["id"].as_str().unwrap().to_owned();
            }
            adjust(&staff, sku, "B", "receive", 2).await.expect(201);
        }
        for (query, expected) in [
            (String::new(), vec!["b", "b", "A", "A", "c", "c"]),
            ("sort=product_id".to_owned(), vec!["c", "c", "A", "A", "b", "b"]),
            (format!("location_id={}", b["id"].as_str().unwrap()), vec!["b", "A", "c"]),
            (format!("product_id={first}"), vec!["c", "c"]),
            ("low=true".to_owned(), vec!["c", "c"]),
            ("low=false".to_owned(), vec!["b", "b", "A", "A"]),
        ] {
            for limit in [1, 200] {
                let found = items(&staff, &format!("/stock?limit={limit}&{query}")).await;
                assert_eq!(each(&found, "sku"), expected, "{query}");
            }
            let counted = staff.get(&format!("/stock?count=exact&{query}")).await.expect(200).json();
            assert_eq!(counted["total"], expected.len(), "{query}");
        }
        let found = items(&staff, "/stock?sort=product_id&limit=4").await;
        assert_eq!(each(&found[..2], "location"), ["MAIN", "B"]);
    })
    .await;
}

#[tokio::test]
async fn the_reorder_list_shows_what_should_be_bought() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        for (sku, more) in [
            ("LOW", json!({"reorder_point": 10})),
            ("EXACT", json!({"reorder_point": 4, "reorder_quantity": 25})),
            ("EVEN", json!({"reorder_point": 4, "backorder_limit": 100})),
            ("LOTS", json!({"reorder_point": 9, "reorder_quantity": 5})),
            ("ENOUGH", json!({"reorder_point": 3})),
            ("UNSAID", json!({})),
            ("ARCHIVED", json!({"reorder_point": 10, "active": false})),
            ("UNTRACKED", json!({"reorder_point": 10, "track_stock": false})),
        ] {
            product(&staff, sku, more).await;
            adjust(&staff, sku, "MAIN", "receive", 4).await.expect(201);
        }
        let listed = items(&staff, "/stock/reorder?sort=created_at&limit=1").await;
        let suggested: Vec<(&str, i64)> = listed
            .iter()
            .map(|item| (item["sku"].as_str().unwrap(), item["suggested_quantity"].as_i64().unwrap()))
            .collect();
        assert_eq!(suggested, [("LOW", 7), ("EXACT", 25), ("EVEN", 1), ("LOTS", 10)]);
        assert_eq!(each(&items(&staff, "/stock/reorder").await, "sku"), ["LOTS", "EVEN", "EXACT", "LOW"]);
        let low = items(&staff, "/products?low_stock=true&sort=sku").await;
        assert_eq!(
            each(&low, "sku"),
            ["EVEN", "EXACT", "LOTS", "LOW"],
            "as the list says, none that is archived"
        );
    })
    .await;
}
