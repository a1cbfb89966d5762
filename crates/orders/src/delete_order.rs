//! Deleting an order: it is cancelled if that is allowed, and hidden from its owner; history and staff's view stay.

use std::sync::Arc;

use db::Tx;
use futures_util::FutureExt;
use kit::clock::Timestamp;
use kit::etag::IfMatch;
use kit::problem::Problem;
use uuid::Uuid;

use crate::Orders;
use crate::body::StepDetails;
use crate::counts::OrderCounts;
use crate::lifecycle::{Action, Status, Step, allowed_transitions};
use crate::move_stock::move_stock;
use crate::place_order::{Actor, history};
use crate::store;
use crate::take_step::{advance, lock_visible};

/// An order to delete.
pub(crate) struct Deleting {
    pub(crate) order_id: Uuid,
    pub(crate) actor: Actor,
    pub(crate) condition: IfMatch,
    pub(crate) now: Timestamp,
    pub(crate) counts: Arc<OrderCounts>,
}

pub(crate) async fn delete_order(orders: &Orders, deleting: Deleting) -> Result<(), Problem> {
    orders.shared.db.write(deleting, |tx, deleting| deleting.run(tx).boxed()).await
}

impl Deleting {
    async fn run(&self, tx: &Tx) -> Result<(), Problem> {
        let order = lock_visible(tx, self.order_id, &self.actor).await?;
        self.condition.check(order.version)?;
        if order.hidden {
            return Ok(());
        }
        if order.was_shipped() {
            // Staff may still cancel it, so the step is not what is refused.
            let detail = "An order of which something was shipped can't be deleted.";
            return Err(Problem::conflict("illegal_transition", detail)
                .with_member("allowed_transitions", allowed_transitions(&order, self.actor.is_staff)));
        }
        let is_over = matches!(order.status, Status::Cancelled | Status::Expired);
        let mut after = order.clone();
        if !is_over {
            after = advance(after, Step::Cancel, &StepDetails::default(), self.actor.is_staff)?.0;
        }
        after.hidden = true;
        after.touch(self.now);
        move_stock(tx, &order, &after, Some(&self.actor), true).await?;
        self.counts.changed(tx, order.status, after.status);
        let row = history(Some(&self.actor), Action::Delete, Some(order.status), &after);
        Ok(store::update_order(tx, &after, &row).await?)
    }
}
