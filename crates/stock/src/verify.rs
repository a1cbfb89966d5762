//! Does every level equal the sum of its movements?

use std::fmt::{self, Display, Formatter};

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
    /// Its SKU, if it is there.
    pub sku: Option<String>,
    /// Where.
    pub location_id: Uuid,
    /// The location's code, if it is there.
    pub location: Option<String>,
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
        // Behind the last product there may be movements of one that isn't there.
        let end = products.last().copied().unwrap_or(Uuid::max());
        for summed in store::sum_ledger(tx, last, end).await? {
            differences(&summed, &mut found);
        }
        if products.is_empty() {
            return name_all(tx, found).await;
        }
        last = end;
        count += products.len() as u64;
        seen(count);
    }
}

fn differences(summed: &Summed, found: &mut Vec<Difference>) {
    let figures = ["on_hand", "allocated", "unavailable", "version"];
    for (index, figure) in figures.into_iter().enumerate() {
        let (level, ledger) = (summed.level.map(|level| level[index]), summed.ledger[index]);
        if level.unwrap_or_default() != ledger {
            let (product_id, location_id) = (summed.product_id, summed.location_id);
            let (sku, location) = (None, None);
            found.push(Difference { product_id, sku, location_id, location, figure, level, ledger });
        }
    }
}

/// They are few, so each is looked up by itself.
async fn name_all(tx: &Tx, mut found: Vec<Difference>) -> Result<Vec<Difference>, db::Error> {
    for difference in &mut found {
        difference.sku = store::find_sku(tx, difference.product_id).await?;
        difference.location = store::find_code(tx, difference.location_id).await?;
    }
    Ok(found)
}

impl Display for Difference {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { product_id, figure, ledger, .. } = self;
        let sku = self.sku.as_deref().unwrap_or("?");
        write!(out, "product {sku}/{product_id} at ")?;
        match &self.location {
            Some(code) => out.write_str(code)?,
            None => write!(out, "{}", self.location_id)?,
        }
        match self.level {
            Some(level) => write!(out, ": {figure} is {level}, the ledger says {ledger}"),
            None => write!(out, ": there is no level, the ledger says {figure} {ledger}"),
        }
    }
}
