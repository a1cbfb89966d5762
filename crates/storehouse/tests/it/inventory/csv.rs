//! Products and counts as CSV files: out, in again, and everything that can be wrong with a file.

use std::fmt::Write as _;

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::join;
use futures_util::stream;
use http::Method;
use serde_json::{Value, json};

use super::{adjust, check_ledger, items, location, product};
use crate::contract::dump::dump;
use crate::harness::goods::check_stock;
use crate::harness::{Answer, App, Client, Random, TestDatabase, each_app, each_engine, each_shape};

/// How many rows a long file has: fewer in an ordinary run than the 100,000 that `STOREHOUSE_ROWS=100000` makes it.
fn rows() -> usize {
    std::env::var("STOREHOUSE_ROWS").map_or(3_000, |rows| rows.parse().unwrap())
}

pub(super) async fn import(staff: &Client<'_>, path: &str, file: impl Into<Body>) -> Answer {
    staff.request(Method::POST, path).raw("text/csv", file).send().await
}

async fn export(staff: &Client<'_>, path: &str) -> String {
    let answer = staff.get(path).await.expect(200);
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert!(answer.header("content-disposition").starts_with("attachment; filename=\""), "{path}");
    answer.text()
}

fn counts(answer: &Answer) -> [i64; 4] {
    ["rows", "created", "changed", "unchanged"].map(|name| answer.json()[name].as_i64().unwrap())
}

/// Each fault as its place and its code.
fn faults(answer: &Answer) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let body = answer.json();
    body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (text(&fault["field"]), text(&fault["code"])))
        .collect()
}

/// Texts that are not for the faint of heart.
const HOSTILE: [&str; 18] = [
    "plain",
    "a,b",
    "a;b\tc",
    "say \"hi\"",
    "\"",
    "two\nlines",
    "two\r\nlines\r",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "'=1",
    "''=1",
    "'quoted'",
    "＝1+1",
    "😀 \u{202e}txet",
    " padded ",
];

async fn hostile_products(staff: &Client<'_>) {
    for (index, text) in HOSTILE.iter().enumerate() {
        let label = text.trim().replace(['\t', '\n', '\r', '\u{202e}'], " ").replace("  ", " ");
        let (sku, label) = (format!("-{index}"), format!("{label} {index}"));
        let body = json!({
            "sku": sku, "name": text, "description": text, "external_id": text, "barcode": format!("={index}"), "unit_price": "0.10",
            "attributes": {(*text): [text, 1.50, null]}, "metadata": {"=": text}, "active": index % 2 == 0
        });
        staff.post("/products", body).await.expect(201);
        staff.post("/categories", json!({"name": label})).await.expect(201);
        staff
            .put(&format!("/products/{}", id_of(staff, &sku).await), json!({"category": label}))
            .await
            .expect(200);
    }
    let full = json!({
        "unit_cost": "3.999", "currency": "BHD", "unit_price": "12.345", "track_stock": false, "backorder_limit": 7, "reorder_point": 0,
        "reorder_quantity": 9
    });
    product(staff, "Lamp 7", full).await;
}

