//! Placing an order, once for an idempotency key.

use std::collections::BTreeSet;
use std::sync::Arc;

use db::{SharedWrite, Tx};
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::StatusCode;
use kit::answer::{Answer, Created};
use kit::clock::{Timestamp, new_id};
use kit::idempotency::{self, Claim};
use kit::money::{Currency, Money};
use kit::problem::Problem;
use kit::request_id::RequestId;
use uuid::Uuid;

use crate::Orders;
use crate::body::{Details, NewLine, NewLines, PlaceOrder};
use crate::counts::OrderCounts;
use crate::lifecycle::Status;
use crate::model::{Line, Metadata, Order};
use crate::store::{self, HistoryRow, NewOrder};
use crate::view::OrderView;

/// Who acts, and by which request.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) account: Uuid,
    pub(crate) is_staff: bool,
    pub(crate) request_id: RequestId,
}

/// An order to be placed, with all that can be made ready before its transaction, which only one thread runs on SQLite.
pub(crate) struct Placement {
    order: Order,
    words: String,
    history: HistoryRow,
    actor: Actor,
    /// How many pending orders there may be before this one; no limit for staff.
    max_pending: Option<i64>,
    counts: Arc<OrderCounts>,
}

/// Placements, of which those that wait may share a transaction; each results in the order's number.
pub(crate) type Placements = SharedWrite<Arc<Placement>, i64, Problem>;

pub(crate) fn placements() -> Placements {
    SharedWrite::new(|tx, placements| place_all(tx, placements).boxed())
}

pub(crate) async fn place_order(
    orders: &Orders,
    actor: Actor,
    new: PlaceOrder,
    claim: Claim,
) -> Result<Created<OrderView>, Problem> {
    let db = &orders.shared.db;
    let order = claim.outrank(db, new_order(&actor, new, orders.shared.clock.now())).await?;
    let placement = Arc::new(Placement {
        words: order.words(),
        history: history(&actor, "place", None, &order),
        max_pending: (!actor.is_staff).then_some(orders.max_pending),
        counts: Arc::clone(&orders.counts),
        order,
        actor,
    });
    if claim.is_made() {
        return db
            .write((placement, claim), |tx, (placement, claim)| {
                idempotency::once(tx, claim, || place_one(tx, placement)).boxed()
            })
            .await;
    }
    let number = db.write_shared(&orders.placements, Arc::clone(&placement)).await?;
    placement.answer(number)
}

/// Places an order whose answer belongs into its transaction.
async fn place_one(tx: &Tx, placement: &Arc<Placement>) -> Result<Created<OrderView>, Problem> {
    let placed = place_all(tx, std::slice::from_ref(placement)).await?.pop();
    placement.answer(placed.unwrap_or_else(|| Err(Problem::internal("an order was not placed")))?)
}

/// Places orders together. One that is refused leaves nothing and is in no other's way.
async fn place_all(tx: &Tx, placements: &[Arc<Placement>]) -> Result<Vec<Result<i64, Problem>>, Problem> {
    exclude_others(tx, placements).await?;
    let checks = placements.iter().enumerate().map(|(index, placement)| {
        // What is placed here before it is not counted yet.
        let earlier = placements.iter().take(index).filter(|other| other.counts_for(placement));
        placement.check(tx, i64::try_from(earlier.count()).unwrap_or(i64::MAX))
    });
    let refusals = join_all(checks).await.into_iter().collect::<Result<Vec<_>, db::Error>>()?;
    let count = refusals.iter().filter(|refusal| refusal.is_none()).count();
    let mut numbers = tx.next_numbers("order_numbers", count).await?.into_iter();
    let number = |refusal: Option<Problem>| match refusal {
        Some(problem) => Err(problem),
        None => numbers.next().ok_or_else(|| Problem::internal("too few order numbers")),
    };
    let numbered: Vec<_> = refusals.into_iter().map(number).collect();
    let placed =
        placements.iter().zip(&numbered).filter_map(|(new, number)| Some((new, *number.as_ref().ok()?)));
    let new: Vec<_> = placed.clone().map(|(placement, number)| placement.numbered(number)).collect();
    store::insert_orders(tx, &new).await?;
    placed.for_each(|(placement, _)| placement.counts.placed(tx, &placement.order));
    Ok(numbered)
}

/// One customer's placements go one by one, so that two of them don't both find the last place. All take their customers in the same order.
async fn exclude_others(tx: &Tx, placements: &[Arc<Placement>]) -> Result<(), db::Error> {
    let limited = placements.iter().filter(|placement| placement.max_pending.is_some());
    let customers: BTreeSet<Uuid> = limited.map(|placement| placement.order.user_id).collect();
    tx.exclude_others(&customers.into_iter().collect::<Vec<_>>()).await
}

impl Placement {
    /// Whether it takes one of the pending orders that the other's customer may have.
    fn counts_for(&self, other: &Self) -> bool {
        self.max_pending.is_some() && self.order.user_id == other.order.user_id
    }

    /// Why it is refused, if it is.
    async fn check(&self, tx: &Tx, earlier: i64) -> Result<Option<Problem>, db::Error> {
        let user_id = self.order.user_id;
        if let Some(max) = self.max_pending
            && earlier + store::count_pending(tx, user_id, max).await? >= max
        {
            return Ok(Some(too_many_pending(max)));
        }
        // Somebody else, for whom staff order by phone, must be there.
        if user_id != self.actor.account && accounts::store::find_account(tx, user_id).await?.is_none() {
            return Ok(Some(Problem::invalid_field("user_id", "unknown_user", "is no user's id")));
        }
        Ok(None)
    }

