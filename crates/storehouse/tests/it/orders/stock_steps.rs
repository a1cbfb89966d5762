//! What changes and steps do with stock, and pending orders that expire.

use std::sync::Arc;
use std::time::Duration;

use ::db::Db;
use ::stock::{Change, Kind, MAIN};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use storehouse::system::Options;

use super::stock::{of, short};
use super::{laptop, path, place, step, view};
use crate::harness::goods::{Goods, add_location, adjust, check_stock, ledger, level};
use crate::harness::{App, Client, TestDatabase, each_app, each_engine, eventually};

/// The kinds of the ledger's last rows, and whose step they were.
async fn last_kinds(app: &App, count: usize) -> Vec<(Kind, i64)> {
    let rows = ledger(&app.db).await;
    rows[rows.len() - count..].iter().map(|row| (row.kind, row.cause.step)).collect()
}

#[tokio::test]
async fn lines_that_change_hold_other_stock_or_all_stays() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let a = Goods::new("A", 5).add_to(&app.db).await;
        let b = Goods::new("B", 5).add_to(&app.db).await;
        let held = async || [level(&app.db, a, MAIN).await[1], level(&app.db, b, MAIN).await[1]];
        let order = place(&ada, of(&[("A", 3)])).await;
        let put = async |lines: &[(&str, i64)]| ada.put(&path(&order, ""), of(lines)).await;
        let changed = put(&[("A", 5), ("B", 1)]).await.expect(200).json();
        assert_eq!((held().await, &changed["total_price"]), ([5, 1], &json!(59.94)));
        let rows = ledger(&app.db).await.len();
        short(put(&[("A", 6), ("B", 1)]).await, &[("A", 6, 5)]);
        short(put(&[("B", 6)]).await, &[("B", 6, 5)]);
        assert_eq!((held().await, ledger(&app.db).await.len()), ([5, 1], rows));
        assert_eq!(view(&ada, &order).await, changed);
        put(&[("B", 2)]).await.expect(200);
        assert_eq!(held().await, [0, 2]);
        assert_eq!(last_kinds(app, 2).await, [(Kind::Release, 3), (Kind::Allocate, 3)]);
        put(&[("B", 1), ("B", 1)]).await.expect(200);
        assert_eq!(ledger(&app.db).await.len(), rows + 2, "it holds the same");
        let cancel = json!({"lines": [{"sku": "B", "quantity": 5}], "status": "cancelled"});
        assert_eq!(ada.put(&path(&order, ""), cancel).await.expect(200).json()["status"], "cancelled");
        assert_eq!(held().await, [0, 0]);
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_line_may_take_the_place_of_every_other() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let a = Goods::new("A", 5).add_to(&app.db).await;
        Goods { currency: "EUR", ..Goods::new("E", 5) }.add_to(&app.db).await;
        let order = place(&ada, laptop()).await;
        ada.put(&path(&order, ""), of(&[("A", 4)])).await.expect(200);
        assert_eq!(level(&app.db, a, MAIN).await, [5, 4, 0]);
        let problem = ada.put(&path(&order, ""), of(&[("E", 4)])).await.problem(422, "validation_failed");
        assert_eq!(problem.faulty_fields(), ["lines[0].sku"]);
        ada.put(&path(&order, ""), json!({"quantity": 2})).await.problem(409, "order_not_free_text");
        let free = json!({"lines": [{"name": "Gift", "quantity": 1, "unit_price": 1}]});
        staff.put(&path(&order, ""), free).await.expect(200);
        assert_eq!(level(&app.db, a, MAIN).await, [5, 0, 0]);
        staff.put(&path(&order, ""), of(&[("A", 5)])).await.expect(200);
        step(&staff, &order, "confirm", json!({})).await;
        ada.put(&path(&order, ""), of(&[("A", 1)])).await.problem(409, "order_not_pending");
        let stale = staff.request(http::Method::PUT, &path(&order, "")).header("if-match", "\"1\"");
        stale.json(&of(&[("nothing", 1)])).send().await.problem(422, "validation_failed");
        assert_eq!(level(&app.db, a, MAIN).await, [5, 5, 0]);
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_calls_it_off_and_however_releases_it() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let a = Goods::new("A", 5).add_to(&app.db).await;
        for (how, status) in [("cancel", "cancelled"), ("put", "cancelled"), ("delete", "cancelled")] {
            let order = place(&ada, of(&[("A", 5)])).await;
            step(&staff, &order, "confirm", json!({})).await;
            step(&staff, &order, "hold", json!({})).await;
            assert_eq!(level(&app.db, a, MAIN).await, [5, 5, 0]);
            match how {
                "cancel" => drop(step(&ada, &order, "cancel", json!({})).await),
                "put" => drop(ada.put(&path(&order, ""), json!({"status": "cancelled"})).await.expect(200)),
                _ => drop(ada.delete(&path(&order, "")).await.expect(204)),
            }
            assert_eq!(level(&app.db, a, MAIN).await, [5, 0, 0], "{how}");
            assert_eq!(view(&staff, &order).await["status"], status);
            let row = ledger(&app.db).await.pop().unwrap();
            assert_eq!((row.kind, row.actor_id, row.cause.step), (Kind::Release, Some(ada.id), 4));
        }
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_shipped_leaves_and_what_comes_back_is_put_back() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let other = add_location(&app.db, "OTHER", 1).await;
        let a = Goods::new("A", 3).add_to(&app.db).await;
        adjust(&app.db, a, other, Change::Receive(3)).await.unwrap();
        let lines = json!([{"sku": "A", "quantity": 5}, {"name": "Post", "quantity": 1, "unit_price": 1}]);
        let order = place(&staff, json!({"lines": lines})).await;
        step(&staff, &order, "confirm", json!({})).await;
        let line = &order["lines"][0]["id"];
        let some = |quantity: i64| json!({"lines": [{"id": line, "quantity": quantity}]});
        let figures = async || [level(&app.db, a, MAIN).await, level(&app.db, a, other).await];
        assert_eq!(figures().await, [[3, 3, 0], [3, 2, 0]]);
        step(&staff, &order, "ship", some(4)).await;
        assert_eq!(figures().await, [[0, 0, 0], [2, 1, 0]]);
        assert_eq!(last_kinds(app, 2).await, [(Kind::Ship, 3), (Kind::Ship, 3)]);
        step(&staff, &order, "return", some(1)).await;
        assert_eq!(figures().await, [[1, 0, 0], [2, 1, 0]]);
        let mut broken = some(1);
        broken["restock"] = false.into();
        step(&staff, &order, "return", broken).await;
        assert_eq!(figures().await, [[1, 0, 0], [2, 1, 0]]);
        staff.put(&path(&order, ""), json!({"status": "shipped"})).await.expect(200);
        assert_eq!(figures().await, [[1, 0, 0], [1, 0, 0]]);
        staff.put(&path(&order, ""), json!({"status": "returned"})).await.expect(200);
        assert_eq!(figures().await, [[3, 0, 0], [2, 0, 0]], "one of six was not put back");
        check_stock(&app.db).await;
    })
    .await;
}