async fn id_of(staff: &Client<'_>, sku: &str) -> String {
    let found = staff.get(&format!("/products/by-sku/{sku}")).await.expect(200).json();
    found["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn i03_what_was_exported_is_imported_as_it_was() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let first = App::new(database).await;
        let staff = first.staff("staff").await;
        hostile_products(&staff).await;
        for code in ["=B", "'a"] {
            location(&staff, code).await;
            adjust(&staff, "-3", code, "receive", 5).await.expect(201);
        }
        adjust(&staff, "-3", "MAIN", "receive", 7).await.expect(201);
        adjust(&staff, "-4", "=B", "count", 0).await.expect(201);
        let files = [export(&staff, "/products.csv").await, export(&staff, "/stock.csv").await];
        check_inert(&files[0]);
        let second = TestDatabase::new(database.engine, storehouse::migrations::MIGRATIONS).await;
        let second = App::new(&second).await;
        let staff = second.staff("staff").await;
        // Made in another order, so that their ids are in another one too.
        for code in ["'a", "=B"] {
            location(&staff, code).await;
        }
        let made = import(&staff, "/products/import", files[0].clone()).await.expect(200);
        assert_eq!(counts(&made), [19, 19, 0, 0]);
        assert_eq!(made.json()["new_categories"], HOSTILE.len());
        assert_eq!(
            counts(&import(&staff, "/stock/import", files[1].clone()).await.expect(200)),
            [22, 3, 1, 18]
        );
        assert_eq!([export(&staff, "/products.csv").await, export(&staff, "/stock.csv").await], files);
        let again = import(&staff, "/products/import", files[0].clone()).await.expect(200);
        assert_eq!(counts(&again), [19, 0, 0, 19], "nothing is new in it");
        assert_eq!(
            counts(&import(&staff, "/stock/import", files[1].clone()).await.expect(200)),
            [22, 0, 0, 22]
        );
        for text in ["two%20lines", "say"] {
            assert!(!items(&staff, &format!("/products?q={text}")).await.is_empty(), "{text} is found");
        }
        check_ledger(&second).await;
    })
    .await;
}

/// No cell begins like a formula, as any spreadsheet would read it.
fn check_inert(file: &str) {
    let mut reader = csv::Reader::from_reader(file.as_bytes());
    for record in reader.records() {
        for cell in &record.unwrap() {
            let begins = cell
                .trim_start_matches(' ')
                .starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
            assert!(!begins, "{cell:?}");
        }
    }
}

#[tokio::test]
async fn only_named_columns_change_and_empty_cells_clear_what_may_be_empty() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        product(
            &staff,
            "Lamp",
            json!({"description": "It shines", "reorder_point": 3, "backorder_limit": 2}),
        )
        .await;
        let file = "REORDER_POINT,sku,description,name,active,backorder_limit\n5,LAMP,,,,4\n";
        assert_eq!(counts(&import(&staff, "/products/import", file).await.expect(200)), [1, 0, 1, 0]);
        let shown = staff.get("/products/by-sku/lamp").await.expect(200).json();
        let expected = json!(["LAMP", "The Lamp", null, 5, 4, true, 2, 4]);
        let names = ["sku", "name", "description", "reorder_point", "backorder_limit", "active", "version"];
        let mut found: Vec<Value> = names.iter().map(|name| shown[*name].clone()).collect();
        found.push(shown["stock"]["available"].clone());
        assert_eq!(Value::Array(found), expected);
        let refused = import(&staff, "/products/import", "sku,unit_price\nNEW,\n")
            .await
            .problem(422, "validation_failed");
        let expected = ["row 2, column name", "row 2, column unit_price"]
            .map(|place| (place.to_owned(), "required".to_owned()));
        assert_eq!(faults(&refused), expected);
    })
    .await;
}

