//! Categories and reason codes.

use serde_json::json;

use super::{adjust, each, items, path, product};
use crate::contract::dump::dump;
use crate::harness::each_app;

#[tokio::test]
async fn categories_are_named_once_and_seen_by_everybody() {
    each_app(async |app| {
        let (staff, ada) = (app.staff("staff").await, app.customer("ada").await);
        for name in ["Lamps", "desks"] {
            staff.post("/categories", json!({"name": name})).await.expect(201);
        }
        staff.post("/categories", json!({"name": "LAMPS"})).await.problem(409, "category_taken");
        ada.post("/categories", json!({"name": "Chairs"})).await.problem(403, "forbidden");
        assert_eq!(each(&items(&ada, "/categories").await, "name"), ["desks", "Lamps"], "newest first");
        assert_eq!(each(&items(&ada, "/categories?sort=name&limit=1").await, "name"), ["desks", "Lamps"]);
        let id = items(&ada, "/categories?sort=name").await[1]["id"].clone();
        let made = product(&staff, "LAMP", json!({"category": id})).await;
        assert_eq!(made["category"], "Lamps");
        for category in ["lamps", id.as_str().unwrap()] {
            let found = items(&ada, &format!("/products?category={category}")).await;
            assert_eq!(each(&found, "sku"), ["LAMP"]);
        }
        assert!(items(&ada, "/products?category=chairs").await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_reason_code_can_be_added_and_given() {
    each_app(async |app| {
        let (staff, ada) = (app.staff("staff").await, app.customer("ada").await);
        product(&staff, "LAP-1", json!({})).await;
        let known = items(&staff, "/reason-codes?limit=3").await;
        let codes = each(&known, "code");
        assert!(codes.len() == 10 && codes.is_sorted() && codes.contains(&"damaged"), "{codes:?}");
        ada.get("/reason-codes").await.problem(403, "forbidden");
        staff
            .post("/reason-codes", json!({"code": "damaged", "description": "x"}))
            .await
            .problem(409, "reason_code_taken");
        let wet = json!({"sku": "LAP-1", "kind": "receive", "quantity": 1, "reason": "wet"});
        staff.post("/stock/adjustments", wet.clone()).await.problem(422, "validation_failed");
        staff.post("/reason-codes", json!({"code": "wet", "description": "Water came in"})).await.expect(201);
        assert_eq!(staff.post("/stock/adjustments", wet).await.expect(201).json()["reason"], "wet");
        let backwards = items(&staff, "/reason-codes?sort=-code&limit=4").await;
        assert_eq!(each(&backwards, "code")[0], "wet");
        adjust(&staff, "LAP-1", "MAIN", "adjust", -1).await.expect(201);
    })
    .await;
}

/// Two codes that look alike are not two.
#[tokio::test]
async fn what_does_not_show_is_in_no_code() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let made = product(&staff, "LAP-1", json!({})).await;
        let before = dump(&app.db).await;
        for hidden in
            ['\u{200b}', '\u{feff}', '\u{202e}', '\u{2066}', '\u{ad}', '\u{85}', '\u{3164}', '\u{e0041}']
        {
            let code = format!("a{hidden}b");
            for (path, body, field) in [
                ("/products", json!({"sku": code, "name": "x", "unit_price": 1}), "sku"),
                ("/products", json!({"sku": "x", "barcode": code, "name": "x", "unit_price": 1}), "barcode"),
                ("/locations", json!({"code": code, "name": "x"}), "code"),
                ("/categories", json!({"name": code}), "name"),
                ("/reason-codes", json!({"code": code, "description": "x"}), "code"),
                ("/stock/adjustments", json!({"sku": code, "kind": "count", "quantity": 0}), "sku"),
                ("/orders", json!({"lines": [{"sku": code, "quantity": 1}]}), "lines[0].sku"),
            ] {
                let refused = staff.post(path, body).await.problem(422, "validation_failed");
                assert_eq!(refused.faulty_fields(), [field], "{hidden:?} to {path}");
            }
            for field in ["sku", "barcode"] {
                let refused = staff.put(&path("products", &made, ""), json!({field: code})).await;
                assert_eq!(refused.problem(422, "validation_failed").faulty_fields(), [field], "{hidden:?}");
            }
        }
        assert_eq!(dump(&app.db).await, before);
        product(&staff, "Ä-漢字 é", json!({"barcode": "ß 1"})).await;
    })
    .await;
}
