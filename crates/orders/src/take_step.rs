//! Taking a step: confirm, hold, release, cancel, ship, deliver, return, pay, refund.

use std::sync::Arc;

use db::Tx;
use futures_util::FutureExt;
use kit::answer::{Answer, Resource};
use kit::clock::Timestamp;
use kit::etag::IfMatch;
use kit::idempotency::{self, Claim};
use kit::money::Money;
use kit::problem::Problem;
use uuid::Uuid;

use crate::Orders;
use crate::body::StepDetails;
use crate::counts::OrderCounts;
use crate::lifecycle::{Action, Status, Step, allowed_transitions, is_complete};
use crate::model::{Line, Order};
use crate::move_stock::move_stock;
use crate::place_order::{Actor, history};
use crate::said::{Said, SaidLine, to_json};
use crate::store;
use crate::view::OrderView;

/// A step to take.
pub(crate) struct Taking {
    pub(crate) order_id: Uuid,
    pub(crate) step: Step,
    pub(crate) details: StepDetails,
    pub(crate) actor: Actor,
    pub(crate) condition: IfMatch,
    pub(crate) claim: Claim,
    pub(crate) now: Timestamp,
    /// Until when an order whose money goes back waits at least to be paid again, if it is pending and holds stock.
    pub(crate) expires_at: Timestamp,
    pub(crate) counts: Arc<OrderCounts>,
}

pub(crate) async fn take_step(orders: &Orders, taking: Taking) -> Result<Resource<OrderView>, Problem> {
    orders.shared.db.write(taking, |tx, taking| taking.run(tx).boxed()).await
}

impl Taking {
    /// Permission comes first, for a repeated request too.
    async fn run(&self, tx: &Tx) -> Result<Resource<OrderView>, Problem> {
        let order = lock_visible(tx, self.order_id, &self.actor).await?;
        check_may_take(self.step, &self.actor)?;
        idempotency::once(tx, &self.claim, || async {
            named_amount(&order, &self.details)?;
            self.condition.check(order.version)?;
            let before = order.status;
            let (mut after, said) = advance(order.clone(), self.step, &self.details, self.actor.is_staff)?;
            if self.step == Step::Refund {
                after.prolong(self.expires_at);
            }
            after.touch(self.now);
            let restock = self.details.restock != Some(false);
            move_stock(tx, &order, &after, Some(&self.actor), restock).await?;
            let mut row = history(Some(&self.actor), Action::Take(self.step), Some(before), &after);
            row.reason = self.details.reason.as_ref().map(|reason| reason.as_str().to_owned());
            row.details = to_json(&said)?;
            store::update_order(tx, &after, &row).await?;
            self.counts.changed(tx, before, after.status);
            if self.step.moves_goods() {
                store::update_line_counters(tx, &after).await?;
            }
            let version = after.version;
            Ok(Answer::new(&OrderView::new(after, self.actor.is_staff))?.version(version))
        })
        .await
    }
}

/// An order that the actor may know of, locked.
pub(crate) async fn lock_visible(tx: &Tx, id: Uuid, actor: &Actor) -> Result<Order, Problem> {
    let order = store::lock_order(tx, id).await?.ok_or_else(Problem::not_found)?;
    order.check_visible_to(actor.account, actor.is_staff).map(|()| order)
}

/// Staff may take any step, the owner only a few.
pub(crate) fn check_may_take(step: Step, actor: &Actor) -> Result<(), Problem> {
    if actor.is_staff || step.is_for_owner() {
        return Ok(());
    }
    Err(Problem::forbidden(format!("Only staff may {} an order.", step.as_str())).to(actor.account))
}

/// The order after a step, and what the history shall say of it besides the states.
pub(crate) fn advance(
    mut order: Order,
    step: Step,
    details: &StepDetails,
    is_staff: bool,
) -> Result<(Order, Said), Problem> {
    if !step.is_legal(&order, is_staff) {
        return Err(illegal_transition(step, &order, is_staff));
    }
    let said = match step {
        Step::Ship => move_goods(
            &mut order,
            details,
            |line| line.quantity - line.shipped,
            |line, count| line.shipped += count,
        )?,
        Step::Return => move_goods(
            &mut order,
            details,
            |line| line.shipped - line.returned,
            |line, count| {
                line.returned += count;
                line.delivered = line.delivered.max(line.returned);
            },
        )?,
        Step::Deliver => move_goods(
            &mut order,
            details,
            |line| line.shipped - line.delivered,
            |line, count| line.delivered += count,
        )?,
        Step::Pay => pay(&mut order, details)?,
        Step::Refund => refund(&mut order, details)?,
        Step::Confirm | Step::Hold | Step::Release | Step::Cancel => Said::default(),
    };
    order.status = step.to().unwrap_or(order.status);
    if is_complete(&order) {
        order.status = Status::Completed;
    }
    if order.status != Status::Pending {
        order.expires_at = None;
    }
    Ok((order, said))
}

