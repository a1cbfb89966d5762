//! `POST /orders`

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{laptop, place, two_lines, view};
use crate::harness::{App, Random, TestDatabase, each_app, each_engine, say};

const MEMBERS: [&str; 21] = [
    "allowed_transitions",
    "created_at",
    "currency",
    "external_id",
    "fulfilment_status",
    "id",
    "lines",
    "metadata",
    "note",
    "number",
    "paid",
    "payment_status",
    "product_name",
    "quantity",
    "refunded",
    "ship_to",
    "status",
    "total_price",
    "updated_at",
    "user_id",
    "version",
];

#[tokio::test]
async fn the_originals_order_is_one_free_text_line() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let answer = ada.post("/orders", laptop()).await.expect(201);
        let order = answer.json();
        assert_eq!(answer.header("location"), format!("/orders/{}", order["id"].as_str().unwrap()));
        assert_eq!(answer.header("etag"), "\"1\"");
        let mut members: Vec<&str> = order.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, MEMBERS);
        assert_eq!(order["user_id"], ada.id.to_string());
        assert_eq!((&order["status"], &order["number"]), (&json!("pending"), &json!(1001)));
        assert_eq!((&order["product_name"], &order["quantity"]), (&json!("Laptop"), &json!(3)));
        assert_eq!(order["allowed_transitions"], json!(["cancel"]));
        let line = &order["lines"][0];
        assert_eq!((&line["unit_price"], &line["total_price"]), (&json!(9.99), &json!(29.97)));
        assert_eq!((&line["shipped"], &line["returned"], &line["sku"]), (&json!(0), &json!(0), &Value::Null));
        assert_eq!(view(&ada, &order).await, order);
        assert_eq!(place(&ada, laptop()).await["number"], 1002);
    })
    .await;
}

#[tokio::test]
async fn a_unit_price_is_null_where_the_total_does_not_divide() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let order = place(&ada, json!({"product_name": "Nails", "quantity": 3, "total_price": 10})).await;
        assert_eq!(order["lines"][0]["unit_price"], Value::Null);
        let free = place(&ada, json!({"product_name": "Gift", "quantity": 3, "total_price": 0})).await;
        assert_eq!((&free["lines"][0]["unit_price"], &free["payment_status"]), (&json!(0.0), &json!("paid")));
    })
    .await;
}

#[tokio::test]
async fn money_is_written_with_the_currencys_decimals() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        for (currency, sent, written) in [
            ("USD", "10.1", "10.10"),
            ("USD", "\"999.99\"", "999.99"),
            ("USD", "90071992547409.91", "90071992547409.91"),
            ("JPY", "500", "500"),
            ("BHD", "1.234", "1.234"),
            ("BHD", "\"1.2\"", "1.200"),
        ] {
            let body = format!(
                r#"{{"product_name":"A","quantity":1,"total_price":{sent},"currency":"{currency}"}}"#
            );
            let placed = ada.request(http::Method::POST, "/orders").raw("application/json", body);
            let text = placed.send().await.expect(201).text();
            assert!(text.contains(&format!("\"total_price\":{written},")), "{sent} {currency}: {text}");
            assert!(text.contains(&format!("\"currency\":\"{currency}\"")), "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn i06_what_is_no_amount_quantity_or_currency_is_refused() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let refused = async |field: &str, value: &str, extra: &str| {
            let number = |name: &str| if name == field { value.to_owned() } else { "1".to_owned() };
            let body = format!(
                r#"{{"product_name":"A","quantity":{},"total_price":{}{extra}}}"#,
                number("quantity"),
                number("total_price")
            );
            let placed = ada.request(http::Method::POST, "/orders").raw("application/json", body);
            let problem = placed.send().await.problem(422, "validation_failed");
            assert_eq!(problem.faulty_fields(), [field], "{value}{extra}");
        };
        for amount in [
            "-1",
            "0.001",
            "1e2",
            "1e309",
            "90071992547409.92",
            "\"1.\"",
            "\"NaN\"",
            "\"1e1\"",
            "null",
            "true",
            "[]",
        ] {
            refused("total_price", amount, "").await;
        }
        refused("total_price", "5.0", ",\"currency\":\"JPY\"").await;
        refused("total_price", "1.2345", ",\"currency\":\"BHD\"").await;
        for quantity in [
            "0",
            "-1",
            "-0",
            "0.5",
            "1.0",
            "\"1\"",
            "null",
            "true",
            "1000000001",
            "9223372036854775808",
            "1e309",
        ] {
            refused("quantity", quantity, "").await;
        }
        for currency in ["\"XXX\"", "\"usd\"", "\"\"", "1", "\"DOLLARS\""] {
            refused("currency", "", &format!(",\"currency\":{currency}")).await;
        }
        assert_eq!(ada.get("/orders?count=exact").await.expect(200).json()["total"], 0);
    })
    .await;
}