    fn numbered(&self, number: i64) -> NewOrder<'_> {
        let search = Order::search_text_of(number, &self.words);
        NewOrder { order: &self.order, number, search, history: &self.history }
    }

    fn answer(&self, number: i64) -> Result<Created<OrderView>, Problem> {
        let location = format!("/orders/{}", self.order.id);
        let order = Order { number, ..self.order.clone() };
        let version = order.version;
        Ok(Answer::new(&OrderView::new(order, self.actor.is_staff))?.version(version).location(location))
    }
}

fn too_many_pending(max: i64) -> Problem {
    let detail =
        format!("You have {max} pending orders already: wait until some are confirmed, or cancel some.");
    Problem::conflict("too_many_pending_orders", detail)
}

fn new_order(actor: &Actor, new: PlaceOrder, now: Timestamp) -> Result<Order, Problem> {
    let is_free_text = matches!(new.lines, NewLines::FreeText { .. });
    let lines = match new.lines {
        NewLines::FreeText { product_name, quantity, total } => {
            vec![free_text_line(product_name.as_str(), quantity.get(), total)]
        }
        NewLines::Listed(lines) => listed_lines(&lines, new.currency)?,
    };
    let mut order = Order {
        id: new_id(),
        number: 0,
        user_id: new.user_id.unwrap_or(actor.account),
        status: Status::Pending,
        total: total_of(&lines, new.currency)?,
        lines,
        paid_minor: 0,
        refunded_minor: 0,
        is_free_text,
        note: None,
        ship_to: None,
        external_id: None,
        metadata: "{}".to_owned(),
        hidden: false,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    apply_details(&mut order, &new.details);
    Ok(order)
}

/// The line of an order whose buyer named the total: what one costs is only known where the total divides.
pub(crate) fn free_text_line(name: &str, quantity: i64, total: Money) -> Line {
    let unit_minor = (total.minor() % quantity == 0).then(|| total.minor() / quantity);
    new_line(name, quantity, unit_minor, total.minor())
}

/// The lines that staff wrote; stock has to wait for its kernel.
pub(crate) fn listed_lines(lines: &[NewLine], currency: Currency) -> Result<Vec<Line>, Problem> {
    lines
        .iter()
        .map(|line| match line {
            NewLine::Stock { sku } => Err(stock_not_available_yet(sku.as_str())),
            NewLine::Free { name, quantity, unit_price } => {
                let unit = unit_price
                    .in_currency(currency)
                    .map_err(|invalid| Problem::invalid(vec![invalid.at("lines")]))?;
                let total = unit.times(quantity.get()).ok_or_else(out_of_range)?;
                Ok(new_line(name.as_str(), quantity.get(), Some(unit.minor()), total.minor()))
            }
        })
        .collect()
}

fn new_line(name: &str, quantity: i64, unit_minor: Option<i64>, total_minor: i64) -> Line {
    Line {
        id: new_id(),
        sku: None,
        product_id: None,
        name: name.to_owned(),
        quantity,
        shipped: 0,
        delivered: 0,
        returned: 0,
        unit_minor,
        total_minor,
    }
}

/// The total of lines, within the range of money.
pub(crate) fn total_of(lines: &[Line], currency: Currency) -> Result<Money, Problem> {
    let total = lines.iter().try_fold(0_i64, |total, line| total.checked_add(line.total_minor));
    total.and_then(|total| Money::from_minor(total, currency)).ok_or_else(out_of_range)
}

fn out_of_range() -> Problem {
    Problem::invalid_field("lines", "invalid_amount", "must have a total of at most 2^53-1 minor units")
}

fn stock_not_available_yet(sku: &str) -> Problem {
    let detail = format!(
        "{sku:?} can't be ordered by its SKU yet; send `product_name`, `quantity` and `total_price`."
    );
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "stock_not_available_yet", detail)
}

/// Changes what an order carries besides its lines.
pub(crate) fn apply_details(order: &mut Order, details: &Details) {
    if let Some(note) = &details.note {
        order.note = note.as_ref().map(|note| note.as_str().to_owned());
    }
    if let Some(ship_to) = &details.ship_to {
        order.ship_to = ship_to.as_ref().map(|ship_to| ship_to.0.clone());
    }
    if let Some(external_id) = &details.external_id {
        order.external_id = external_id.as_ref().map(|external_id| external_id.as_str().to_owned());
    }
    if let Some(metadata) = &details.metadata {
        order.metadata = metadata.as_ref().map_or("{}", Metadata::as_str).to_owned();
    }
}

/// A row of an order's history, for a change that leads to the order as it is given.
pub(crate) fn history(actor: &Actor, action: &str, from: Option<Status>, after: &Order) -> HistoryRow {
    HistoryRow {
        id: new_id(),
        order_id: after.id,
        action: action.to_owned(),
        from: from.map(|status| status.as_str().to_owned()),
        to: after.status.as_str().to_owned(),
        actor_id: Some(actor.account),
        reason: None,
        details: "{}".to_owned(),
        request_id: Some(actor.request_id.to_string()),
        created_at: after.updated_at,
    }
}
