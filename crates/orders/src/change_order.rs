//! Changing an order: what it carries, its lines while it is pending, and its status by name.

use std::sync::Arc;

use db::Tx;
use futures_util::FutureExt;
use kit::answer::{Answer, Resource};
use kit::clock::Timestamp;
use kit::etag::IfMatch;
use kit::fields::Invalid;
use kit::money::Money;
use kit::problem::{Fault, Problem};
use uuid::Uuid;

use crate::Orders;
use crate::body::{ChangeOrder, NewLine, StepDetails, Target};
use crate::counts::OrderCounts;
use crate::lifecycle::{Action, Status, Step, allowed_transitions};
use crate::lines::{Agreed, Catalogue, free_text_line, in_range, listed_lines};
use crate::model::{Line, MAX_LINES, Order};
use crate::move_stock::move_stock;
use crate::place_order::{Actor, apply_details, history, priced};
use crate::said::{SaidChange, SaidLines, SaidStep, to_json};
use crate::store::{self, HistoryRow};
use crate::take_step::{advance, check_may_take, lock_visible};
use crate::view::OrderView;

/// A change to make.
pub(crate) struct Changing {
    pub(crate) order_id: Uuid,
    pub(crate) change: ChangeOrder,
    pub(crate) actor: Actor,
    pub(crate) condition: IfMatch,
    pub(crate) now: Timestamp,
    /// When it expires, if it then holds stock and didn't before.
    pub(crate) expires_at: Timestamp,
    pub(crate) counts: Arc<OrderCounts>,
}

/// New lines and their total.
type NewLines = (Vec<Line>, Money);

pub(crate) async fn change_order(
    orders: &Orders,
    changing: Changing,
) -> Result<Resource<OrderView>, Problem> {
    let db = &orders.shared.db;
    let catalogue = Catalogue::of(db, changing.change.lines.as_deref().unwrap_or_default()).await?;
    let input = (changing, catalogue);
    let order = db.write(input, |tx, (changing, catalogue)| changing.run(tx, catalogue).boxed()).await?;
    let version = order.0.version;
    Ok(Answer::new(&OrderView::new(order.0, order.1))?.version(version))
}

impl Changing {
    async fn run(&self, tx: &Tx, catalogue: &Catalogue) -> Result<(Order, bool), Problem> {
        let before = lock_visible(tx, self.order_id, &self.actor).await?;
        let step = self.step(&before)?;
        let lines = self.check_amounts(catalogue, &before)?;
        self.condition.check(before.version)?;
        let fields = self.named_fields();
        if fields.is_empty() && step.is_none() {
            return Ok((before, self.actor.is_staff));
        }
        let mut after = before.clone();
        apply_details(&mut after, &self.change.details);
        let relined = self.change_lines(&mut after, lines)?;
        let (had, has) = relined.then(|| SaidLines::between(&before, &after)).flatten().unzip();
        let mut said = SaidChange { fields, before: had, after: has, step: None };
        if let Some(step) = step {
            let (stepped, details) = advance(after, step, &StepDetails::default(), self.actor.is_staff)?;
            after = stepped;
            said.step = Some(SaidStep { name: step, details });
        }
        after.set_expiry(self.expires_at);
        after.touch(self.now);
        move_stock(tx, &before, &after, Some(&self.actor), true).await?;
        let action = step.map_or(Action::Change, Action::Take);
        let mut row = history(Some(&self.actor), action, Some(before.status), &after);
        row.details = to_json(&said)?;
        self.store(tx, &before, &after, relined, &row).await?;
        self.counts.changed(tx, before.status, after.status);
        if step.is_some_and(Step::moves_goods) {
            store::update_line_counters(tx, &after).await?;
        }
        Ok((after, self.actor.is_staff))
    }

    /// The step that the named status stands for.
    fn step(&self, before: &Order) -> Result<Option<Step>, Problem> {
        let Some(target) = self.change.status else { return Ok(None) };
        if let Some(step) = target.step(before.status) {
            check_may_take(step, &self.actor)?;
            return Ok(Some(step));
        }
        if target != Target::NoStep(before.status) {
            return Err(Problem::invalid(vec![Target::unknown().at("status")]));
        }
        self.condition.check(before.version)?;
        let detail = format!("The order is {} already.", before.status.as_str());
        Err(Problem::conflict("illegal_transition", detail)
            .with_member("allowed_transitions", allowed_transitions(before, self.actor.is_staff)))
    }

    async fn store(
        &self,
        tx: &Tx,
        before: &Order,
        after: &Order,
        relined: bool,
        row: &HistoryRow,
    ) -> Result<(), Problem> {
        if relined {
            store::replace_lines(tx, after).await?;
            let told: Vec<_> = priced(&self.actor, Some(before), after).into_iter().collect();
            audit::record_all(tx, &told).await?;
        }
        Ok(store::update_order(tx, after, row).await?)
    }

