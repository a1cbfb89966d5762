//! Clients that do anything to a few products, and write down what they were told.

use std::cell::RefCell;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::checker::{Answered, Operation};
use super::shelf::{Act, Outcome, Step};
use super::{OPERATIONS, Product, Stage};
use crate::harness::{Answer, Random, Wire, eventually};

/// Does what comes to its mind, until it has done enough.
pub(super) async fn live(stage: &Stage<'_>, client: usize, seed: u64) {
    let mut random = Random::from(seed);
    let mut wire = enter(stage, client).await;
    for number in 0..OPERATIONS {
        let product = &stage.products[random.below(stage.products.len())];
        let act = choose(product, &mut random);
        let key =
            (act != Act::Read && random.once_in(2)).then(|| format!("{}-{client}-{number}", product.sku));
        let request = request(product, act, &mut random);
        let patience = random.once_in(20).then(|| Duration::from_millis(random.next() % 8));
        let called = stage.now();
        let (answer, is_repeated) = ask(stage, client, &mut wire, &request, key.as_deref(), patience).await;
        let answer = answer.map(|answer| {
            let outcome = outcome(act, &answer);
            learn(product, act, outcome, &answer);
            Answered { at: stage.now(), outcome }
        });
        let mut history = product.history.borrow_mut();
        history.push(Operation { client, act, called, answer });
        // A key keeps what was done from being done again, and nothing that was refused from being done by an earlier request, if that is still on its way.
        if is_repeated && answer.is_some_and(|answer| answer.outcome.is_refusal()) {
            history.push(Operation { client, act, called, answer: None });
        }
    }
}

/// A connection to one of the processes, once it serves.
async fn enter(stage: &Stage<'_>, client: usize) -> Wire {
    let wire = RefCell::new(None);
    eventually("a process serves", async || {
        let door = stage.doors.borrow()[client % stage.doors.borrow().len()];
        let Ok(mut entered) = Wire::connect(door).await.map(|wire| wire.with_token(stage.token)) else {
            return false;
        };
        // A token is good only once the session feed is seen.
        let is_served = entered.get("/users/me").await.is_ok_and(|answer| answer.status == 200);
        is_served && wire.replace(Some(entered)).is_none()
    })
    .await;
    wire.into_inner().unwrap()
}

type Asked = (Method, String, Option<Value>);

/// The answer, if there is one that says what became of the request, and whether it was repeated: with a key it is, until there is one. Who waits for so long
/// only gives up once, whatever the program does about it meanwhile.
async fn ask(
    stage: &Stage<'_>,
    client: usize,
    wire: &mut Wire,
    (method, path, body): &Asked,
    key: Option<&str>,
    mut patience: Option<Duration>,
) -> (Option<Answer>, bool) {
    let mut is_repeated = false;
    loop {
        let sent = wire.send(method.clone(), path, body.as_ref(), key);
        match timeout(patience.take().unwrap_or(Duration::MAX), sent).await {
            Ok(Ok(answer)) if !matches!(answer.status.as_u16(), 502..=504) => {
                return (Some(answer), is_repeated);
            }
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => *wire = enter(stage, client).await,
        }
        if key.is_none() {
            return (None, is_repeated);
        }
        is_repeated = true;
    }
}

fn choose(product: &Product, random: &mut Random) -> Act {
    let quantity = random.between(1, 3);
    let counted = random.between(0, 6);
    match random.below(20) {
        0..=2 => Act::Receive(quantity),
        3 | 4 => Act::Adjust(if random.once_in(3) { quantity } else { -quantity }),
        5..=7 => Act::Count { counted, expected: Some(product.on_hand.get()) },
        8 => Act::Count { counted, expected: None },
        9..=12 => Act::Read,
        13..=16 => place(product, quantity),
        _ => take(product, random).unwrap_or_else(|| place(product, quantity)),
    }
}

fn place(product: &Product, quantity: i64) -> Act {
    let mut orders = product.orders.borrow_mut();
    orders.push(None);
    Act::Place { order: orders.len() - 1, quantity }
}