/// Called off when a part was shipped: the rest is released, and what comes back of the part is put back.
#[tokio::test]
async fn a_part_that_was_shipped_may_come_back_to_what_was_called_off() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let a = Goods { backorder_limit: 5, ..Goods::new("A", 4) }.add_to(&app.db).await;
        let order = place(&staff, of(&[("A", 6)])).await;
        let some = |quantity: i64| json!({"lines": [{"id": order["lines"][0]["id"], "quantity": quantity}]});
        step(&staff, &order, "confirm", json!({})).await;
        step(&staff, &order, "ship", some(3)).await;
        assert_eq!(level(&app.db, a, MAIN).await, [1, 3, 0]);
        step(&staff, &order, "cancel", json!({})).await;
        assert_eq!(level(&app.db, a, MAIN).await, [1, 0, 0]);
        assert_eq!(last_kinds(app, 2).await, [(Kind::Ship, 3), (Kind::Release, 4)]);
        check_stock(&app.db).await;
        step(&staff, &order, "return", some(1)).await;
        let mut broken = some(1);
        broken["restock"] = false.into();
        step(&staff, &order, "return", broken).await;
        assert_eq!(level(&app.db, a, MAIN).await, [2, 0, 0]);
        step(&staff, &order, "return", json!({})).await;
        assert_eq!(level(&app.db, a, MAIN).await, [3, 0, 0], "one of three was not put back");
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_not_shipped() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let a = Goods { backorder_limit: 5, ..Goods::new("A", 4) }.add_to(&app.db).await;
        let b = Goods::new("B", 4).add_to(&app.db).await;
        adjust(&app.db, a, MAIN, Change::Quarantine(2)).await.unwrap();
        let order = place(&staff, of(&[("A", 5), ("B", 4)])).await;
        step(&staff, &order, "confirm", json!({})).await;
        adjust(&app.db, b, MAIN, Change::Count(3)).await.unwrap();
        let before = (view(&staff, &order).await, ledger(&app.db).await);
        let ship = async |body: Value| staff.post(&path(&order, "/ship"), body).await;
        short(ship(json!({})).await, &[("A", 5, 2), ("B", 4, 3)]);
        short(staff.put(&path(&order, ""), json!({"status": "shipped"})).await, &[("A", 5, 2), ("B", 4, 3)]);
        assert_eq!((view(&staff, &order).await, ledger(&app.db).await), before);
        let lines = [(&order["lines"][0]["id"], 2), (&order["lines"][1]["id"], 3)];
        let some = lines.map(|(id, quantity)| json!({"id": id, "quantity": quantity}));
        ship(json!({"lines": some})).await.expect(200);
        assert_eq!(level(&app.db, a, MAIN).await, [2, 3, 2], "what can't be sold stays");
        adjust(&app.db, a, MAIN, Change::Receive(3)).await.unwrap();
        adjust(&app.db, b, MAIN, Change::Count(1)).await.unwrap();
        ship(json!({})).await.expect(200);
        assert_eq!((level(&app.db, a, MAIN).await, level(&app.db, b, MAIN).await), ([2, 0, 2], [0, 0, 0]));
        check_stock(&app.db).await;
    })
    .await;
}

