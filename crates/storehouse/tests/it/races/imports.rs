//! Files beside orders and changes of the same products: no order is refused for a file of products, nobody waits in a circle, and no currency changes under a cost.

use std::fmt::Write as _;
use std::sync::Arc;

use ::db::{Db, Error};
use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{at_once, count};
use crate::harness::goods::{Goods, check_stock};
use crate::harness::{Answer, App, Client, Random, TestDatabase, each_app, eventually};
use crate::metrics::scrape::Scrape;

/// More than one chunk of a file that is stored, and more than can be taken by name.
const MANY: usize = 4_100;

/// More than can be taken by name.
const SOME: usize = 150;

/// How many wait for others.
const WAITING: &str =
    "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// A file of so many products: the names, and then limit and reorder point of each as it is given.
fn file(count: usize, name: &str, terms: impl Fn(usize) -> (usize, usize)) -> String {
    let mut file = "sku,name,unit_price,backorder_limit,reorder_point\n".to_owned();
    for number in 0..count {
        let (limit, point) = terms(number);
        writeln!(file, "{},{name},1,{limit},{point}", sku(number)).unwrap();
    }
    file
}

/// In the order of their numbers.
fn sku(number: usize) -> String {
    format!("L-{number:05}")
}

async fn import(staff: &Client<'_>, file: String) -> Answer {
    staff.request(Method::POST, "/products/import").raw("text/csv", file).send().await
}

fn of(numbers: &[usize]) -> Value {
    let line = |number: &usize| json!({"sku": sku(*number), "quantity": 1});
    json!({"lines": numbers.iter().map(line).collect::<Vec<_>>()})
}

/// Keeps a product's row, and the SKU `HELD`, from others until it is released.
struct Holder {
    sku_key: String,
    holds: Notify,
    released: Notify,
}

impl Holder {
    fn of(number: usize) -> Arc<Self> {
        let sku_key = sku(number).to_lowercase();
        Arc::new(Self { sku_key, holds: Notify::new(), released: Notify::new() })
    }

    /// It leaves nothing.
    async fn hold(self: Arc<Self>, db: &Db) {
        let held: Result<(), Error> = db
            .write(self, |tx, holder| {
                async move {
                    let sql = "UPDATE products SET sku_key = 'held' WHERE sku_key = $1";
                    tx.execute(sql, &[(&holder.sku_key).into()]).await?;
                    holder.holds.notify_one();
                    holder.released.notified().await;
                    Err(Error::Spent)
                }
                .boxed()
            })
            .await;
        assert_eq!(held, Err(Error::Spent));
    }
}

/// A file that is stored takes its time, which no order of its products may wait for: here it is stopped before its last row, and so waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_waits_for_a_file_of_its_products() {
    let Some(database) = TestDatabase::on_postgres(storehouse::migrations::MIGRATIONS).await else { return };
    let app = &App::new(&database).await;
    let (staff, ada) = (app.staff("staff").await, app.customer("ada").await);
    staff.post("/locations", json!({"code": "NEW", "name": "New"})).await.expect(201);
    import(&staff, file(MANY, "Lamp", |_| (50, 1))).await.expect(200);
    let holder = Holder::of(MANY - 1);
    let held = Arc::clone(&holder).hold(&app.db);
    let terms = |number: usize| (number % 7, number % 5);
    let stored = async {
        holder.holds.notified().await;
        import(&staff, file(MANY, "Light", terms)).await
    };
    let ordered = async {
        eventually("the file waits", async || count(app, WAITING).await == 1).await;
        let buy = async |number: usize| ada.post("/orders", of(&[number, number + 20, number + 40])).await;
        at_once(20, buy).await.into_iter().for_each(|answer| drop(answer.expect(201)));
        let receive = json!({"sku": sku(3), "location": "NEW", "kind": "receive", "quantity": 1});
        staff.post("/stock/adjustments", receive).await.expect(201);
        assert_eq!(count(app, WAITING).await, 1, "the file still waits");
        holder.released.notify_one();
    };
    let ((), (stored, ())) = join(held, join(stored, ordered)).await;
    stored.expect(200);
    let shown = staff.get(&format!("/products/by-sku/{}", sku(13))).await.expect(200).json();
    assert_eq!([&shown["backorder_limit"], &shown["reorder_point"]], [6, 3]);
    check_stock(&app.db).await;
}

/// A file is stopped between its look at what has moved and its commit: whatever comes in meanwhile has its cost in the old currency.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_changes_no_currency_of_what_has_moved_meanwhile() {
    let Some(database) = TestDatabase::on_postgres(storehouse::migrations::MIGRATIONS).await else { return };
    let app = &App::new(&database).await;
    let staff = app.staff("staff").await;
    import(&staff, file(2, "Lamp", |_| (50, 1))).await.expect(200);
    let holder = Holder::of(1);
    let held = Arc::clone(&holder).hold(&app.db);
    let stored = async {
        holder.holds.notified().await;
        import(
            &staff,
            file(2, "Light", |_| (50, 1))
                .replace(",1,50", ",2,50")
                .replace("reorder_point", "reorder_point,currency")
                .replace(",1\n", ",1,JPY\n"),
        )
        .await
    };
    let received = async {
        eventually("the file waits", async || count(app, WAITING).await == 1).await;
        let receive = json!({"sku": sku(0), "kind": "receive", "quantity": 1, "unit_cost": 5.25});
        staff.post("/stock/adjustments", receive).await.expect(201);
        holder.released.notify_one();
    };
    let ((), (stored, ())) = join(held, join(stored, received)).await;
    stored.problem(409, "changed_meanwhile");
    let shown = staff.get(&format!("/products/by-sku/{}", sku(0))).await.expect(200).json();
    assert_eq!([&shown["currency"], &shown["name"]], ["USD", "Lamp"]);
}