#[tokio::test]
async fn z04_a_customer_can_not_name_user_price_or_free_lines() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let mut order = laptop();
        order["user_id"] = ada.id.to_string().into();
        assert_eq!(
            ada.post("/orders", order).await.problem(422, "unknown_field").faulty_fields(),
            ["user_id"]
        );
        for field in ["id", "number", "status", "payment_status", "version", "created_at"] {
            let mut order = laptop();
            order[field] = "1".into();
            assert_eq!(
                ada.post("/orders", order).await.problem(422, "unknown_field").faulty_fields(),
                [field]
            );
        }
        let line = json!({"lines": [{"sku": "LAP-1", "quantity": 1, "name": "Laptop", "unit_price": 1}]});
        let mut fields = ada.post("/orders", line).await.problem(422, "unknown_field").faulty_fields();
        fields.sort();
        assert_eq!(fields, ["lines[0].name", "lines[0].unit_price"]);
        let free = ada.post("/orders", two_lines()).await.problem(422, "validation_failed").faulty_fields();
        for field in ["lines[0].sku", "lines[0].name", "lines[0].unit_price", "lines[1].sku"] {
            assert!(free.contains(&field.to_owned()), "{field} in {free:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_of_lines_is_one() {
    each_app(async |app| {
        let ada = app.customer("bob").await;
        for (lines, field) in [
            (json!([]), "lines"),
            (json!({}), "lines"),
            (json!(null), "lines"),
            (json!([1]), "lines[0]"),
            (json!([{"sku": "A"}]), "lines[0].quantity"),
            (json!([{"sku": "A", "quantity": 0}]), "lines[0].quantity"),
            (json!(vec![json!({"sku": "A", "quantity": 1}); 501]), "lines"),
        ] {
            let problem =
                ada.post("/orders", json!({"lines": lines})).await.problem(422, "validation_failed");
            assert_eq!(problem.faulty_fields(), [field]);
        }
        let both = json!({"lines": [{"sku": "A", "quantity": 1}], "product_name": "A"});
        assert_eq!(
            ada.post("/orders", both).await.problem(422, "unknown_field").faulty_fields(),
            ["product_name"]
        );
    })
    .await;
}

#[tokio::test]
async fn staff_order_for_somebody_who_is_there() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let mut body = two_lines();
        body["user_id"] = ada.id.to_string().into();
        let order = place(&staff, body.clone()).await;
        assert_eq!(order["user_id"], ada.id.to_string());
        assert_eq!(order["total_price"], 209.9);
        assert_eq!((&order["product_name"], &order["quantity"]), (&json!("Desk"), &json!(3)));
        assert_eq!(view(&ada, &order).await["allowed_transitions"], json!(["cancel"]));
        for unknown in [kit::clock::new_id().to_string(), "x".to_owned(), String::new()] {
            body["user_id"] = unknown.into();
            let problem = staff.post("/orders", body.clone()).await.problem(422, "validation_failed");
            assert_eq!(problem.faulty_fields(), ["user_id"]);
        }
    })
    .await;
}

/// How many orders are placed at once.
const BATCH: usize = 50;

/// The full run: `STOREHOUSE_ORDERS=100000 cargo test --release --test it i07`
#[tokio::test]
async fn i07_lines_add_up_to_the_total_in_minor_units() {
    each_app(async |app| {
        let mut random = Random::new();
        let given: Option<usize> =
            std::env::var("STOREHOUSE_ORDERS").ok().map(|orders| orders.parse().unwrap());
        for batch in 0..given.unwrap_or(200).div_ceil(BATCH) {
            // A token is not good for as long as the full run takes.
            let staff = &app.staff(&format!("staff{batch}")).await;
            let seeds: Vec<u64> = (0..BATCH).map(|_| random.next()).collect();
            join_all(seeds.into_iter().map(async |seed| {
                let mut random = Random::from(seed);
                let decimals = *random.pick(&[("USD", 2), ("JPY", 0), ("BHD", 3)]);
                check_sums(staff, &mut random, decimals).await;
            }))
            .await;
        }
        if let Some(orders) = given {
            say(&format!("{orders} orders add up"));
        }
        let staff = app.staff("staff").await;
        let too_much =
            |line: Value| json!({"lines": [line, {"name": "B", "quantity": 1, "unit_price": 0.01}]});
        for line in [
            json!({"name": "A", "quantity": 1, "unit_price": "90071992547409.91"}),
            json!({"name": "A", "quantity": 1_000_000_000, "unit_price": "90071992547409.91"}),
            json!({"name": "A", "quantity": 1_000_000_000, "unit_price": "90071992.55"}),
        ] {
            staff.post("/orders", too_much(line)).await.problem(422, "validation_failed");
        }
    })
    .await;
}

