//! The lines of an order: from what a request says to what is stored. What is stock gets its name and its price from the catalogue, as they are at
//! that moment.

use std::collections::{BTreeSet, HashMap};

use db::Db;
use futures_util::FutureExt;
use kit::clock::new_id;
use kit::fields::Invalid;
use kit::money::{Amount, Currency, Money};
use kit::problem::{Fault, Problem};
use kit::text::Quantity;
use stock::Sku;
use stock::store::{Item, find_items};

use crate::body::NewLine;
use crate::model::Line;

/// The products that a request names.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    /// By what makes an SKU unique.
    items: HashMap<String, Item>,
}

impl Catalogue {
    /// Looks up what these lines name. It comes before the transaction, which on SQLite only one thread runs.
    pub(crate) async fn of(db: &Db, lines: &[NewLine]) -> Result<Self, Problem> {
        let keys: BTreeSet<String> = lines.iter().filter_map(NewLine::sku).map(Sku::key).collect();
        if keys.is_empty() {
            return Ok(Self::default());
        }
        let keys: Vec<String> = keys.into_iter().collect();
        let items = db.lookup(keys, |tx, keys| find_items(tx, keys).boxed()).await?;
        Ok(Self { items: items.into_iter().map(|item| (item.sku_key.clone(), item)).collect() })
    }

    /// The currency of the first product that is there.
    pub(crate) fn currency(&self, lines: &[NewLine]) -> Option<Currency> {
        let mut items = lines.iter().filter_map(NewLine::sku).filter_map(|sku| self.items.get(&sku.key()));
        items.next().map(|item| item.price.currency())
    }

    fn find(&self, sku: &Sku, currency: Currency) -> Result<&Item, Invalid> {
        let item = self.items.get(&sku.key()).ok_or_else(unknown_sku)?;
        let own = item.price.currency();
        if own == currency { Ok(item) } else { Err(other_currency(own, currency)) }
    }
}

fn unknown_sku() -> Invalid {
    Invalid { code: "unknown_sku", message: "is no product that can be ordered".into() }
}

fn other_currency(own: Currency, currency: Currency) -> Invalid {
    let message = format!("is priced in {}, and the order is in {}", own.code(), currency.code());
    Invalid { code: "currency_mismatch", message: message.into() }
}

/// Lines as they are stored, and their total; or all their faults.
pub(crate) fn listed_lines(
    lines: &[NewLine],
    catalogue: &Catalogue,
    currency: Currency,
) -> Result<(Vec<Line>, Money), Vec<Fault>> {
    let (mut listed, mut faults, mut total) = (Vec::with_capacity(lines.len()), Vec::new(), 0_i64);
    for (index, line) in lines.iter().enumerate() {
        match listed_line(line, catalogue, currency) {
            Ok(line) => {
                total = total.saturating_add(line.total_minor);
                listed.push(line);
            }
            Err((field, invalid)) => faults.push(invalid.at(&format!("lines[{index}].{field}"))),
        }
    }
    match in_range(Money::from_minor(total, currency)) {
        Ok(total) if faults.is_empty() => return Ok((listed, total)),
        Ok(_) => {}
        Err(invalid) => faults.push(invalid.at("lines")),
    }
    Err(faults)
}

/// One line, or its faulty field.
fn listed_line(
    line: &NewLine,
    catalogue: &Catalogue,
    currency: Currency,
) -> Result<Line, (&'static str, Invalid)> {
    match line {
        NewLine::Stock { sku, quantity } => {
            let item = catalogue.find(sku, currency).map_err(|invalid| ("sku", invalid))?;
            let total =
                in_range(item.price.times(quantity.get())).map_err(|invalid| ("quantity", invalid))?;
            Ok(Line {
                sku: Some(item.sku.clone()),
                sku_key: Some(item.sku_key.clone()),
                product_id: Some(item.product_id),
                takes_stock: item.track_stock,
                ..new_line(&item.name, quantity.get(), Some(item.price.minor()), total.minor())
            })
        }
        NewLine::Free { name, quantity, unit_price } => {
            let priced = price(unit_price, *quantity, currency).map_err(|invalid| ("unit_price", invalid));
            let (unit, total) = priced?;
            Ok(new_line(name.as_str(), quantity.get(), Some(unit.minor()), total.minor()))
        }
    }
}

/// The faults of free lines' prices, which show before the catalogue is asked.
pub(crate) fn check_prices(lines: &[NewLine], currency: Currency) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut sum = 0_i64;
    for (index, line) in lines.iter().enumerate() {
        let NewLine::Free { quantity, unit_price, .. } = line else { continue };
        match price(unit_price, *quantity, currency) {
            Ok((_, total)) => sum = sum.saturating_add(total.minor()),
            Err(invalid) => faults.push(invalid.at(&format!("lines[{index}].unit_price"))),
        }
    }
    if let Err(invalid) = in_range(Money::from_minor(sum, currency)) {
        faults.push(invalid.at("lines"));
    }
    faults
}

/// A free line's price of one and of all.
fn price(unit_price: &Amount, quantity: Quantity, currency: Currency) -> Result<(Money, Money), Invalid> {
    let unit = unit_price.in_currency(currency)?;
    Ok((unit, in_range(unit.times(quantity.get()))?))
}

/// The line of an order whose buyer named the total: what one costs is only known where the total divides.
pub(crate) fn free_text_line(name: &str, quantity: i64, total: Money) -> Line {
    let unit_minor = (total.minor() % quantity == 0).then(|| total.minor() / quantity);
    new_line(name, quantity, unit_minor, total.minor())
}

fn new_line(name: &str, quantity: i64, unit_minor: Option<i64>, total_minor: i64) -> Line {
    Line {
        id: new_id(),
        sku: None,
        sku_key: None,
        product_id: None,
        takes_stock: false,
        name: name.to_owned(),
        quantity,
        shipped: 0,
        delivered: 0,
        returned: 0,
        unit_minor,
        total_minor,
    }
}

fn in_range(total: Option<Money>) -> Result<Money, Invalid> {
    let message = "must have a total of at most 2^53-1 minor units";
    total.ok_or_else(|| Invalid { code: "invalid_amount", message: message.into() })
}
