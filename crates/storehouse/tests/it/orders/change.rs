//! `PUT /orders/{id}` and `PATCH`

use http::Method;
use serde_json::{Value, json};

use super::{laptop, path, place, step, two_lines, view};
use crate::harness::each_app;
use crate::harness::goods::Goods;

#[tokio::test]
async fn put_and_patch_change_what_is_named() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        for method in [Method::PUT, Method::PATCH] {
            let order = place(&ada, laptop()).await;
            let change = json!({"note": "a note", "metadata": {"k": 1}});
            let changed =
                ada.request(method.clone(), &path(&order, "")).json(&change).send().await.expect(200);
            assert_eq!(changed.header("etag"), "\"2\"");
            let mut expected = order.clone();
            for (name, value) in
                [("note", json!("a note")), ("metadata", json!({"k": 1})), ("version", json!(2))]
            {
                expected[name] = value;
            }
            expected["updated_at"] = changed.json()["updated_at"].clone();
            assert_eq!(changed.json(), expected);
            let cleared = json!({"note": null, "metadata": null});
            let cleared =
                ada.request(method, &path(&order, "")).json(&cleared).send().await.expect(200).json();
            assert_eq!((&cleared["note"], &cleared["metadata"]), (&Value::Null, &json!({})));
        }
    })
    .await;
}

#[tokio::test]
async fn what_can_not_be_null_or_changed_is_refused() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let order = place(&ada, laptop()).await;
        let nulls = json!({"product_name": null, "quantity": null, "total_price": null, "status": null, "lines": null});
        let mut fields = ada.put(&path(&order, ""), nulls).await.problem(422, "validation_failed").faulty_fields();
        fields.sort();
        assert_eq!(fields, ["lines", "product_name", "quantity", "status", "total_price"]);
        let unknown = json!({"user_id": ada.id, "number": 1, "currency": "EUR", "payment_status": "paid"});
        ada.put(&path(&order, ""), unknown).await.problem(422, "unknown_field");
        assert_eq!(view(&ada, &order).await, order);
    })
    .await;
}

#[tokio::test]
async fn a_free_text_order_is_rewritten_while_pending() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let order = place(&ada, laptop()).await;
        let change = json!({"product_name": "Desk", "quantity": 7, "total_price": "50.00"});
        let changed = ada.put(&path(&order, ""), change).await.expect(200).json();
        assert_eq!((&changed["product_name"], &changed["quantity"]), (&json!("Desk"), &json!(7)));
        assert_eq!(
            (&changed["total_price"], &changed["lines"][0]["unit_price"]),
            (&json!(50.0), &Value::Null)
        );
        assert_eq!(changed["lines"][0]["id"], order["lines"][0]["id"]);
        let finer = json!({"total_price": 1.001});
        let problem = ada.put(&path(&order, ""), finer).await.problem(422, "validation_failed");
        assert_eq!(problem.faulty_fields(), ["total_price"]);
        let confirmed = step(&staff, &order, "confirm", json!({})).await;
        Goods::new("LICENCE", 1).add_to(&app.db).await;
        for change in [
            json!({"quantity": 1}),
            json!({"total_price": 1}),
            json!({"product_name": "A"}),
            json!({"lines": [{"sku": "LICENCE", "quantity": 1}]}),
        ] {
            let problem = ada.put(&path(&order, ""), change).await.expect(409).json();
            assert_eq!(problem["allowed_transitions"], json!(["cancel"]));
        }
        assert_eq!(view(&staff, &order).await, confirmed);
        ada.put(&path(&order, ""), json!({"note": "still possible"})).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a_price_that_staff_named_is_not_its_owners_to_change() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        Goods::new("LICENCE", 1).add_to(&app.db).await;
        let by_phone = json!({"user_id": ada.id, "product_name": "Desk", "quantity": 1, "total_price": 500});
        let quoted = place(&ada, laptop()).await;
        staff.put(&path(&quoted, ""), json!({"total_price": 500})).await.expect(200);
        for order in [place(&staff, by_phone).await, quoted] {
            let path = path(&order, "");
            ada.put(&path, json!({"total_price": 0})).await.problem(409, "order_not_free_text");
            ada.put(&path, json!({"note": "thanks"})).await.expect(200);
            let lines = json!({"lines": [{"sku": "LICENCE", "quantity": 1}]});
            let changed = ada.put(&path, lines).await.expect(200).json();
            let names: Vec<&Value> =
                changed["lines"].as_array().unwrap().iter().map(|line| &line["name"]).collect();
            assert_eq!(names, [&json!("Thing LICENCE"), &order["lines"][0]["name"]]);
            assert_eq!(changed["lines"][1]["total_price"], 500.0);
            let lines = json!({"lines": [{"name": "Desk", "quantity": 1, "unit_price": 500}]});
            staff.put(&path, lines).await.expect(200);
            let lower = staff.put(&path, json!({"total_price": 450})).await.expect(200).json();
            assert_eq!(lower["total_price"], 450.0);
        }
        let own = place(&ada, laptop()).await;
        staff.put(&path(&own, ""), json!({"product_name": "Laptop, grey"})).await.expect(200);
        ada.put(&path(&own, ""), json!({"quantity": 2})).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn staff_rewrite_lines_while_pending() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let order = place(&staff, two_lines()).await;
        staff.put(&path(&order, ""), json!({"quantity": 1})).await.problem(409, "order_not_free_text");
        let lines = json!({"lines": [{"name": "Chair", "quantity": 4, "unit_price": 25}]});
        let changed = staff.put(&path(&order, ""), lines.clone()).await.expect(200).json();
        assert_eq!((&changed["total_price"], &changed["quantity"]), (&json!(100.0), &json!(4)));
        assert_eq!(changed["lines"].as_array().unwrap().len(), 1);
        assert_eq!(view(&staff, &order).await, changed);
        let mut both = lines;
        both["quantity"] = 1.into();
        staff.put(&path(&order, ""), both).await.problem(422, "validation_failed");
        let stock = json!({"lines": [{"sku": "A", "quantity": 1}]});
        let problem = staff.put(&path(&order, ""), stock).await.problem(422, "validation_failed");
        assert_eq!(problem.faulty_fields(), ["lines[0].sku"]);
        assert_eq!(view(&staff, &order).await, changed);
    })
    .await;
}