    /// The new lines, priced; or the faults that only show in the order's currency and the catalogue, which as those of a body outrank its version and
    /// state.
    fn check_amounts(&self, catalogue: &Catalogue, before: &Order) -> Result<Option<NewLines>, Problem> {
        let (change, currency) = (&self.change, before.total.currency());
        let lines = change.lines.as_ref().map(|lines| self.new_lines(lines, catalogue, before)).transpose();
        let (lines, mut faults) = lines.map_or_else(|faults| (None, faults), |lines| (lines, Vec::new()));
        let total = change.total_price.as_ref().map(|amount| amount.in_currency(currency));
        if let Some(Err(invalid)) = total {
            faults.push(invalid.at("total_price"));
        }
        if change.lines.is_some() && change.names_free_text() {
            let message = "must not stand beside product_name, quantity or total_price";
            faults.push(Invalid::value(message).at("lines"));
        }
        if faults.is_empty() { Ok(lines) } else { Err(Problem::invalid(faults)) }
    }

    /// The lines that shall take the place of the old. What staff priced of an order, its owner can neither change nor leave out: it stays, behind the others.
    fn new_lines(
        &self,
        lines: &[NewLine],
        catalogue: &Catalogue,
        before: &Order,
    ) -> Result<NewLines, Vec<Fault>> {
        let currency = before.total.currency();
        let (mut listed, total) =
            listed_lines(lines, catalogue, &Agreed::of(&before.lines, lines, catalogue), currency)?;
        if self.actor.is_staff || before.is_free_text {
            return Ok((listed, total));
        }
        listed.extend(before.lines.iter().filter(|line| line.product_id.is_none()).cloned());
        if listed.len() > MAX_LINES {
            let message = format!("must leave room for what staff put into the order: {MAX_LINES} in all");
            return Err(vec![Invalid { code: "invalid_length", message: message.into() }.at("lines")]);
        }
        let total = listed.iter().map(|line| line.total_minor).sum();
        let total = in_range(Money::from_minor(total, currency));
        Ok((listed, total.map_err(|invalid| vec![invalid.at("lines")])?))
    }

    /// Puts new lines in place of the old; says whether there are new ones.
    fn change_lines(&self, order: &mut Order, lines: Option<NewLines>) -> Result<bool, Problem> {
        if lines.is_none() && !self.change.names_free_text() {
            return Ok(false);
        }
        if order.status != Status::Pending {
            let detail = "The lines of an order can be changed only while it is pending.";
            return Err(Problem::conflict("order_not_pending", detail)
                .with_member("allowed_transitions", allowed_transitions(order, self.actor.is_staff)));
        }
        match lines {
            Some(lines) => {
                (order.lines, order.total) = lines;
                order.is_free_text = false;
            }
            None => self.change_free_text(order)?,
        }
        Ok(true)
    }

    fn change_free_text(&self, order: &mut Order) -> Result<(), Problem> {
        let change = &self.change;
        let [line] = order.lines.as_slice() else { return Err(not_free_text()) };
        let may_name = if self.actor.is_staff { line.product_id.is_none() } else { order.is_free_text };
        if !may_name {
            return Err(not_free_text());
        }
        let name = change.product_name.as_ref().map_or(&*line.name, |name| name.as_str());
        let quantity = change.quantity.map_or(line.quantity, |quantity| quantity.get());
        let total = match &change.total_price {
            None => order.total,
            Some(amount) => amount
                .in_currency(order.total.currency())
                .map_err(|invalid| Problem::invalid(vec![invalid.at("total_price")]))?,
        };
        let changed = free_text_line(name, quantity, total);
        order.lines = vec![Line { id: line.id, ..changed }];
        order.total = total;
        order.is_free_text &= change.total_price.is_none() || order.user_id == self.actor.account;
        Ok(())
    }

    /// The names of the fields that shall change.
    fn named_fields(&self) -> Vec<&'static str> {
        let (change, details) = (&self.change, &self.change.details);
        let named = [
            ("product_name", change.product_name.is_some()),
            ("quantity", change.quantity.is_some()),
            ("total_price", change.total_price.is_some()),
            ("lines", change.lines.is_some()),
            ("note", details.note.is_some()),
            ("ship_to", details.ship_to.is_some()),
            ("external_id", details.external_id.is_some()),
            ("metadata", details.metadata.is_some()),
        ];
        named.into_iter().filter(|(_, is_named)| *is_named).map(|(field, _)| field).collect()
    }
}

fn not_free_text() -> Problem {
    Problem::conflict(
        "order_not_free_text",
        "The lines of this order were listed, or priced by staff: change `lines` instead.",
    )
}