async fn check_sums(
    staff: &crate::harness::Client<'_>,
    random: &mut Random,
    (currency, decimals): (&str, u32),
) {
    let scale = 10_i64.pow(decimals);
    let mut expected = 0;
    let mut lines = Vec::new();
    for _ in 0..random.between(1, 8) {
        let (quantity, unit) = (random.between(1, 1000), random.between(0, 100_000_000));
        let (whole, rest, width) = (unit / scale, unit % scale, decimals as usize);
        let price = if decimals == 0 { whole.to_string() } else { format!("{whole}.{rest:0width$}") };
        lines.push(json!({"name": "Thing", "quantity": quantity, "unit_price": price}));
        expected += quantity * unit;
    }
    let order = place(staff, json!({"lines": lines, "currency": currency})).await;
    let minor = |amount: &Value| amount.to_string().replace('.', "").parse::<i64>().unwrap();
    let scaled = |amount: &Value| {
        let text = amount.to_string();
        let written = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        minor(amount) * 10_i64.pow(decimals - u32::try_from(written).unwrap().min(decimals))
    };
    let lines = order["lines"].as_array().unwrap();
    let sum: i64 = lines.iter().map(|line| scaled(&line["total_price"])).sum();
    assert_eq!((sum, scaled(&order["total_price"])), (expected, expected), "{order}");
}

#[tokio::test]
async fn a_customer_has_only_so_many_pending_orders() {
    let test = async |database: &TestDatabase| {
        let app = App::with(database, |options| options.max_pending_orders = 2).await;
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let first = place(&ada, laptop()).await;
        place(&ada, laptop()).await;
        ada.post("/orders", laptop()).await.problem(409, "too_many_pending_orders");
        super::step(&ada, &first, "cancel", json!({})).await;
        place(&ada, laptop()).await;
        let mut by_phone = laptop();
        by_phone["user_id"] = ada.id.to_string().into();
        place(&staff, by_phone).await;
        app.customer("bob").await.post("/orders", laptop()).await.expect(201);
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

#[tokio::test]
async fn what_an_order_carries_is_kept_as_sent() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let mut body = laptop();
        let carried = json!({
            "note": "  leave it\nat the door \u{202e}🦀",
            "ship_to": {"name": "Ada", "street": "1 Main St", "big": 12_345_678_901_234_567_890_u64},
            "external_id": "shop-1/ü",
            "metadata": {"a": {"b": [1, 2.50, null]}},
        });
        for (name, value) in carried.as_object().unwrap() {
            body[name] = value.clone();
        }
        let order = place(&ada, body).await;
        for (name, value) in carried.as_object().unwrap() {
            assert_eq!(order[name], *value, "{name}");
        }
        let mut nulls = laptop();
        for name in ["note", "ship_to", "external_id", "metadata", "currency"] {
            nulls[name] = Value::Null;
        }
        let order = place(&ada, nulls).await;
        assert_eq!(
            (&order["note"], &order["metadata"], &order["currency"]),
            (&Value::Null, &json!({}), &json!("USD"))
        );
        let mut wrong = laptop();
        wrong["note"] = "x".repeat(10_001).into();
        wrong["product_name"] = "x".repeat(201).into();
        wrong["ship_to"] = 1.into();
        wrong["external_id"] = "x".repeat(201).into();
        wrong["metadata"] = json!({"x": "x".repeat(16 * 1024)});
        let mut fields = ada.post("/orders", wrong).await.problem(422, "validation_failed").faulty_fields();
        fields.sort();
        assert_eq!(fields, ["external_id", "metadata", "note", "product_name", "ship_to"]);
    })
    .await;
}

#[tokio::test]
async fn the_largest_order_is_read_back_whole() {
    each_app(async |app| {
        let line = |number: u32| json!({"name": format!("Part {number}"), "quantity": 1, "unit_price": 1});
        let body = json!({
            "lines": (0..500).map(line).collect::<Vec<_>>(),
            "currency": "JPY",
            "note": "x".repeat(10_000),
            "ship_to": {"street": "x".repeat(2_000)},
            "metadata": {"x": "x".repeat(16 * 1024 - 8)},
        });
        let admin = app.admin("root").await;
        let placed = admin.post("/orders", body.clone()).await.expect(201);
        let order = admin.get(placed.header("location")).await.expect(200).json();
        for name in ["note", "ship_to", "metadata", "currency"] {
            assert_eq!(order[name], body[name], "{name}");
        }
        let names = |order: &Value| -> Vec<Value> {
            order["lines"].as_array().unwrap().iter().map(|line| line["name"].clone()).collect()
        };
        assert_eq!(names(&order), names(&body));
        assert_eq!(order, placed.json());
    })
    .await;
}
