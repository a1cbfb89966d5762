//! What is so of every order, whatever happens: asserted in the transaction that places or changes one, in releases too. A violation is a mistake of ours, or
//! somebody's who changed the data past us: the transaction is refused (500), counted and logged, rather than built upon. What an order holds is asserted by `stock`.

use db::{Error, Tx};

use crate::model::{Line, Order};
use crate::place_order::Actor;

/// The total is the sum of the lines, each its quantity times its price where that is known; nothing is given back that wasn't paid.
pub const ORDER_MONEY: &str = "order_money";
/// Of each line `0 ≤ returned ≤ delivered ≤ shipped ≤ quantity`.
pub const ORDER_GOODS: &str = "order_goods";
/// An order keeps its owner and its number, each change makes the next version, and only its owner or staff make one.
pub const ORDER_OWNER: &str = "order_owner";

/// Of an order that is about to be stored, or was read to be changed.
pub(crate) fn check_order(tx: &Tx, order: &Order) -> Result<(), Error> {
    tx.require(ORDER_MONEY, money_adds_up(order), || format!("order {}: {}", order.id, money_text(order)))?;
    tx.require(ORDER_GOODS, goods_add_up(order), || format!("order {}: {}", order.id, goods_text(order)))
}

/// What is not so of an order that was read.
pub(crate) fn faults_of(order: &Order) -> impl Iterator<Item = String> {
    let money = (!money_adds_up(order)).then(|| money_text(order));
    let goods = (!goods_add_up(order)).then(|| goods_text(order));
    money.into_iter().chain(goods)
}

fn money_text(order: &Order) -> String {
    let line = |line: &Line| (line.quantity, line.unit_minor, line.total_minor);
    let lines: Vec<_> = order.lines.iter().map(line).collect();
    let (total, paid, refunded) = (order.total.minor(), order.paid_minor, order.refunded_minor);
    format!("total {total}, paid {paid}, refunded {refunded}, lines (quantity, price, total) {lines:?}")
}

fn goods_text(order: &Order) -> String {
    let goods = |line: &Line| [line.quantity, line.shipped, line.delivered, line.returned];
    let lines: Vec<_> = order.lines.iter().map(goods).collect();
    format!("lines [quantity, shipped, delivered, returned] {lines:?}")
}

/// Of a change that is about to be stored. `actor` is nobody where it comes by itself.
pub(crate) fn check_change(
    tx: &Tx,
    before: &Order,
    after: &Order,
    actor: Option<&Actor>,
) -> Result<(), Error> {
    check_order(tx, before)?;
    check_order(tx, after)?;
    tx.require(ORDER_OWNER, is_allowed(before, after, actor), || {
        let said =
            |order: &Order| format!("{} {} {} {}", order.id, order.number, order.user_id, order.version);
        let actor = actor.map(|actor| actor.account);
        format!("{} became {} by {actor:?}", said(before), said(after))
    })
}

fn money_adds_up(order: &Order) -> bool {
    let is_priced = |line: &Line| {
        let product = line.unit_minor.map(|unit| i128::from(unit) * i128::from(line.quantity));
        product.is_none_or(|product| product == i128::from(line.total_minor))
    };
    let sum: i128 = order.lines.iter().map(|line| i128::from(line.total_minor)).sum();
    sum == i128::from(order.total.minor())
        && order.lines.iter().all(is_priced)
        && (0..=order.paid_minor).contains(&order.refunded_minor)
}

fn goods_add_up(order: &Order) -> bool {
    let adds_up = |line: &Line| [0, line.returned, line.delivered, line.shipped, line.quantity].is_sorted();
    order.lines.iter().all(adds_up)
}

fn is_allowed(before: &Order, after: &Order, actor: Option<&Actor>) -> bool {
    let is_same = (before.id, before.number, before.user_id) == (after.id, after.number, after.user_id);
    let may = actor.is_none_or(|actor| actor.is_staff || actor.account == before.user_id);
    is_same && may && after.version == before.version + 1
}
