//! Locations: MAIN, others, and those that are in use.

use futures_util::future::join;
use http::Method;
use serde_json::json;

use super::{adjust, check_ledger, each, items, location, path, product};
use crate::harness::each_app;

#[tokio::test]
async fn main_is_there_from_the_start_and_stays() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let listed = items(&staff, "/locations").await;
        assert_eq!((each(&listed, "code"), &listed[0]["priority"]), (vec!["MAIN"], &json!(0)));
        let main = path("locations", &listed[0], "");
        staff.delete(&main).await.problem(409, "main_location");
        staff.put(&main, json!({"code": "FIRST"})).await.problem(409, "main_location");
        let renamed =
            staff.put(&main, json!({"name": "Head office", "code": "MAIN"})).await.expect(200).json();
        assert_eq!((&renamed["name"], &renamed["version"]), (&json!("Head office"), &json!(2)));
    })
    .await;
}

#[tokio::test]
async fn a_location_is_made_changed_and_deleted() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let body = json!({"code": "North 1", "name": "The northern store", "priority": 2});
        let made = staff.post("/locations", body).await.expect(201);
        let north = made.json();
        let address = path("locations", &north, "");
        assert_eq!((made.header("location"), made.header("etag")), (&*address, "\"1\""));
        assert_eq!(staff.get(&address).await.expect(200).json(), north);
        let other = location(&staff, "South").await;
        assert_eq!(other["priority"], 100);
        let taken = json!({"code": "NORTH 1", "name": "x"});
        staff.post("/locations", taken).await.problem(409, "location_taken");
        staff
            .put(&path("locations", &other, ""), json!({"code": "north 1"}))
            .await
            .problem(409, "location_taken");
        let stale =
            staff.request(Method::PUT, &address).header("if-match", "\"2\"").json(&json!({"priority": 1}));
        stale.send().await.problem(412, "stale_version");
        let changed = staff.put(&address, json!({"priority": 0, "code": "NORTH"})).await.expect(200);
        assert_eq!((changed.header("etag"), &changed.json()["priority"]), ("\"2\"", &json!(0)));
        let same = staff.put(&address, json!({})).await.expect(200);
        assert_eq!((same.header("etag"), same.json()), ("\"2\"", changed.json()));
        assert_eq!(each(&items(&staff, "/locations?sort=code").await, "code"), ["MAIN", "NORTH", "South"]);
        for code in ["", " a", "a\u{7}", "0193f000-0000-7000-8000-000000000001"] {
            let refused = staff.post("/locations", json!({"code": code, "name": "x"})).await;
            assert_eq!(refused.problem(422, "validation_failed").faulty_fields(), ["code"], "{code:?}");
        }
        staff.delete(&address).await.expect(204);
        staff.get(&address).await.problem(404, "not_found");
        staff.delete(&address).await.problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_location_that_has_or_had_stock_stays() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        product(&staff, "LAP-1", json!({})).await;
        let b = location(&staff, "B").await;
        adjust(&staff, "LAP-1", "B", "receive", 1).await.expect(201);
        staff.delete(&path("locations", &b, "")).await.problem(409, "location_in_use");
        adjust(&staff, "LAP-1", "b", "count", 0).await.expect(201);
        staff.delete(&path("locations", &b, "")).await.problem(409, "location_in_use");
        let by_id = json!({"sku": "LAP-1", "location": b["id"], "kind": "receive", "quantity": 1});
        staff.post("/stock/adjustments", by_id).await.expect(201);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_is_deleted_or_gets_stock_but_not_both() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        product(&staff, "LAP-1", json!({})).await;
        for round in 0..40 {
            let code = format!("B{round}");
            let address = path("locations", &location(&staff, &code).await, "");
            let (received, deleted) =
                join(adjust(&staff, "LAP-1", &code, "receive", 1), staff.delete(&address)).await;
            match received.status.as_u16() {
                201 => drop(deleted.problem(409, "location_in_use")),
                409 => drop((received.problem(409, "removed_meanwhile"), deleted.expect(204))),
                _ => drop((received.problem(422, "validation_failed"), deleted.expect(204))),
            }
        }
        check_ledger(app).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_is_removed_or_gets_stock_but_not_both() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        for round in 0..40 {
            let sku = format!("P{round}");
            let address = path("products", &product(&staff, &sku, json!({})).await, "");
            let (received, deleted) =
                join(adjust(&staff, &sku, "MAIN", "receive", 1), staff.delete(&address)).await;
            deleted.expect(204);
            let kept = staff.get(&address).await;
            match received.status.as_u16() {
                201 => assert_eq!(kept.expect(200).json()["active"], false),
                409 => drop((received.problem(409, "removed_meanwhile"), kept.expect(404))),
                _ => drop((received.problem(422, "validation_failed"), kept.expect(404))),
            }
        }
        check_ledger(app).await;
    })
    .await;
}
