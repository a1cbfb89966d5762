//! Hostile texts: each is taken as the text that it is, or refused.

use http::Method;
use serde_json::{Value, json};

use crate::contract::each_operation;
use crate::harness::{Client, each_app};

/// What would change a statement, a pattern or a search if it weren't bound.
const STATEMENTS: &[&str] = &[
    "'",
    "\"",
    "' OR '1'='1",
    "'; DROP TABLE accounts; --",
    "x' union select password_hash from accounts --",
    "1; select pg_sleep(9)",
    "/* */",
    "--",
    "%",
    "_",
    "a%' ESCAPE '",
    "\\",
    "$1",
    "?1",
    "NEAR(a b)",
    "a OR b*",
    "^a : (b)",
];

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// In every parameter, path, precondition and key: the answer is one that any text gets, and nothing changes.
#[tokio::test]
async fn i01_no_text_becomes_a_part_of_a_statement() {
    each_operation(async |stage, operation, door, findings| {
        let caller = stage.caller(operation);
        for text in STATEMENTS {
            let (plain, text) = (*text, encoded(text));
            let mut addresses = vec![format!("{}?{text}=1", stage.address(&operation.path))];
            for parameter in operation.parameters("query") {
                let name = parameter["name"].as_str().unwrap();
                addresses.push(format!("{}?{name}={text}", stage.address(&operation.path)));
            }
            if operation.path.contains('{') {
                addresses.push(operation.address_of(&text));
            }
            for address in addresses {
                // A body that is none, so that what is asked for is never done.
                let call = caller
                    .request(operation.method.clone(), &address)
                    .to(door)
                    .header("if-none-match", plain);
                let is_read = operation.method == Method::GET;
                let answer =
                    if is_read { call.send().await } else { call.raw("text/plain", plain).send().await };
                let is_told = matches!(answer.status.as_u16(), 200 | 400 | 404 | 415);
                findings.check(is_told, || format!("{} {plain}: {}", answer.what, answer.status));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn i01_what_looks_like_a_statement_is_stored_and_found_as_it_is() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        for (number, text) in STATEMENTS.iter().enumerate() {
            let name = format!("{text} thing{number}");
            let product = json!({"sku": format!("S{number}"), "name": name, "unit_price": 1, "description": text, "metadata": {*text: text}});
            let made = staff.post("/products", product).await.expect(201).json();
            assert_eq!((&made["name"], &made["metadata"][*text]), (&json!(name), &json!(text)));
            let path = format!("/products?q=thing{number}%20{}", encoded(text));
            let found = staff.get(&path).await.expect(200).json();
            let names: Vec<&Value> = found["items"].as_array().unwrap().iter().map(|item| &item["name"]).collect();
            assert_eq!(names, [&json!(name)], "{path}");
            staff.post("/products", json!({*text: 1})).await.problem(422, "validation_failed");
        }
        let all = staff.get("/products?count=exact").await.expect(200).json();
        assert_eq!(all["total"], STATEMENTS.len());
    })
    .await;
}

/// The API's part of it: whatever is stored comes back as JSON that says so, which no browser draws as a page.
#[tokio::test]
async fn i02_markup_comes_back_as_json() {
    each_app(async |app| {
        let (staff, admin) = (app.staff("staff").await, app.admin("boss").await);
        for markup in [
            "<img src=x onerror=alert(1)>",
            "<svg/onload=alert(1)>",
            "javascript:alert(1)",
            "</script><script>alert(1)</script>",
        ] {
            let product = json!({"sku": format!("M{}", markup.len()), "name": markup, "unit_price": 1});
            let path = staff.post("/products", product).await.expect(201).header("location").to_owned();
            let me = format!("/users/{}", admin.id);
            admin.put(&me, json!({"full_name": markup, "address": markup})).await.expect(200);
            for path in [
                &*path,
                "/products",
                &me,
                "/users",
                &format!("/products?sort={}", encoded(markup)),
                &format!("/{}", encoded(markup)),
            ] {
                let answer = admin.request(Method::GET, path).header("accept", "text/html").send().await;
                let kind = answer.header("content-type");
                assert!(matches!(kind, "application/json" | "application/problem+json"), "{path}: {kind}");
                // As text of JSON it is harmless; a problem doesn't repeat it at all.
                assert!(answer.status == 200 || !answer.text().contains(markup), "{path}: {}", answer.text());
            }
        }
    })
    .await;
}

/// Free text is stored as it was sent, byte by byte, signs of writing direction too, since names in some scripts need them.
const FREE: &[&str] = &[
    "plain",
    " with blanks around ",
    "tab\tand\r\nlines",
    "Zoë, Zoe\u{308}, ﬁ, Ⅷ",
    "שלום \u{202e}olleh\u{202c} \u{200f}",
    "\u{feff}mark",
    "👩‍👩‍👧 \u{10ffff} \u{fffe}",
    "a\u{2028}b\u{2029}c",
    "\\u0000 \\n \"quoted\"",
];

#[tokio::test]
async fn i09_text_comes_back_as_it_was_sent_or_is_refused() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        for (number, text) in FREE.iter().enumerate() {
            let order = json!({"product_name": text, "quantity": 1, "total_price": 1, "note": text, "ship_to": text, "metadata": {*text: [text]}});
            let fields = ["product_name", "note", "ship_to"];
            same(&ada, "/orders", &order, &fields, text).await;
            let product = json!({"sku": format!("T{number}"), "name": text, "unit_price": 1, "description": text});
            same(&staff, "/products", &product, &["name", "description"], text).await;
            let me = ada.put("/users/me", json!({"full_name": text, "address": text})).await.expect(200).json();
            assert_eq!((&me["full_name"], &me["address"]), (&json!(text), &json!(text)));
        }
        // What names a thing has no character that doesn't show.
        for hidden in ["a\u{202e}b", "a\u{200b}b", "a\u{feff}b", "a\u{2066}b", "a\u{0}b"] {
            for (client, path, body) in [
                (&staff, "/products", json!({"sku": hidden, "name": "a", "unit_price": 1})),
                (&staff, "/categories", json!({"name": hidden})),
                (&staff, "/locations", json!({"code": hidden, "name": "a"})),
                (&app.nobody(), "/auth/register", json!({"email": "x@example.com", "password": "long enough 7", "username": hidden})),
            ] {
                client.post(path, body).await.problem(422, "validation_failed");
            }
        }
        ada.post("/orders", json!({"note": "x".repeat(10_000_000)})).await.problem(413, "body_too_large");
        for query in ["limit=1&limit=2", "limit[]=1", "status[]=pending", "q=%ff", "q=%ed%a0%80", "q=a%00b"] {
            ada.get(&format!("/orders?{query}")).await.problem(400, "invalid_parameter");
        }
    })
    .await;
}