/// What was stolen where it was held, or was owed and came in elsewhere.
#[tokio::test]
async fn what_is_not_there_is_shipped_from_where_nobody_holds_it() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let near = add_location(&app.db, "NEAR", 1).await;
        let a = Goods { backorder_limit: 2, ..Goods::new("A", 0) }.add_to(&app.db).await;
        adjust(&app.db, a, near, Change::Receive(5)).await.unwrap();
        let order = place(&staff, of(&[("A", 6)])).await;
        step(&staff, &order, "confirm", json!({})).await;
        assert_eq!((level(&app.db, a, MAIN).await, level(&app.db, a, near).await), ([0, 1, 0], [5, 5, 0]));
        adjust(&app.db, a, near, Change::Count(2)).await.unwrap();
        let far = add_location(&app.db, "FAR", 2).await;
        adjust(&app.db, a, far, Change::Receive(4)).await.unwrap();
        let other = place(&staff, of(&[("A", 1)])).await;
        let ship = async |quantity: i64| {
            let lines = json!([{"id": order["lines"][0]["id"], "quantity": quantity}]);
            staff.post(&path(&order, "/ship"), json!({"lines": lines})).await
        };
        let levels = async || {
            [level(&app.db, a, MAIN).await, level(&app.db, a, near).await, level(&app.db, a, far).await]
        };
        let before = levels().await;
        let held_by_other = before[2][1];
        short(ship(6).await, &[("A", 6, 6 - held_by_other)]);
        assert_eq!(levels().await, before);
        step(&staff, &other, "cancel", json!({})).await;
        ship(6).await.expect(200);
        assert_eq!(levels().await, [[0, 0, 0], [0, 0, 0], [0, 0, 0]]);
        check_stock(&app.db).await;
        let lines = json!({"lines": [{"id": order["lines"][0]["id"], "quantity": 6}]});
        staff.post(&path(&order, "/deliver"), json!({})).await.expect(200);
        staff.post(&path(&order, "/return"), lines).await.expect(200);
        assert_eq!(levels().await, [[0, 0, 0], [2, 0, 0], [4, 0, 0]], "back to where it came from");
        check_stock(&app.db).await;
    })
    .await;
}

/// Within the life of a token.
const EXPIRY: Duration = Duration::from_secs(5 * 60);

fn expiring_soon(options: &mut Options) {
    options.pending_expiry = EXPIRY;
}

async fn expire(app: &App) -> u64 {
    expire_by(&app.db, app).await
}

/// Another process's handle may do it.
async fn expire_by(db: &Db, app: &App) -> u64 {
    orders::expire_orders(db, &Arc::default(), app.clock.now()).await.unwrap()
}

async fn pass_half(app: &App) {
    app.clock.advance(EXPIRY / 2);
    expire(app).await;
}

