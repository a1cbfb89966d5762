//! Does every level equal the sum of its movements?

use db::Tx;
use uuid::Uuid;

use crate::store::{self, Summed};

/// So many products are added up by one statement, which must stay short on a live system.
const PRODUCTS_AT_ONCE: i64 = 500;

/// A figure that isn't what the ledger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Of what.
    pub product_id: Uuid,
    /// Where.
    pub location_id: Uuid,
    /// Which figure.
    pub figure: &'static str,
    /// What the level says; nothing where there is none.
    pub level: Option<i64>,
    /// What the ledger adds up to.
    pub ledger: i64,
}

/// Compares the levels of all products with the ledger, and tells `seen` how many products were added up so far. Changes nothing; what it finds is of
/// one moment if the transaction is.
pub async fn verify_levels(tx: &Tx, mut seen: impl FnMut(u64) + Send) -> Result<Vec<Difference>, db::Error> {
    let (mut last, mut count, mut found) = (Uuid::nil(), 0, Vec::new());
    loop {
        let products = store::next_products(tx, last, PRODUCTS_AT_ONCE).await?;
        let (Some(first), Some(end)) = (products.first(), products.last()) else { return Ok(found) };
        for summed in store::sum_ledger(tx, *first, *end).await? {
            differences(&summed, &mut found);
        }
        last = *end;
        count += products.len() as u64;
        seen(count);
    }
}

fn differences(summed: &Summed, found: &mut Vec<Difference>) {
    let figures = ["on_hand", "allocated", "unavailable", "version"];
    for (index, figure) in figures.into_iter().enumerate() {
        let (level, ledger) = (summed.level.map(|level| level[index]), summed.ledger[index]);
        if level != Some(ledger) {
            let (product_id, location_id) = (summed.product_id, summed.location_id);
            found.push(Difference { product_id, location_id, figure, level, ledger });
        }
    }
}
