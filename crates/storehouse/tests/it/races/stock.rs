//! Many who want the same stock: never more is sold than there is, and nobody waits in a circle.
//!
//! An ordinary run does a few rounds of each; `STOREHOUSE_ROUNDS=200` is the full run.

use ::stock::{Change, MAIN};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::{at_once, with_status};
use crate::harness::goods::{Goods, add_location, adjust, check_stock, level};
use crate::harness::{Answer, App, Client, Random, deadlocks, each_app, each_engine};

pub(super) const BUYERS: usize = 100;
const CLIENTS: usize = 64;
const SCARCE: [&str; 5] = ["A", "B", "C", "D", "E"];

pub(super) fn rounds() -> usize {
    std::env::var("STOREHOUSE_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap())
}

pub(super) async fn people<'a>(app: &'a App, count: usize) -> Vec<Client<'a>> {
    let mut people = Vec::new();
    for number in 0..count {
        people.push(app.customer(&format!("buyer{number}")).await);
    }
    people
}

pub(super) fn of(lines: &[(&str, i64)]) -> Value {
    let line = |(sku, quantity): &(&str, i64)| json!({"sku": sku, "quantity": quantity});
    json!({"lines": lines.iter().map(line).collect::<Vec<_>>()})
}

/// Fails unless each is placed or too short; gives those that are placed.
#[track_caller]
pub(super) fn placed(answers: &[Answer]) -> Vec<Value> {
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.clone().problem(409, "insufficient_stock");
    }
    with_status(answers, 201).into_iter().map(Answer::json).collect()
}

fn path(order: &Value, rest: &str) -> String {
    format!("/orders/{}{rest}", order["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b01_the_last_unit_is_sold_once() {
    each_app(async |app| {
        let buyers = people(app, BUYERS).await;
        for round in 0..rounds() {
            let sku = format!("ONE-{round}");
            let product = Goods::new(&sku, 1).add_to(&app.db).await;
            let buy = async |number: usize| {
                // Another is the first each time, since a customer may have only so many pending.
                let buyer = &buyers[(number + round) % BUYERS];
                let request = buyer.request(http::Method::POST, "/orders").json(&of(&[(&sku, 1)]));
                // Some have a key, and are answered in the transaction that they share with the others.
                let request =
                    if number.is_multiple_of(3) { request.header("idempotency-key", &sku) } else { request };
                request.send().await
            };
            let answers = at_once(BUYERS, buy).await;
            assert_eq!(placed(&answers).len(), 1, "round {round}");
            assert_eq!(level(&app.db, product, MAIN).await, [1, 1, 0]);
        }
        check_stock(&app.db).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_units_are_sold_a_thousand_times() {
    each_app(async |app| {
        let buyers = people(app, CLIENTS).await;
        let (units, attempts_each) = (1000, 5000_usize.div_ceil(CLIENTS));
        let product = Goods::new("HOT", units).add_to(&app.db).await;
        let buy = async |client: usize| {
            let mut sold = 0;
            for _ in 0..attempts_each {
                let answer = buyers[client].post("/orders", of(&[("HOT", 1)])).await;
                sold += placed(&[answer]).len();
            }
            sold
        };
        let sold: usize = join_all((0..CLIENTS).map(buy)).await.into_iter().sum();
        assert_eq!(i64::try_from(sold).unwrap(), units);
        assert_eq!(level(&app.db, product, MAIN).await, [units, units, 0]);
        check_stock(&app.db).await;
    })
    .await;
}

/// Each line's products in random order, so that whoever took them in the order of the lines would wait in a circle; and by several processes, since one
/// places what waits together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scarce_orders_of_several_lines_are_whole_or_not_at_all() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let apps = [App::new(database).await, App::new(database).await, App::new(database).await];
        let buyers = people(&apps[0], CLIENTS).await;
        let mut products = Vec::new();
        for name in SCARCE {
            products.push(Goods::new(name, 40).add_to(&apps[0].db).await);
        }
        let mut random = Random::new();
        let wishes: Vec<Vec<Vec<(&str, i64)>>> = (0..CLIENTS)
            .map(|_| (0..6).map(|_| (0..3).map(|_| wish(&mut random)).collect()).collect())
            .collect();
        let buy = async |client: usize| {
            let (buyer, mut answers) = (buyers[client].on(&apps[client % apps.len()]), Vec::new());
            for wish in &wishes[client] {
                answers.push(buyer.post("/orders", of(wish)).await);
            }
            placed(&answers)
        };
        let orders = join_all((0..CLIENTS).map(buy)).await.concat();
        let sold = sold(&orders);
        for (product, sold) in products.iter().zip(sold) {
            assert_eq!(level(&apps[0].db, *product, MAIN).await, [40, sold, 0]);
        }
        assert!(orders.len() > 30 && sold.iter().any(|sold| *sold > 35), "{sold:?}");
        let circles: Vec<u64> = apps.iter().map(|app| deadlocks(&app.db)).collect();
        assert_eq!(circles, [0; 3], "nobody waited in a circle");
        check_stock(&apps[0].db).await;
    })
    .await;
}

fn wish<'a>(random: &mut Random) -> (&'a str, i64) {
    (*random.pick(&SCARCE), random.between(1, 2))
}

/// How many of each were sold.
fn sold(orders: &[Value]) -> [i64; 5] {
    let mut sold = [0; 5];
    for line in orders.iter().flat_map(|order| order["lines"].as_array().unwrap()) {
        let index = SCARCE.iter().position(|name| line["sku"] == *name).unwrap();
        sold[index] += line["quantity"].as_i64().unwrap();
    }
    sold
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b07_a_step_moves_its_stock_once() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let product = Goods::new("A", 10).add_to(&app.db).await;
        let order = async || staff.post("/orders", of(&[("A", 4)])).await.expect(201).json();
        let fifty = async |order: &Value, step: &str| {
            let answers = at_once(50, async |_| staff.post(&path(order, step), json!({})).await).await;
            assert_eq!(with_status(&answers, 200).len(), 1, "{step}");
            for lost in answers.iter().filter(|answer| answer.status != 200) {
                lost.clone().problem(409, "illegal_transition");
            }
        };
        let called_off = order().await;
        fifty(&called_off, "/cancel").await;
        assert_eq!(level(&app.db, product, MAIN).await, [10, 0, 0]);
        let shipped = order().await;
        staff.post(&path(&shipped, "/confirm"), json!({})).await.expect(200);
        fifty(&shipped, "/ship").await;
        assert_eq!(level(&app.db, product, MAIN).await, [6, 0, 0]);
        fifty(&shipped, "/return").await;
        assert_eq!(level(&app.db, product, MAIN).await, [10, 0, 0]);
        let deleted = order().await;
        let answers = at_once(50, async |_| staff.delete(&path(&deleted, "")).await).await;
        assert_eq!(with_status(&answers, 204).len(), 50, "it is gone for all of them");
        assert_eq!(level(&app.db, product, MAIN).await, [10, 0, 0]);
        check_stock(&app.db).await;
    })
    .await;
}

