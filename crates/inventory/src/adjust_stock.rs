//! Putting a level right, once for an idempotency key.

use std::sync::Arc;

use audit::{Act, Action, CorrectionFacts, Facts, LevelFacts};
use db::Tx;
use futures_util::FutureExt;
use kit::answer::{Answer, Created};
use kit::author::Author;
use kit::idempotency::{self, Claim};
use kit::money::Money;
use kit::problem::{Fault, Problem};
use stock::{Adjusted, Adjustment, Level, MAIN, Refused};
use uuid::Uuid;

use crate::Inventory;
use crate::body::{AdjustStock, ProductReference};
use crate::counts::StockCounts;
use crate::model::{Product, Reference};
use crate::store::locations::find_location_named;
use crate::store::products::{ProductKey, find_product};
use crate::store::reason_codes::is_reason_code;
use crate::view::MovementView;

pub(crate) async fn adjust_stock(
    inventory: &Inventory,
    body: AdjustStock,
    author: Author,
    claim: Claim,
) -> Result<Created<MovementView>, Problem> {
    let adjusting = Adjusting { body, author, counts: inventory.counts.clone() };
    inventory
        .shared
        .db
        .write((adjusting, claim), |tx, (adjusting, claim)| {
            idempotency::once(tx, claim, || adjusting.run(tx)).boxed()
        })
        .await
}

struct Adjusting {
    body: AdjustStock,
    author: Author,
    counts: Arc<StockCounts>,
}

impl Adjusting {
    async fn run(&self, tx: &Tx) -> Result<Created<MovementView>, Problem> {
        let (adjustment, product) = self.adjustment(tx).await?;
        let adjusted = stock::adjust(tx, &adjustment).await.map_err(refused)?;
        self.counts.moved(tx, vec![adjusted.movement.kind]);
        audit::record(tx, &self.author, act(&adjusted)).await?;
        let view = MovementView::new(adjusted.movement, product.currency());
        Ok(Answer::new(&view)?.location(movements_of(product.id)))
    }

    /// What is to be done, once all that the body names is known to be there.
    async fn adjustment(&self, tx: &Tx) -> Result<(Adjustment, Product), Problem> {
        let (body, mut faults) = (&self.body, Vec::new());
        let found = match &body.unit_cost {
            Some(_) => take_referenced(tx, &body.product).await?,
            None => find_referenced(tx, &body.product).await?,
        };
        let product = keep(found, &mut faults);
        let location_id = match &body.location {
            Some(location) => keep(find_place(tx, "location", location).await?, &mut faults),
            None => Some(MAIN),
        };
        if let Some(reason) = &body.reason
            && !is_reason_code(tx, reason.as_str()).await?
        {
            faults.push(fault("reason", "unknown_reason", "is no reason code"));
        }
        let unit_cost = match (&body.unit_cost, &product) {
            (Some(cost), Some(product)) => keep(
                cost.in_currency(product.currency()).map_err(|invalid| invalid.at("unit_cost")),
                &mut faults,
            ),
            _ => None,
        };
        let (Some(product), Some(location_id), true) = (product, location_id, faults.is_empty()) else {
            return Err(Problem::invalid(faults));
        };
        let adjustment = Adjustment {
            product_id: product.id,
            location_id,
            change: body.change,
            expected_on_hand: body.expected_on_hand.map(|expected| expected.0),
            reason: body.reason.as_ref().map(|reason| reason.as_str().to_owned()),
            unit_cost_minor: unit_cost.map(Money::minor),
            author: self.author.clone(),
        };
        Ok((adjustment, product))
    }
}

/// What the audit log tells of it.
fn act(Adjusted { movement, before, after }: &Adjusted) -> Act {
    let facts =
        CorrectionFacts { movement_id: movement.id, kind: movement.kind.as_str(), level: level_facts(after) };
    Act::new(Action::StockCorrected, movement.product_id)
        .before(Facts::Level(level_facts(before)))
        .after(Facts::Correction(facts))
}

fn level_facts(level: &Level) -> LevelFacts {
    let Level { location_id, on_hand, unavailable, .. } = *level;
    LevelFacts { location_id, on_hand, unavailable }
}

/// A level of what is not there any more can't be stored: it was removed after this transaction looked for it.
pub(crate) fn refused(refused: Refused) -> Problem {
    match refused {
        Refused::Database(error) if error.violates("foreign_key") => {
            Problem::conflict("removed_meanwhile", "The product or the location was removed at this moment.")
        }
        other => other.into(),
    }
}

/// The value, or nothing with its fault among the others.
pub(crate) fn keep<T>(found: Result<T, Fault>, faults: &mut Vec<Fault>) -> Option<T> {
    found.map_err(|fault| faults.push(fault)).ok()
}

/// The product that a body names.
pub(crate) async fn find_referenced(
    tx: &Tx,
    named: &ProductReference,
) -> Result<Result<Product, Fault>, db::Error> {
    let key = match named {
        ProductReference::Id(id) => ProductKey::Id(*id),
        ProductReference::Sku(sku) => ProductKey::Sku(sku.key()),
    };
    let unknown = || fault(named.field(), "unknown_product", "is no product's");
    Ok(find_product(tx, &key).await?.ok_or_else(unknown))
}

/// The same with its stock taken, so that its currency stays what it is.
async fn take_referenced(tx: &Tx, named: &ProductReference) -> Result<Result<Product, Fault>, db::Error> {
    match find_referenced(tx, named).await? {
        Ok(product) => {
            stock::store::take_product(tx, product.id).await?;
            // By its id, since the SKU may have become another's meanwhile.
            find_referenced(tx, &ProductReference::Id(product.id)).await
        }
        Err(fault) => Ok(Err(fault)),
    }
}

/// The location that a body names in this field.
pub(crate) async fn find_place(
    tx: &Tx,
    field: &str,
    named: &Reference,
) -> Result<Result<Uuid, Fault>, db::Error> {
    let unknown = || fault(field, "unknown_location", "is no location's code or id");
    Ok(find_location_named(tx, named.as_str()).await?.ok_or_else(unknown))
}

pub(crate) fn fault(field: &str, code: &'static str, message: &'static str) -> Fault {
    Fault { field: field.to_owned(), code: code.into(), message: message.into() }
}

/// Where a product's movements are listed; one has no address of its own.
pub(crate) fn movements_of(product_id: Uuid) -> String {
    format!("/stock/movements?product_id={product_id}")
}
