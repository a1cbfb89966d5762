//! Deleting a product: one that anything ever happened to, or that isn't tracked, is taken off sale and kept, since orders and the ledger
//! may speak of it.

use db::Tx;
use events::EventType;
use futures_util::FutureExt;
use kit::author::Author;
use kit::etag::{IfMatch, of_versions};
use kit::problem::Problem;
use uuid::Uuid;

use crate::Inventory;
use crate::create_product::record_change;
use crate::model::Product;
use crate::search::words_of;
use crate::store::movements::was_moved;
use crate::store::products::{archive_product, delete_product as remove_product, lock_product, was_ordered};
use crate::store::words::replace_words;

pub(crate) async fn delete_product(
    inventory: &Inventory,
    product_id: Uuid,
    condition: IfMatch,
    author: Author,
) -> Result<(), Problem> {
    let db = &inventory.shared.db;
    let was_ordered = db.read(product_id, |tx, id| was_ordered_unmoved(tx, *id).boxed()).await?;
    let deleting = Deleting { product_id, was_ordered, condition, author };
    db.write(deleting, |tx, deleting| deleting.run(tx).boxed()).await
}

/// Whether orders name a product that they took no stock of. All their lines are looked through, so only where nothing else keeps it, and not by the writer.
async fn was_ordered_unmoved(tx: &Tx, product_id: Uuid) -> Result<bool, db::Error> {
    Ok(!was_moved(tx, product_id).await? && was_ordered(tx, product_id).await?)
}

struct Deleting {
    product_id: Uuid,
    was_ordered: bool,
    condition: IfMatch,
    author: Author,
}

impl Deleting {
    async fn run(&self, tx: &Tx) -> Result<(), Problem> {
        let product = lock_product(tx, self.product_id).await?.ok_or_else(Problem::not_found)?;
        self.condition.check_tag(&of_versions(product.version, product.stock.version))?;
        // Orders of what isn't tracked move nothing by which one of just now could be noticed.
        if !product.track_stock || self.was_ordered || was_moved(tx, product.id).await? {
            return self.archive(tx, product).await;
        }
        replace_words(tx, product.id, &words_of(&product), &Default::default()).await?;
        stock::store::close_levels(tx, product.id).await?;
        remove_product(tx, product.id).await?;
        Ok(record_change(tx, EventType::ProductDeleted, &product, Vec::new(), &self.author).await?)
    }

    async fn archive(&self, tx: &Tx, product: Product) -> Result<(), Problem> {
        if !product.active {
            return Ok(());
        }
        archive_product(tx, product.id, self.author.now.max(product.updated_at)).await?;
        let terms = product.terms();
        let archived = Product { active: false, version: product.version + 1, ..product };
        if archived.terms() != terms {
            stock::set_terms(tx, &[archived.terms()], &self.author).await?;
        }
        Ok(record_change(tx, EventType::ProductArchived, &archived, Vec::new(), &self.author).await?)
    }
}