/// Everything that may be done to the same few products at once: nobody waits in a circle, and all of it adds up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opposite_orders_changes_and_transfers_do_not_wait_for_each_other() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let a = Goods::new("A", 1000).add_to(&app.db).await;
        let b = Goods::new("B", 1000).add_to(&app.db).await;
        let other = add_location(&app.db, "OTHER", 1).await;
        for product in [a, b] {
            adjust(&app.db, product, other, Change::Receive(1000)).await.unwrap();
        }
        let change = async |number: usize| {
            let both = if number.is_multiple_of(2) { [("A", 1), ("B", 2)] } else { [("B", 1), ("A", 2)] };
            let order = staff.post("/orders", of(&both)).await.expect(201).json();
            let [first, second] = both;
            let (whole, step) = (path(&order, ""), path(&order, "/cancel"));
            let edit = staff.put(&whole, of(&[second, first, second]));
            let cancel = staff.post(&step, json!({}));
            let (edited, cancelled) = join(edit, cancel).await;
            cancelled.expect(200);
            assert!(edited.status == 200 || edited.code() == "order_not_pending", "{edited:?}");
        };
        let carry = async |number: usize| {
            let (from, to) = if number.is_multiple_of(2) { (MAIN, other) } else { (other, MAIN) };
            let product_id = if number % 4 < 2 { a } else { b };
            let body = json!({"product_id": product_id, "from": from, "to": to, "quantity": 1});
            staff.post("/stock/transfers", body).await.expect(201);
        };
        join(join_all((0..60).map(change)), join_all((0..60).map(carry))).await;
        for product in [a, b] {
            assert_eq!(level(&app.db, product, MAIN).await, [1000, 0, 0]);
        }
        assert_eq!(deadlocks(&app.db), 0, "nobody waited in a circle");
        check_stock(&app.db).await;
    })
    .await;
}