#[tokio::test]
async fn i04_all_that_is_wrong_with_a_file_is_told_at_once_and_nothing_changes() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        product(&staff, "LAMP", json!({"barcode": "b1"})).await;
        adjust(&staff, "LAMP", "MAIN", "receive", 1).await.expect(201);
        let before = dump(&app.db).await;
        let file = "sku,name,unit_price,barcode,currency,attributes,reorder_point,active,category\n\
                    LAMP,,-1,,JPY,{,0.5,ja,\n\
                    \"two\nlines\",A,1,b1,USD,[],x,true,\n\
                    \n\
                    N1,,1e5,b2,XXX,,,,0193f000-0000-7000-8000-000000000001\n\
                    n1,B,1.001,b2,USD,{},1,false,Lamps\n\
                    N2,C\n\
                    LAMP,,5,,JPY,,,,\n";
        let refused = import(&staff, "/products/import", file).await.problem(422, "validation_failed");
        let found = faults(&refused);
        let expected = [
            ("row 2, column unit_price", "invalid_amount"),
            ("row 2, column attributes", "malformed_json"),
            ("row 2, column reorder_point", "invalid_quantity"),
            ("row 2, column active", "invalid_type"),
            ("row 3, column sku", "invalid_sku"),
            ("row 3, column attributes", "invalid_type"),
            ("row 3, column reorder_point", "invalid_quantity"),
            ("row 5, column name", "required"),
            ("row 5, column unit_price", "invalid_amount"),
            ("row 5, column currency", "invalid_currency"),
            ("row 6, column unit_price", "invalid_amount"),
            ("row 6, column sku", "duplicate_row"),
            ("row 6, column barcode", "duplicate_row"),
            ("row 7", "wrong_cells"),
            ("row 8, column sku", "duplicate_row"),
        ];
        for (place, code) in expected {
            assert!(
                found.contains(&(place.to_owned(), code.to_owned())),
                "{place} {code} is not in {found:#?}"
            );
        }
        assert_eq!(refused.json()["error_count"], found.len());
        for (file, place, code) in [
            ("sku,currency,unit_price\nLAMP,JPY,5\n", "row 2, column currency", "product_has_history"),
            ("sku,name,unit_price,barcode\nNEW,New,1,b1\n", "row 2, column barcode", "barcode_taken"),
            (
                "sku,name,unit_price,category\nNEW,New,1,0193f000-0000-7000-8000-000000000001\n",
                "row 2, column category",
                "invalid_value",
            ),
            ("sku,prize\nLAMP,1\n", "row 1, column prize", "unknown_field"),
            ("sku,id\nLAMP,1\n", "row 1, column id", "unknown_field"),
        ] {
            let refused = import(&staff, "/products/import", file).await.expect(422);
            assert_eq!(faults(&refused), [(place.to_owned(), code.to_owned())], "{file}");
        }
        assert_eq!(dump(&app.db).await, before);
    })
    .await;
}

#[tokio::test]
async fn all_that_is_wrong_with_counts_is_told_at_once_and_nothing_changes() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        product(&staff, "LAMP", json!({})).await;
        let before = dump(&app.db).await;
        let file =
            "sku,location,on_hand,reason\nNONE,NOWHERE,-1,whim\nLAMP,,0.5,\nLAMP,main,1,\n,,,\n,MAIN,1,\n";
        let refused = import(&staff, "/stock/import", file).await.problem(422, "validation_failed");
        let expected = [
            ("row 2, column on_hand", "invalid_quantity"),
            ("row 2, column sku", "unknown_product"),
            ("row 2, column location", "unknown_location"),
            ("row 2, column reason", "unknown_reason"),
            ("row 3, column on_hand", "invalid_quantity"),
            ("row 4, column sku", "duplicate_row"),
            ("row 6, column sku", "required"),
        ];
        assert_eq!(faults(&refused), expected.map(|(place, code)| (place.to_owned(), code.to_owned())));
        assert_eq!(dump(&app.db).await, before);
    })
    .await;
}

