//! Placing an order, once for an idempotency key.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use audit::{Act, Facts, OrderFacts};
use db::{Db, SharedWrite, Tx};
use futures_util::FutureExt;
use futures_util::future::{join_all, ready};
use kit::answer::{Answer, Created};
use kit::author::Author;
use kit::clock::{Timestamp, new_id};
use kit::idempotency::{self, Claim};
use kit::problem::Problem;
use kit::request_id::RequestId;
use stock::OrderStock;
use uuid::Uuid;

use crate::Orders;
use crate::body::{Details, NewLines, PlaceOrder};
use crate::counts::OrderCounts;
use crate::invariants::check_order;
use crate::lifecycle::{Action, Status};
use crate::lines::{Agreed, Catalogue, free_text_line, listed_lines};
use crate::model::{Metadata, Order};
use crate::move_stock::{insufficient_stock, order_stock};
use crate::store::{self, HistoryRow, NewOrder};
use crate::view::OrderView;

/// Who acts, and by which request.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) account: Uuid,
    pub(crate) is_staff: bool,
    pub(crate) request_id: RequestId,
    /// From where, as far as it is looked at.
    pub(crate) address: Option<IpAddr>,
    /// The API key that acts for the account, if one does.
    pub(crate) key: Option<Uuid>,
}

impl Actor {
    /// As the audit log takes it.
    fn author(&self, now: Timestamp) -> Author {
        let (actor_id, request_id) = (Some(self.account), Some(self.request_id.to_string()));
        Author { actor_id, key_id: self.key, request_id, address: self.address, now }
    }
}

/// What the audit log tells if staff set a price that no catalogue knows; a buyer's own is for staff to confirm.
pub(crate) fn priced(actor: &Actor, before: Option<&Order>, after: &Order) -> Option<(Author, Act)> {
    if !actor.is_staff || after.priced_lines() == 0 {
        return None;
    }
    let facts = |order: &Order| {
        let (currency, total_price) = (order.total.currency().code(), order.total);
        Facts::Order(OrderFacts { currency, total_price, priced_lines: order.priced_lines() })
    };
    let act = Act::new(audit::Action::OrderPriced, after.id).after(facts(after));
    let act = before.map(facts).into_iter().fold(act, Act::before);
    Some((actor.author(after.updated_at), act))
}

/// An order to be placed, with all that can be made ready before its transaction, which only one thread runs on SQLite.
pub(crate) struct Placement {
    order: Order,
    words: String,
    history: HistoryRow,
    stock: OrderStock,
    actor: Actor,
    claim: Claim,
    /// How many pending orders there may be before this one; no limit for staff.
    max_pending: Option<i64>,
    counts: Arc<OrderCounts>,
}

/// What came of a placement.
pub(crate) enum Placed {
    /// The order's number.
    Number(i64),
    /// The whole answer, which belongs into the transaction where it is stored for an idempotency key.
    Answer(Created<OrderView>),
}

/// Placements, of which those that wait may share a transaction.
pub(crate) type Placements = SharedWrite<Arc<Placement>, Placed, Problem>;

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
    let order = match new_order(orders, &actor, new).await {
        Ok(order) => order,
        Err(refusal) => return repeat_or_refuse(db, claim, refusal).await,
    };
    let placement = Arc::new(Placement {
        words: order.words(),
        history: history(Some(&actor), Action::Place, None, &order),
        stock: order_stock(&order, Some(&actor), BTreeMap::new(), order.held()),
        max_pending: (!actor.is_staff).then_some(orders.max_pending),
        counts: Arc::clone(&orders.counts),
        order,
        actor,
        claim,
    });
    match db.write_shared(&orders.placements, Arc::clone(&placement)).await? {
        Placed::Number(number) => placement.answer(number),
        Placed::Answer(answer) => Ok(answer),
    }
}

/// The answer that this very request had before: what it names may have changed since. If it had none it is refused.
async fn repeat_or_refuse(db: &Db, claim: Claim, refusal: Problem) -> Result<Created<OrderView>, Problem> {
    if !claim.is_repeated(db).await? {
        return Err(refusal);
    }
    db.write((claim, refusal), |tx, (claim, refusal)| {
        idempotency::once(tx, claim, || ready(Err(refusal.clone()))).boxed()
    })
    .await
}

/// Places orders together, each once for its idempotency key. One that is refused leaves nothing and is in no other's way.
async fn place_all(tx: &Tx, placements: &[Arc<Placement>]) -> Result<Vec<Result<Placed, Problem>>, Problem> {
    let claims: Vec<&Claim> = placements.iter().map(|placement| &placement.claim).collect();
    let earlier = idempotency::claim_all(tx, &claims).await?;
    let is_new = |(placement, earlier): (_, &Option<_>)| earlier.is_none().then(|| Arc::clone(placement));
    let new: Vec<Arc<Placement>> = placements.iter().zip(&earlier).filter_map(is_new).collect();
    let mut numbers = number_all(tx, &new).await?.into_iter();
    let mut placed = Vec::with_capacity(placements.len());
    for (placement, earlier) in placements.iter().zip(earlier) {
        placed.push(match earlier {
            Some(answer) => answer.map(Placed::Answer),
            None => {
                let number = numbers.next().ok_or_else(|| Problem::internal("an order was not placed"))?;
                placement.settle(tx, number).await?
            }
        });
    }
    Ok(placed)
}