async fn status(client: &Client<'_>, order: &Value) -> String {
    view(client, order).await["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_pending_order_gives_up_its_stock_in_time() {
    let test = async |database: &TestDatabase| {
        let app = &App::with(database, expiring_soon).await;
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let a = Goods::new("A", 9).add_to(&app.db).await;
        let [stock, edited, emptied, confirmed, paid, refunded] = [
            place(&ada, of(&[("A", 1)])).await,
            place(&ada, of(&[("A", 1)])).await,
            place(&ada, of(&[("A", 1)])).await,
            place(&ada, of(&[("A", 1)])).await,
            place(&ada, of(&[("A", 1)])).await,
            place(&ada, of(&[("A", 1)])).await,
        ];
        let (free, filled) = (place(&ada, laptop()).await, place(&ada, laptop()).await);
        app.clock.advance(EXPIRY / 2);
        ada.put(&path(&edited, ""), of(&[("A", 2)])).await.expect(200);
        let gift = json!({"lines": [{"name": "Gift", "quantity": 1, "unit_price": 1}]});
        staff.put(&path(&emptied, ""), gift).await.expect(200);
        ada.put(&path(&filled, ""), of(&[("A", 1)])).await.expect(200);
        step(&staff, &confirmed, "confirm", json!({})).await;
        step(&staff, &paid, "pay", json!({"amount": 1})).await;
        step(&staff, &refunded, "pay", json!({})).await;
        step(&staff, &refunded, "refund", json!({})).await;
        assert_eq!((expire(app).await, level(&app.db, a, MAIN).await), (0, [9, 7, 0]));
        pass_half(app).await;
        for (order, expected) in [
            (&stock, "expired"),
            (&edited, "expired"),
            (&paid, "pending"),
            (&refunded, "pending"),
            (&emptied, "pending"),
            (&filled, "pending"),
            (&free, "pending"),
            (&confirmed, "confirmed"),
        ] {
            assert_eq!(status(&ada, order).await, expected);
        }
        assert_eq!(level(&app.db, a, MAIN).await, [9, 4, 0]);
        let history = ada.get(&path(&stock, "/history")).await.expect(200).json();
        let row = &history["items"][0];
        assert_eq!(
            (&row["action"], &row["from"], &row["to"]),
            (&json!("expire"), &json!("pending"), &json!("expired"))
        );
        assert_eq!((&row["actor_id"], &row["request_id"]), (&Value::Null, &Value::Null));
        assert_eq!(view(&staff, &stock).await["allowed_transitions"], json!([]));
        pass_half(app).await;
        assert_eq!(status(&ada, &filled).await, "expired");
        assert_eq!(status(&ada, &refunded).await, "expired", "its money was given back for so long");
        assert_eq!(status(&ada, &paid).await, "pending", "its money was received");
        step(&staff, &paid, "refund", json!({})).await;
        pass_half(app).await;
        assert_eq!(status(&ada, &paid).await, "pending", "it may be paid again");
        pass_half(app).await;
        assert_eq!(status(&ada, &paid).await, "expired");
        check_stock(&app.db).await;
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

/// Several processes look for them at once; each order expires once, and those that are confirmed meanwhile don't.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_expire_at_once_and_each_once() {
    let test = async |database: &TestDatabase| {
        let app = &App::with(database, expiring_soon).await;
        let staff = app.staff("staff").await;
        let a = Goods::new("A", 250).add_to(&app.db).await;
        let orders = join_all((0..250).map(|_| place(&staff, of(&[("A", 1)])))).await;
        let handles = join_all((0..4).map(|_| database.open())).await;
        app.clock.advance(EXPIRY);
        let confirm = orders
            .iter()
            .step_by(10)
            .map(async |order| staff.post(&path(order, "/confirm"), json!({})).await);
        let expire = handles.iter().map(|db| expire_by(db, app));
        let (expired, confirmed) = join(join_all(expire), join_all(confirm)).await;
        let confirmed = confirmed.iter().filter(|answer| answer.status == 200).count();
        eventually("the program's own work has done its part", async || {
            staff.get("/orders?status=pending&count=exact").await.expect(200).json()["total"] == 0
        })
        .await;
        let found = staff.get("/orders?status=expired&count=exact").await.expect(200).json()["total"].clone();
        assert_eq!(found, 250 - confirmed);
        assert!(expired.iter().sum::<u64>() <= found.as_u64().unwrap());
        for order in &orders {
            assert_eq!(view(&staff, order).await["version"], 2, "each is expired or confirmed, and once");
        }
        assert_eq!(level(&app.db, a, MAIN).await, [250, i64::try_from(confirmed).unwrap(), 0]);
        check_stock(&app.db).await;
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

/// Nobody has to ask for it.
#[tokio::test]
async fn a_running_system_lets_orders_expire() {
    let test = async |database: &TestDatabase| {
        let app = &App::with(database, expiring_soon).await;
        let ada = app.customer("ada").await;
        Goods::new("A", 1).add_to(&app.db).await;
        let order = place(&ada, of(&[("A", 1)])).await;
        app.clock.advance(EXPIRY);
        eventually("the order expires", async || status(&ada, &order).await == "expired").await;
        // It is counted once it is committed, which a reader may see a moment earlier.
        let counted = "storehouse_order_status_total{status=\"expired\"} 1";
        let metrics = async || app.nobody().get("/metrics").await.expect(200).text();
        eventually("it is counted", async || metrics().await.contains(counted)).await;
        place(&ada, of(&[("A", 1)])).await;
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}