/// A change of currency is stopped just before its commit, while goods come in that it doesn't know of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cost_is_in_the_currency_that_the_product_has_by_then() {
    let Some(database) = TestDatabase::on_postgres(storehouse::migrations::MIGRATIONS).await else { return };
    let app = &App::new(&database).await;
    let staff = app.staff("staff").await;
    import(&staff, file(2, "Lamp", |_| (50, 1))).await.expect(200);
    let by_sku = async |sku: &str| staff.get(&format!("/products/by-sku/{sku}")).await.expect(200).json();
    let path = format!("/products/{}", by_sku(&sku(0)).await["id"].as_str().unwrap());
    let holder = Holder::of(1);
    let held = Arc::clone(&holder).hold(&app.db);
    let changed = async {
        holder.holds.notified().await;
        // It waits for the SKU, which the holder gives to another product until it is released.
        staff.put(&path, json!({"sku": "HELD", "unit_price": 100, "currency": "JPY"})).await
    };
    let received = async {
        eventually("the change waits", async || count(app, WAITING).await == 1).await;
        let cost = async |cost: &str| {
            let receive = json!({"product_id": path.replace("/products/", ""), "kind": "receive", "quantity": 1, "unit_cost": cost});
            staff.post("/stock/adjustments", receive).await
        };
        let release = async {
            eventually("they wait", async || count(app, WAITING).await == 3).await;
            holder.released.notify_one();
        };
        let (whole, (broken, ())) = join(cost("5"), join(cost("5.25"), release)).await;
        assert_eq!(whole.expect(201).json()["unit_cost"], 5);
        assert_eq!(broken.problem(422, "validation_failed").faulty_fields(), ["unit_cost"]);
    };
    let ((), (changed, ())) = join(held, join(changed, received)).await;
    changed.expect(200);
    assert_eq!(by_sku("HELD").await["stock"]["on_hand"], 1);
    let movements = staff.get("/stock/movements").await.expect(200).json();
    assert_eq!(movements["items"][0]["unit_cost"], 5, "and not 500");
}

/// All that may be done to products that a file changes at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_orders_and_changes_do_not_wait_for_each_other() {
    each_app(async |app| {
        let (staff, boss) = (app.staff("staff").await, app.staff("boss").await);
        import(&staff, file(SOME, "Lamp", |_| (1_000, 0))).await.expect(200);
        let mut random = Random::new();
        let wishes: Vec<[usize; 3]> =
            (0..120).map(|_| [random.below(SOME), random.below(SOME), random.below(SOME)]).collect();
        let buy = async {
            for wishes in wishes.chunks(8) {
                let buy = wishes.iter().map(|wish| staff.post("/orders", of(wish)));
                join_all(buy).await.into_iter().for_each(|answer| drop(answer.expect(201)));
            }
        };
        let change = async {
            for wish in &wishes {
                let path = format!("/products/by-sku/{}", sku(wish[0]));
                let id = boss.get(&path).await.expect(200).json()["id"].as_str().unwrap().to_owned();
                let terms = json!({"backorder_limit": 2_000 + wish[1], "reorder_point": wish[2]});
                boss.put(&format!("/products/{id}"), terms).await.expect(200);
            }
        };
        let store = async {
            for round in 0..15 {
                // By another order than the products have.
                let terms = |number: usize| (3_000 + (number * 7 + round) % 11, round % 3);
                let stored = import(&boss, file(SOME, &format!("Lamp {round}"), terms)).await;
                assert!(stored.status == 200 || stored.code() == "changed_meanwhile", "{stored:?}");
            }
        };
        join(buy, join(change, store)).await;
        check_calm(app).await;
    })
    .await;
}

/// Counts of few products at many locations come to other products with each chunk of the file, in an order that is not that of the products.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_file_of_counts_and_orders_do_not_wait_in_a_circle() {
    const PRODUCTS: usize = 103;
    const LOCATIONS: usize = 40;
    each_app(async |app| {
        let staff = app.staff("staff").await;
        for number in (0..PRODUCTS).rev() {
            Goods::new(&sku(number), 100).add_to(&app.db).await;
        }
        for number in 0..LOCATIONS {
            let location = json!({"code": format!("S{number}"), "name": "Shelf"});
            staff.post("/locations", location).await.expect(201);
        }
        let store = async {
            for round in 1..4 {
                let mut file = "sku,location,on_hand\n".to_owned();
                for number in 0..PRODUCTS * LOCATIONS {
                    writeln!(file, "{},S{},{round}", sku(number / LOCATIONS), number % LOCATIONS).unwrap();
                }
                let send = staff.request(Method::POST, "/stock/import").raw("text/csv", file).send();
                send.await.expect(200);
            }
        };
        let buy = async {
            for number in 0..60 {
                let wishes = of(&[PRODUCTS - 1 - number % 3, number]);
                let answer = staff.post("/orders", wishes).await;
                // Who has waited for such a file for too long may be refused, on a slow machine.
                assert!([201, 503].contains(&answer.status.as_u16()), "{answer:?}");
            }
        };
        join(buy, store).await;
        check_calm(app).await;
    })
    .await;
}

/// Fails if anybody was in a circle.
async fn check_calm(app: &App) {
    let retries = Scrape::of(app).await.sum("storehouse_db_retries_total");
    assert!(retries < 1.0, "{retries} transactions were in another's way");
    check_stock(&app.db).await;
}