/// Stores new orders, and gives each its number.
async fn number_all(tx: &Tx, placements: &[Arc<Placement>]) -> Result<Vec<Result<i64, Problem>>, Problem> {
    exclude_others(tx, placements).await?;
    let mut refusals = check_all(tx, placements).await?;
    allocate_all(tx, placements, &mut refusals).await?;
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
    new.iter().try_for_each(|new| check_order(tx, new.order))?;
    store::insert_orders(tx, &new).await?;
    let told: Vec<_> = placed.clone().filter_map(|(new, _)| priced(&new.actor, None, &new.order)).collect();
    audit::record_all(tx, &told).await?;
    placed.for_each(|(placement, _)| placement.counts.placed(tx, &placement.order));
    Ok(numbered)
}

/// Why each is refused, if it is, before stock is looked at.
async fn check_all(tx: &Tx, placements: &[Arc<Placement>]) -> Result<Vec<Option<Problem>>, db::Error> {
    let checks = placements.iter().enumerate().map(|(index, placement)| {
        // What is placed here before it is not counted yet.
        let earlier = placements.iter().take(index).filter(|other| other.counts_for(placement));
        placement.check(tx, i64::try_from(earlier.count()).unwrap_or(i64::MAX))
    });
    join_all(checks).await.into_iter().collect()
}

/// Takes the stock of all that are not refused; who comes too short is refused.
async fn allocate_all(
    tx: &Tx,
    placements: &[Arc<Placement>],
    refusals: &mut [Option<Problem>],
) -> Result<(), Problem> {
    let takers = (0..placements.len())
        .filter(|index| refusals[*index].is_none() && !placements[*index].stock.quantities.is_empty());
    let takers: Vec<usize> = takers.collect();
    let stocks: Vec<&OrderStock> = takers.iter().map(|index| &placements[*index].stock).collect();
    let shortages = stock::place(tx, &stocks).await?;
    for (index, short) in takers.into_iter().zip(shortages).filter(|(_, short)| !short.is_empty()) {
        let placement = &placements[index];
        // A later one was counted behind this one and refused for it: alone, each is looked at again.
        let mut later = placements.iter().zip(&*refusals).skip(index + 1);
        if later.any(|(other, refusal)| refusal.is_some() && placement.counts_for(other)) {
            return Err(Problem::internal(
                "placed together, an order that was refused stood in another's way",
            ));
        }
        refusals[index] = Some(insufficient_stock(&placement.order, &short));
    }
    Ok(())
}

/// One customer's placements go one by one, so that two of them don't both find the last place. All take their customers in the same order.
async fn exclude_others(tx: &Tx, placements: &[Arc<Placement>]) -> Result<(), db::Error> {
    let limited = placements.iter().filter(|placement| placement.max_pending.is_some());
    let customers: BTreeSet<Uuid> = limited.map(|placement| placement.order.user_id).collect();
    tx.exclude_others("customers", &customers.into_iter().collect::<Vec<_>>()).await
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

    /// What comes of it. With an idempotency key its answer is kept, or the key given up.
    async fn settle(
        &self,
        tx: &Tx,
        number: Result<i64, Problem>,
    ) -> Result<Result<Placed, Problem>, Problem> {
        if !self.claim.is_made() {
            return Ok(number.map(Placed::Number));
        }
        match number {
            Ok(number) => {
                let answer = self.answer(number)?;
                self.claim.keep(tx, &answer).await?;
                Ok(Ok(Placed::Answer(answer)))
            }
            Err(refusal) => {
                self.claim.give_up(tx).await?;
                Ok(Err(refusal))
            }
        }
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

/// The order that shall be placed, or what is wrong with its lines.
async fn new_order(orders: &Orders, actor: &Actor, new: PlaceOrder) -> Result<Order, Problem> {
    let shared = &orders.shared;
    let usual = new.currency.unwrap_or(shared.currency);
    let (lines, total, is_free_text) = match new.lines {
        NewLines::FreeText { product_name, quantity, total } => {
            let by_buyer = new.user_id.is_none_or(|buyer| buyer == actor.account);
            (vec![free_text_line(product_name.as_str(), quantity.get(), total)], total, by_buyer)
        }
        NewLines::Listed(lines) => {
            let catalogue = Catalogue::of(&shared.db, &lines).await?;
            let currency = new.currency.or_else(|| catalogue.currency(&lines)).unwrap_or(usual);
            let (lines, total) =
                listed_lines(&lines, &catalogue, &Agreed::default(), currency).map_err(Problem::invalid)?;
            (lines, total, false)
        }
    };
    let now = shared.clock.now();
    let mut order = Order {
        id: new_id(),
        number: 0,
        user_id: new.user_id.unwrap_or(actor.account),
        status: Status::Pending,
        total,
        lines,
        paid_minor: 0,
        refunded_minor: 0,
        is_free_text,
        note: None,
        ship_to: None,
        external_id: None,
        metadata: "{}".to_owned(),
        hidden: false,
        expires_at: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    apply_details(&mut order, &new.details);
    order.set_expiry(now.plus(orders.pending_expiry));
    Ok(order)
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

/// A row of an order's history, for a change that leads to the order as it is given; without an actor it happens by itself.
pub(crate) fn history(
    actor: Option<&Actor>,
    action: Action,
    from: Option<Status>,
    after: &Order,
) -> HistoryRow {
    HistoryRow {
        id: new_id(),
        order_id: after.id,
        action,
        from,
        to: after.status,
        actor_id: actor.map(|actor| actor.account),
        reason: None,
        details: "{}".to_owned(),
        request_id: actor.map(|actor| actor.request_id.to_string()),
        created_at: after.updated_at,
    }
}