#[tokio::test]
async fn i04_one_bad_row_in_a_long_file_changes_nothing_and_is_named() {
    each_app(async |app| {
        let (staff, rows) = (app.staff("staff").await, rows());
        let mut file = "sku,name,unit_price,category\n".to_owned();
        for row in 0..rows {
            writeln!(file, "SKU-{row},Lamp {row},9.99,Lamps").unwrap();
        }
        let before = dump(&app.db).await;
        let bad = file.replace(&format!("Lamp {},9.99", rows - 2), "Lamp,9.999");
        let refused = import(&staff, "/products/import", bad).await.problem(422, "validation_failed");
        assert_eq!(faults(&refused), [(format!("row {rows}, column unit_price"), "invalid_amount".to_owned())]);
        assert_eq!(dump(&app.db).await, before);
        let all_bad = file.replace("9.99", "x");
        let refused = import(&staff, "/products/import", all_bad).await.problem(422, "validation_failed");
        assert_eq!((faults(&refused).len(), &refused.json()["error_count"]), (1_000.min(rows), &json!(rows)));
        let dry = import(&staff, "/products/import?dry_run=true", file.clone()).await.expect(200);
        let rows_made = i64::try_from(rows).unwrap();
        assert_eq!((counts(&dry), &dry.json()["dry_run"]), ([rows_made, rows_made, 0, 0], &json!(true)));
        assert_eq!(dump(&app.db).await, before);
        let made = import(&staff, "/products/import", file).await.expect(200);
        assert_eq!(made.json(), json!({"rows": rows, "created": rows, "changed": 0, "unchanged": 0, "new_categories": 1, "dry_run": false}));
        let mut counted = "sku,on_hand,reason\n".to_owned();
        for row in 0..rows {
            writeln!(counted, "SKU-{row},{row},recount").unwrap();
        }
        let made = import(&staff, "/stock/import", counted).await.expect(200);
        assert_eq!(counts(&made), [rows_made, 0, rows_made - 1, 1]);
        check_ledger(app).await;
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_too_large_or_broken_off_changes_nothing() {
    each_shape(async |app| {
        let staff = app.staff("staff").await;
        let before = dump(&app.db).await;
        for path in ["/products/import", "/stock/import"] {
            for door in ["gateway", "inventory"] {
                let large = Bytes::from(vec![b'x'; 64 * 1024 * 1024 + 1]);
                let answer = staff.request(Method::POST, path).to(door).raw("text/csv", large).send().await;
                let refused = answer.problem(413, "body_too_large");
                assert_eq!(refused.json()["detail"], "The body is larger than 64 MiB, which is the most.");
            }
        }
        let parts =
            [Ok("sku,name,unit_price\nL-1,Lamp,1\n"), Err(std::io::Error::other("the client has gone"))];
        let broken = Body::from_stream(stream::iter(parts));
        import(&staff, "/products/import", broken).await.problem(400, "incomplete_body");
        assert_eq!(dump(&app.db).await, before);
        // Larger than any other body may be.
        let mut file = "sku,name,unit_price,description\n".to_owned();
        for number in 0..300 {
            writeln!(file, "L-{number},Lamp,1,{}", "x".repeat(9_000)).unwrap();
        }
        assert_eq!(counts(&import(&staff, "/products/import", file).await.expect(200)), [300, 300, 0, 0]);
        assert_eq!(export(&staff, "/products.csv").await.lines().count(), 301);
    })
    .await;
}

#[tokio::test]
async fn a_repeated_import_is_done_once() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let send = async |path: &str, file: &'static str| {
            let request = staff.request(Method::POST, path).header("idempotency-key", "one");
            request.raw("text/csv", file).send().await
        };
        let file = "sku,name,unit_price\nL-1,Lamp,1\n";
        let first = send("/products/import", file).await.expect(200);
        staff
            .put(&format!("/products/{}", id_of(&staff, "L-1").await), json!({"name": "Other"}))
            .await
            .expect(200);
        let again = send("/products/import", file).await.expect(200);
        assert_eq!((again.body.clone(), again.header("idempotent-replayed")), (first.body, "true"));
        assert_eq!(staff.get("/products/by-sku/L-1").await.json()["name"], "Other");
        send("/products/import", "sku,nonsense\n").await.problem(422, "idempotency_key_reused");
        send("/stock/import", file).await.problem(422, "idempotency_key_reused");
    })
    .await;
}