/// 409, with what the caller may do instead.
fn illegal_transition(step: Step, order: &Order, is_staff: bool) -> Problem {
    let detail =
        if step == Step::Pay && order.received_minor() > 0 && order.due_minor() <= order.received_minor() {
            "All that is due is paid.".to_owned()
        } else if step.from().contains(&order.status) {
            format!("An order takes the step `{}` only if {}.", step.as_str(), step.needs())
        } else {
            format!("An order that is {} can't take the step `{}` now.", order.status.as_str(), step.as_str())
        };
    Problem::conflict("illegal_transition", detail)
        .with_member("allowed_transitions", allowed_transitions(order, is_staff))
}

/// Moves so much of each named line, or all that is open; the same line twice is summed first.
fn move_goods(
    order: &mut Order,
    details: &StepDetails,
    open: impl Fn(&Line) -> i64,
    apply: impl Fn(&mut Line, i64),
) -> Result<Said, Problem> {
    let counts = match &details.lines {
        None => order.lines.iter().map(&open).collect(),
        Some(_) => named_counts(order, details, &open)?,
    };
    let mut moved = Vec::new();
    for (line, count) in order.lines.iter_mut().zip(counts).filter(|(_, count)| *count > 0) {
        apply(line, count);
        moved.push(SaidLine { id: line.id, name: line.name.clone(), quantity: count });
    }
    Ok(Said {
        lines: moved,
        carrier: details.carrier.clone(),
        tracking: details.tracking.clone(),
        restock: details.restock,
        ..Said::default()
    })
}

fn named_counts(
    order: &Order,
    details: &StepDetails,
    open: &impl Fn(&Line) -> i64,
) -> Result<Vec<i64>, Problem> {
    let mut counts = vec![0; order.lines.len()];
    let mut faults = Vec::new();
    for (index, named) in details.lines.iter().flatten().enumerate() {
        let Some(position) = order.lines.iter().position(|line| line.id == named.id) else {
            faults.push(
                kit::fields::Invalid::value("is not a line of this order").at(&format!("lines[{index}].id")),
            );
            continue;
        };
        counts[position] += named.quantity.get();
        let most = open(&order.lines[position]);
        if counts[position] > most {
            let invalid = kit::fields::Invalid {
                code: "invalid_quantity",
                message: format!("must be at most {most}, which is all that is open").into(),
            };
            faults.push(invalid.at(&format!("lines[{index}].quantity")));
        }
    }
    if faults.is_empty() { Ok(counts) } else { Err(Problem::invalid(faults)) }
}

fn pay(order: &mut Order, details: &StepDetails) -> Result<Said, Problem> {
    if order.status == Status::Cancelled && details.amount.is_none() {
        return Err(Problem::invalid_field(
            "amount",
            "required",
            "is required, since the order is cancelled",
        ));
    }
    let amount = amount_of(order, details, order.due_minor() - order.received_minor())?;
    let paid = Money::from_minor(order.paid_minor + amount.minor(), order.total.currency());
    order.paid_minor =
        paid.ok_or_else(|| invalid_amount("must keep what was paid within 2^53-1 minor units"))?.minor();
    let (method, reference) = (details.method.clone(), details.reference.clone());
    Ok(Said { amount: Some(amount), method, reference, ..Said::default() })
}

fn refund(order: &mut Order, details: &StepDetails) -> Result<Said, Problem> {
    let open = order.received_minor();
    let amount = amount_of(order, details, open)?;
    if amount.minor() > open {
        return Err(invalid_amount("must be at most what was paid and not given back"));
    }
    order.refunded_minor += amount.minor();
    Ok(Said { amount: Some(amount), ..Said::default() })
}

/// The amount that was named, or all that is open.
fn amount_of(order: &Order, details: &StepDetails, open: i64) -> Result<Money, Problem> {
    let open = Money::from_minor(open, order.total.currency());
    named_amount(order, details)?.or(open).ok_or_else(|| invalid_amount("must be named"))
}

/// The amount that was named; one that the order's currency doesn't know is a fault of the body, whatever the order's state.
fn named_amount(order: &Order, details: &StepDetails) -> Result<Option<Money>, Problem> {
    let Some(named) = &details.amount else { return Ok(None) };
    let amount = named.in_currency(order.total.currency());
    let amount = amount.map_err(|invalid| Problem::invalid(vec![invalid.at("amount")]))?;
    if amount.minor() > 0 { Ok(Some(amount)) } else { Err(invalid_amount("must be more than 0")) }
}

fn invalid_amount(message: &'static str) -> Problem {
    Problem::invalid_field("amount", "invalid_amount", message)
}
