//! What orders do with stock, derived from the order before and after: what it ships is taken, what comes back is put back, and whatever else changes,
//! it then holds what is still to be shipped.

use std::collections::BTreeMap;

use db::Tx;
use kit::author::Author;
use kit::problem::Problem;
use serde_json::{Value, json};
use stock::{OrderStock, Shortage};
use uuid::Uuid;

use crate::invariants::check_change;
use crate::model::{Line, Order};
use crate::place_order::Actor;

/// Does it for a change of an order. `actor` is nobody where it happens by itself; without `restock` what comes back can't be sold again.
pub(crate) async fn move_stock(
    tx: &Tx,
    before: &Order,
    after: &Order,
    actor: Option<&Actor>,
    restock: bool,
) -> Result<(), Problem> {
    check_change(tx, before, after, actor)?;
    let shipped = growth(before, after, |line| line.shipped);
    let returned = growth(before, after, |line| line.returned);
    if restock {
        stock::give_back(tx, &order_stock(after, actor, before.held(), returned)).await?;
    }
    let short = if !shipped.is_empty() {
        stock::ship(tx, &order_stock(after, actor, before.held(), shipped)).await?
    } else if before.held() == after.held() {
        Vec::new()
    } else {
        stock::hold(tx, &order_stock(after, actor, before.held(), after.held())).await?
    };
    if short.is_empty() { Ok(()) } else { Err(insufficient_stock(after, &short)) }
}

/// How much more a count is after than before, of each product.
fn growth(before: &Order, after: &Order, count: impl Fn(&Line) -> i64) -> BTreeMap<Uuid, i64> {
    let before = before.stock(&count);
    let mut growth = after.stock(&count);
    for (product, sum) in &mut growth {
        *sum -= before.get(product).copied().unwrap_or_default();
    }
    growth.retain(|_, sum| *sum > 0);
    growth
}

/// What the step that led to this order does with so much of each product, where it held this before.
pub(crate) fn order_stock(
    after: &Order,
    actor: Option<&Actor>,
    held_before: BTreeMap<Uuid, i64>,
    quantities: BTreeMap<Uuid, i64>,
) -> OrderStock {
    let author = Author {
        actor_id: actor.map(|actor| actor.account),
        request_id: actor.map(|actor| actor.request_id.to_string()),
        // No movement tells it.
        address: None,
        key_id: None,
        now: after.updated_at,
    };
    OrderStock { order_id: after.id, step: after.version, author, held_before, quantities }
}

/// 409 with what there is too little of, in the order of the lines.
pub(crate) fn insufficient_stock(order: &Order, short: &[Shortage]) -> Problem {
    let place = |shortage: &&Shortage| {
        order.lines.iter().position(|line| line.product_id == Some(shortage.product_id))
    };
    let mut short: Vec<&Shortage> = short.iter().collect();
    short.sort_by_key(place);
    let shortages: Vec<Value> = short.into_iter().map(|shortage| shown(order, shortage)).collect();
    Problem::conflict("insufficient_stock", "There is less in stock than that: see `shortages`.")
        .with_member("shortages", shortages)
}

fn shown(order: &Order, shortage: &Shortage) -> Value {
    let line = order.lines.iter().find(|line| line.product_id == Some(shortage.product_id));
    let sku = line.and_then(|line| line.sku.as_deref());
    json!({"sku": sku, "requested": shortage.requested, "available": shortage.available})
}