#[tokio::test]
async fn counts_beside_orders_keep_the_ledger() {
    each_app(async |app| {
        let (staff, ada) = (app.staff("staff").await, app.customer("ada").await);
        let mut file = "sku,on_hand\n".to_owned();
        for number in 0..200 {
            writeln!(file, "L-{number},20").unwrap();
        }
        let products = file.replace("on_hand", "name,unit_price,backorder_limit").replace(",20", ",Lamp,1,50");
        import(&staff, "/products/import", products.clone()).await.expect(200);
        let mut random = Random::new();
        let wishes: Vec<usize> = (0..60).map(|_| random.below(200)).collect();
        let buy = async {
            for wish in wishes {
                let lines = json!([{"sku": format!("L-{wish}"), "quantity": 2}, {"sku": format!("L-{}", (wish + 7) % 200), "quantity": 1}]);
                let order = ada.post("/orders", json!({"lines": lines})).await.expect(201).json();
                let path = format!("/orders/{}", order["id"].as_str().unwrap());
                staff.post(&format!("{path}/confirm"), json!({})).await.expect(200);
                staff.post(&format!("{path}/ship"), json!({})).await;
            }
        };
        let count = async {
            for round in 0..6 {
                let file = file.replace(",20", &format!(",{}", 20 + round));
                import(&staff, "/stock/import", file).await.expect(200);
                let limits = products.replace(",50", &format!(",{}", 60 + round));
                import(&staff, "/products/import", limits).await.expect(200);
            }
        };
        join(buy, count).await;
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn an_export_beside_writers_has_each_row_whole() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let mut file = "sku,name,description,unit_price\n".to_owned();
        for number in 0..1_200 {
            writeln!(file, "L-{number},0,0,1").unwrap();
        }
        import(&staff, "/products/import", file.clone()).await.expect(200);
        let write = async {
            for round in 1..4 {
                let file = file.replace(",0,0,", &format!(",{round},{round},"));
                import(&staff, "/products/import", file).await.expect(200);
            }
        };
        let read = async {
            for _ in 0..4 {
                let text = export(&staff, "/products.csv").await;
                let mut reader = csv::Reader::from_reader(text.as_bytes());
                let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
                assert_eq!(rows.len(), 1_200, "each is there once");
                for (number, row) in rows.iter().enumerate() {
                    assert_eq!((&row[0], &row[1]), (&*format!("L-{number}"), &row[2]));
                }
            }
        };
        join(write, read).await;
    })
    .await;
}

#[tokio::test]
async fn files_are_filtered_as_lists_are() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        product(&staff, "A-1", json!({"active": false})).await;
        let second = product(&staff, "B-1", json!({})).await;
        location(&staff, "SHOP").await;
        adjust(&staff, "B-1", "SHOP", "receive", 4).await.expect(201);
        adjust(&staff, "A-1", "MAIN", "receive", 3).await.expect(201);
        let first_cells = |text: String| -> Vec<String> {
            text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect()
        };
        for (path, expected) in [
            ("/products.csv", &["A-1", "B-1"][..]),
            ("/products.csv?active=true", &["B-1"]),
            ("/products.csv?q=a", &["A-1"]),
            ("/stock.csv", &["A-1", "B-1", "B-1"]),
            (&format!("/stock.csv?product_id={}", second["id"].as_str().unwrap()), &["B-1", "B-1"]),
        ] {
            assert_eq!(first_cells(export(&staff, path).await), expected, "{path}");
        }
        let movements = export(&staff, "/stock/movements.csv?kind=receive").await;
        let second_line = movements.lines().nth(1).unwrap();
        assert!(second_line.contains(",B-1,SHOP,receive,4,0,0,4,0,,USD,,adjustment,"), "{movements}");
        let figures = export(&staff, "/stock.csv?figures=true&bom=true").await;
        let line = "B-1,The B-1,SHOP,4,0,0,4,";
        assert!(figures.starts_with("\u{feff}sku,name,") && figures.contains(line), "{figures}");
        import(&staff, "/stock/import", figures).await.expect(422);
    })
    .await;
}
