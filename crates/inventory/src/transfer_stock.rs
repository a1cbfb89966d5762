//! Moving goods from one location to another, once for an idempotency key.

use std::sync::Arc;

use db::Tx;
use futures_util::FutureExt;
use kit::answer::{Answer, Created};
use kit::author::Author;
use kit::idempotency::{self, Claim};
use kit::problem::Problem;
use stock::Transfer;

use crate::Inventory;
use crate::adjust_stock::{fault, find_place, find_referenced, keep, movements_of, refused};
use crate::body::TransferStock;
use crate::counts::StockCounts;
use crate::model::Product;
use crate::view::{MovementView, TransferView};

pub(crate) async fn transfer_stock(
    inventory: &Inventory,
    body: TransferStock,
    author: Author,
    claim: Claim,
) -> Result<Created<TransferView>, Problem> {
    let transferring = Transferring { body, author, counts: inventory.counts.clone() };
    inventory
        .shared
        .db
        .write((transferring, claim), |tx, (transferring, claim)| {
            idempotency::once(tx, claim, || transferring.run(tx)).boxed()
        })
        .await
}

struct Transferring {
    body: TransferStock,
    author: Author,
    counts: Arc<StockCounts>,
}

impl Transferring {
    async fn run(&self, tx: &Tx) -> Result<Created<TransferView>, Problem> {
        let (transfer, product) = self.transfer(tx).await?;
        let movements = stock::transfer(tx, &transfer).await.map_err(refused)?;
        self.counts.moved(tx, movements.iter().map(|movement| movement.kind).collect());
        let currency = product.currency();
        let movements = movements.into_iter().map(|movement| MovementView::new(movement, currency)).collect();
        Ok(Answer::new(&TransferView { movements })?.location(movements_of(product.id)))
    }

    /// What is to be moved, once all that the body names is known to be there.
    async fn transfer(&self, tx: &Tx) -> Result<(Transfer, Product), Problem> {
        let (body, mut faults) = (&self.body, Vec::new());
        let product = keep(find_referenced(tx, &body.product).await?, &mut faults);
        let from = keep(find_place(tx, "from", &body.from).await?, &mut faults);
        let to = keep(find_place(tx, "to", &body.to).await?, &mut faults);
        if to.is_some() && to == from {
            faults.push(fault("to", "same_location", "must be another location than `from`"));
        }
        let (Some(product), Some(from), Some(to), true) = (product, from, to, faults.is_empty()) else {
            return Err(Problem::invalid(faults));
        };
        let (quantity, author) = (body.quantity.get(), self.author.clone());
        Ok((Transfer { product_id: product.id, from, to, quantity, author }, product))
    }
}
