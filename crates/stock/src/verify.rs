//! Does every level equal the sum of its movements, and does each of these tell what was there after it?

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use db::Tx;
use kit::clock::Timestamp;
use uuid::Uuid;

use crate::model::{Level, MAIN, Movement, Terms};
use crate::store;

/// So many products are compared at once, and only what is known of them is kept.
const PRODUCTS_AT_ONCE: i64 = 500;

/// So many rows of the ledger are read by one statement, which must stay short on a live system, however much a product was moved.
const ROWS_AT_ONCE: i64 = 5000;

/// What is wrong with a product's stock at a location.
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
    mistake: Mistake,
}

/// A figure that isn't what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// Not what the ledger adds up to; nothing where there is no level.
    Sum { figure: &'static str, level: Option<i64>, ledger: i64 },
    /// More can't be sold than lies there.
    Unavailable { unavailable: i64, on_hand: i64 },
    /// Not the product's limit at MAIN, and nothing elsewhere.
    BackorderLimit { level: i64, product: i64 },
    /// Likewise; the product's counts only while it is tracked.
    ReorderPoint { level: Option<i64>, product: Option<i64> },
    /// Each product has a level at MAIN, which knows its limit.
    NoMain,
    /// A row of the ledger tells another figure than the row before it and its own change make.
    Row { movement_id: Uuid, figure: &'static str, row: i64, sum: i64 },
}

/// A product at a location.
type Place = (Uuid, Uuid);

/// What the ledger says of a level: on hand, allocated, unavailable, and how many movements; and what its last row told was on hand and allocated.
#[derive(Default)]
struct Sum {
    figures: [i64; 4],
    told: [i64; 2],
}

/// Compares the levels of all products with the ledger, and tells `seen` how many products were added up so far. Changes nothing; what it finds is of
/// one moment if the transaction is.
pub async fn verify_levels(tx: &Tx, mut seen: impl FnMut(u64) + Send) -> Result<Vec<Difference>, db::Error> {
    let (mut last, mut count, mut found) = (Uuid::nil(), 0, Vec::new());
    loop {
        let products = store::next_products(tx, last, PRODUCTS_AT_ONCE).await?;
        // Behind the last product there may be movements of one that isn't there.
        let end = products.last().copied().unwrap_or(Uuid::max());
        let levels = store::levels_beside_products(tx, last, end).await?;
        let sums = add_up(tx, last, end, &mut found).await?;
        compare(&levels, &sums, &mut found);
        found.extend(without_main(&products, &levels));
        if products.is_empty() {
            return name_all(tx, found).await;
        }
        last = end;
        count += products.len() as u64;
        seen(count);
    }
}

/// Adds up the ledger of the products behind one id and up to another.
async fn add_up(
    tx: &Tx,
    after: Uuid,
    last: Uuid,
    found: &mut Vec<(Place, Mistake)>,
) -> Result<BTreeMap<Place, Sum>, db::Error> {
    let mut sums: BTreeMap<Place, Sum> = BTreeMap::new();
    // Behind all rows of the first product, which was added up before.
    let mut place = (after, Timestamp(i64::MAX), Uuid::max());
    loop {
        let rows = store::next_movements(tx, place, last, ROWS_AT_ONCE).await?;
        let Some(end) = rows.last() else { return Ok(sums) };
        place = (end.product_id, end.created_at, end.id);
        for row in &rows {
            let key = (row.product_id, row.location_id);
            let mistakes = sums.entry(key).or_default().add(row);
            found.extend(mistakes.into_iter().flatten().map(|mistake| (key, mistake)));
        }
    }
}

impl Sum {
    /// Adds a row, and says which of the figures it tells are wrong.
    fn add(&mut self, row: &Movement) -> [Option<Mistake>; 2] {
        let delta = row.delta;
        let changes = [delta.on_hand, delta.allocated, delta.unavailable, 1];
        self.figures.iter_mut().zip(changes).for_each(|(figure, change)| *figure += change);
        let sums = [self.told[0] + delta.on_hand, self.told[1] + delta.allocated];
        self.told = [row.on_hand_after, row.allocated_after];
        let mistake = |figure, row_says: i64, sum: i64| {
            let movement_id = row.id;
            (row_says != sum).then_some(Mistake::Row { movement_id, figure, row: row_says, sum })
        };
        [mistake("on_hand_after", self.told[0], sums[0]), mistake("allocated_after", self.told[1], sums[1])]
    }
}

fn compare(levels: &[(Level, Terms)], sums: &BTreeMap<Place, Sum>, found: &mut Vec<(Place, Mistake)>) {
    let levels: BTreeMap<Place, &(Level, Terms)> =
        levels.iter().map(|known| ((known.0.product_id, known.0.location_id), known)).collect();
    let places: BTreeSet<&Place> = levels.keys().chain(sums.keys()).collect();
    for place in places {
        let level = levels.get(place).map(|(level, _)| level);
        let ledger = sums.get(place).map(|sum| sum.figures).unwrap_or_default();
        let of_level = level.map(|level| [level.on_hand, level.allocated, level.unavailable, level.version]);
        for (index, figure) in ["on_hand", "allocated", "unavailable", "version"].into_iter().enumerate() {
            let (level, ledger) = (of_level.map(|figures| figures[index]), ledger[index]);
            if level.unwrap_or_default() != ledger {
                found.push((*place, Mistake::Sum { figure, level, ledger }));
            }
        }
        if let Some((level, terms)) = levels.get(place) {
            found.extend(mistakes_of(level, terms).into_iter().flatten().map(|mistake| (*place, mistake)));
        }
    }
}

fn without_main(products: &[Uuid], levels: &[(Level, Terms)]) -> Vec<(Place, Mistake)> {
    let at_main: BTreeSet<Uuid> = levels
        .iter()
        .filter(|(level, _)| level.location_id == MAIN)
        .map(|(level, _)| level.product_id)
        .collect();
    let without = products.iter().filter(|product| !at_main.contains(product));
    without.map(|product| ((*product, MAIN), Mistake::NoMain)).collect()
}

/// What is wrong with a level by itself, and beside its product.
fn mistakes_of(level: &Level, terms: &Terms) -> [Option<Mistake>; 3] {
    let Level { on_hand, unavailable, backorder_limit, reorder_point, .. } = *level;
    let is_main = level.location_id == MAIN;
    let limit = if is_main { terms.backorder_limit } else { 0 };
    let point = terms.reorder_point.filter(|_| is_main);
    [
        (unavailable > on_hand).then_some(Mistake::Unavailable { unavailable, on_hand }),
        (backorder_limit != limit)
            .then_some(Mistake::BackorderLimit { level: backorder_limit, product: limit }),
        (reorder_point != point).then_some(Mistake::ReorderPoint { level: reorder_point, product: point }),
    ]
}

/// They are few, so each is looked up by itself.
async fn name_all(tx: &Tx, found: Vec<(Place, Mistake)>) -> Result<Vec<Difference>, db::Error> {
    let mut named = Vec::with_capacity(found.len());
    for ((product_id, location_id), mistake) in found {
        let sku = store::find_sku(tx, product_id).await?;
        let location = store::find_code(tx, location_id).await?;
        named.push(Difference { product_id, sku, location_id, location, mistake });
    }
    Ok(named)
}

impl Display for Difference {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let sku = self.sku.as_deref().unwrap_or("?");
        write!(out, "product {sku}/{} at ", self.product_id)?;
        match &self.location {
            Some(code) => out.write_str(code)?,
            None => write!(out, "{}", self.location_id)?,
        }
        write!(out, ": {}", self.mistake)
    }
}

impl Display for Mistake {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sum { figure, level: Some(level), ledger } => {
                write!(out, "{figure} is {level}, the ledger says {ledger}")
            }
            Self::Sum { figure, level: None, ledger } => {
                write!(out, "there is no level, the ledger says {figure} {ledger}")
            }
            Self::Unavailable { unavailable, on_hand } => {
                write!(out, "unavailable is {unavailable}, but only {on_hand} on hand")
            }
            Self::BackorderLimit { level, product } => {
                write!(out, "backorder_limit is {level}, its product says {product}")
            }
            Self::ReorderPoint { level, product } => {
                let [level, product] = [level, product]
                    .map(|point| point.map_or_else(|| "none".to_owned(), |point| point.to_string()));
                write!(out, "reorder_point is {level}, its product says {product}")
            }
            Self::NoMain => out.write_str("there is no level"),
            Self::Row { movement_id, figure, row, sum } => {
                write!(out, "movement {movement_id} says {figure} {row}, the rows up to it say {sum}")
            }
        }
    }
}