/// A step of one of the last orders, so that others take one of it too.
fn take(product: &Product, random: &mut Random) -> Option<Act> {
    let orders = product.orders.borrow();
    let known: Vec<usize> =
        (0..orders.len()).rev().filter(|order| orders[*order].is_some()).take(4).collect();
    let step = *random.pick(&[Step::Confirm, Step::Confirm, Step::Ship, Step::Cancel]);
    (!known.is_empty()).then(|| Act::Take { order: *random.pick(&known), step })
}

fn request(product: &Product, act: Act, random: &mut Random) -> Asked {
    let Product { id, sku, .. } = product;
    let adjust = |kind: &str, quantity: i64, expected: Option<i64>| {
        let mut body = json!({"sku": sku, "kind": kind, "quantity": quantity});
        if let Some(expected) = expected {
            body["expected_on_hand"] = expected.into();
        }
        (Method::POST, "/stock/adjustments".to_owned(), Some(body))
    };
    match act {
        Act::Receive(quantity) => adjust("receive", quantity, None),
        Act::Adjust(quantity) => adjust("adjust", quantity, None),
        Act::Count { counted, expected } => adjust("count", counted, expected),
        Act::Read => {
            let paths = [
                format!("/products/{id}"),
                format!("/products/by-sku/{sku}"),
                format!("/products/{id}/availability?explain=true"),
                format!("/stock?product_id={id}"),
                format!("/stock/movements?product_id={id}&limit=1"),
            ];
            (Method::GET, random.pick(&paths).clone(), None)
        }
        Act::Place { quantity, .. } => {
            let body = json!({"lines": [{"sku": sku, "quantity": quantity}]});
            (Method::POST, "/orders".to_owned(), Some(body))
        }
        Act::Take { order, step } => {
            let path = product.orders.borrow()[order].clone().unwrap();
            let step = match step {
                Step::Confirm => "confirm",
                Step::Ship => "ship",
                Step::Cancel => "cancel",
            };
            (Method::POST, format!("{path}/{step}"), Some(json!({})))
        }
    }
}

/// What others may need to know of an answer.
fn learn(product: &Product, act: Act, outcome: Outcome, answer: &Answer) {
    match (act, outcome) {
        (_, Outcome::Stands { on_hand, .. } | Outcome::Unexpected(on_hand)) => product.on_hand.set(on_hand),
        (Act::Place { order, .. }, Outcome::Placed) => {
            product.orders.borrow_mut()[order] = Some(answer.header("location").to_owned());
        }
        _ => {}
    }
}

/// What an answer says; everything but these is a failure.
fn outcome(act: Act, answer: &Answer) -> Outcome {
    let body = answer.json();
    let figure = |value: &Value| value.as_i64().unwrap_or_else(|| panic!("{}: {body}", answer.what));
    match (answer.status.as_u16(), &*answer.code(), act) {
        (201, _, Act::Receive(_) | Act::Adjust(_) | Act::Count { .. }) => stands(&body),
        (200, _, Act::Read) => stands(shown(&body)),
        (201, _, Act::Place { .. }) => Outcome::Placed,
        (200, _, Act::Take { .. }) => Outcome::Taken,
        (409, "unexpected_stock", Act::Count { .. }) => Outcome::Unexpected(figure(&body["on_hand"])),
        (409, "insufficient_stock", Act::Adjust(_)) => Outcome::TooLittle(figure(&body["available"])),
        (409, "insufficient_stock", Act::Place { .. } | Act::Take { step: Step::Ship, .. }) => {
            Outcome::TooLittle(figure(&body["shortages"][0]["available"]))
        }
        (409, "illegal_transition", Act::Take { .. }) => Outcome::Illegal,
        _ => panic!("{}: {}", answer.what, answer.text()),
    }
}

/// Where the figures stand in what is read.
fn shown(body: &Value) -> &Value {
    match (body.get("items"), body.get("stock")) {
        (Some(items), _) => &items[0],
        (None, Some(stock)) => stock,
        (None, None) => body,
    }
}

fn stands(body: &Value) -> Outcome {
    let figure = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| body[*name].as_i64());
        found.unwrap_or_else(|| panic!("no {names:?}: {body}"))
    };
    Outcome::Stands {
        on_hand: figure(["on_hand", "on_hand_after"]),
        allocated: figure(["allocated", "allocated_after"]),
    }
}