#[tokio::test]
async fn a_status_word_takes_its_step_on_all_that_is_open() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let order = place(&staff, two_lines()).await;
        let set = async |word: &str| staff.put(&path(&order, ""), json!({"status": word})).await;
        for (word, status, fulfilment, payment) in [
            ("on_hold", "", "", ""),
            ("confirmed", "confirmed", "none", "none"),
            ("on_hold", "on_hold", "none", "none"),
            ("confirmed", "confirmed", "none", "none"),
            ("shipped", "confirmed", "fulfilled", "none"),
            ("paid", "confirmed", "fulfilled", "paid"),
            ("delivered", "completed", "delivered", "paid"),
            ("returned", "completed", "returned", "paid"),
            ("cancelled", "", "", ""),
        ] {
            let before = view(&staff, &order).await;
            let answer = set(word).await;
            if status.is_empty() {
                answer.problem(409, "illegal_transition");
                assert_eq!(view(&staff, &order).await, before);
                continue;
            }
            let after = answer.expect(200).json();
            assert_eq!(
                (&after["status"], &after["fulfilment_status"], &after["payment_status"]),
                (&json!(status), &json!(fulfilment), &json!(payment)),
                "{word}"
            );
            let problem = set(word).await.problem(409, "illegal_transition");
            assert_eq!(problem.json()["allowed_transitions"], after["allowed_transitions"], "{word} again");
        }
    })
    .await;
}

#[tokio::test]
async fn an_unknown_status_is_422_and_the_present_one_409() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let order = place(&ada, laptop()).await;
        let set = async |client: &crate::harness::Client<'_>, word: &str| {
            client.put(&path(&order, ""), json!({"status": word})).await
        };
        let present = set(&ada, "pending").await.problem(409, "illegal_transition");
        assert_eq!(present.json()["allowed_transitions"], json!(["cancel"]));
        for word in ["completed", "expired", "Confirmed", "lost", ""] {
            assert_eq!(
                set(&ada, word).await.problem(422, "validation_failed").faulty_fields(),
                ["status"],
                "{word}"
            );
        }
        for word in ["confirmed", "on_hold", "shipped", "delivered", "returned", "paid"] {
            set(&ada, word).await.problem(403, "forbidden");
        }
        assert_eq!(view(&ada, &order).await, order);
        assert_eq!(set(&ada, "cancelled").await.expect(200).json()["status"], "cancelled");
        set(&ada, "cancelled").await.problem(409, "illegal_transition");
        set(&staff, "pending").await.problem(422, "validation_failed");
    })
    .await;
}

#[tokio::test]
async fn strangers_find_nothing() {
    each_app(async |app| {
        let (ada, eve) = (app.customer("ada").await, app.customer("eve").await);
        let order = place(&ada, laptop()).await;
        for target in
            [path(&order, ""), format!("/orders/{}", kit::clock::new_id()), "/orders/none".to_owned()]
        {
            eve.get(&target).await.problem(404, "not_found");
            eve.put(&target, json!({"note": "mine"})).await.problem(404, "not_found");
            eve.put(&target, json!({"bad": "field"})).await.problem(404, "not_found");
            eve.delete(&target).await.problem(404, "not_found");
            eve.get(&format!("{target}/history")).await.problem(404, "not_found");
            for step in ["confirm", "cancel", "pay"] {
                eve.post(&format!("{target}/{step}"), json!({})).await.problem(404, "not_found");
            }
        }
        assert_eq!(view(&ada, &order).await, order);
    })
    .await;
}