/// Made, and read back, with the text in these fields.
async fn same(client: &Client<'_>, path: &str, body: &Value, fields: &[&str], text: &str) {
    let made = client.post(path, body.clone()).await.expect(201);
    let read = client.get(made.header("location")).await.expect(200).json();
    for answer in [made.json(), read] {
        for field in fields {
            assert_eq!(answer[*field], text, "{path} {field}");
        }
        let metadata = body.get("metadata").filter(|sent| **sent != answer["metadata"]);
        assert!(metadata.is_none(), "{path}: {metadata:?}");
    }
}

#[tokio::test]
async fn i10_a_search_has_a_bound() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        for path in ["/products", "/orders", "/users"] {
            for q in ["x".repeat(7_900), "a ".repeat(3_000).replace(' ', "+")] {
                staff.get(&format!("{path}?q={q}")).await.problem(400, "invalid_parameter");
            }
            let words = |count: usize| (0..count).map(|number| format!("w{number}+")).collect::<String>();
            staff.get(&format!("{path}?q={}", words(16))).await.expect(200);
            // All must match, so none may be dropped.
            let refused =
                staff.get(&format!("{path}?q={}", words(17))).await.problem(400, "invalid_parameter");
            assert_eq!(refused.faulty_fields(), ["q"]);
        }
    })
    .await;
}
