//! Categories and reason codes.

use serde_json::json;

use super::{adjust, each, items, product};
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
