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
use uuid::Uuid;

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

    fn find(&self, key: &str, currency: Currency) -> Result<&Item, Invalid> {
        let item = self.items.get(key).ok_or_else(unknown_sku)?;
        let own = item.price.currency();
        if own == currency { Ok(item) } else { Err(other_currency(own, currency)) }
    }
}

/// The lines of stock that an order has already. Who changes an order names its lines by the SKUs that it shows, or by what its products are called now, and
/// agreed to its prices: as long as it is no more of a product than there was, both stay, whatever has become of the catalogue.
#[derive(Default)]
pub(crate) struct Agreed<'a> {
    lines: HashMap<Uuid, AgreedLine<'a>>,
    /// The products of the SKUs that the order shows.
    products: HashMap<&'a str, Uuid>,
}

struct AgreedLine<'a> {
    line: &'a Line,
    /// How many the order has, in all its lines.
    quantity: i64,
    /// How many are wanted now, in all lines.
    wanted: i64,
}

impl<'a> Agreed<'a> {
    pub(crate) fn of(own: &'a [Line], wanted: &[NewLine], catalogue: &Catalogue) -> Self {
        let mut agreed = Self::default();
        for line in own {
            let (Some(key), Some(product)) = (line.sku_key.as_deref(), line.product_id) else { continue };
            agreed.products.entry(key).or_insert(product);
            let first = AgreedLine { line, quantity: 0, wanted: 0 };
            agreed.lines.entry(product).or_insert(first).quantity += line.quantity;
        }
        for line in wanted {
            let NewLine::Stock { sku, quantity } = line else { continue };
            let key = sku.key();
            let product = agreed.product(&key, catalogue.items.get(&key));
            if let Some(line) = product.and_then(|product| agreed.lines.get_mut(&product)) {
                line.wanted += quantity.get();
            }
        }
        agreed
    }

    /// Whose SKU it is: the product's that the order shows under it, or else the one's that has it now.
    fn product(&self, key: &str, item: Option<&Item>) -> Option<Uuid> {
        self.products.get(key).copied().or_else(|| item.map(|item| item.product_id))
    }

    fn find(&self, key: &str, item: Option<&Item>) -> Option<&AgreedLine<'a>> {
        self.lines.get(&self.product(key, item)?)
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
    agreed: &Agreed<'_>,
    currency: Currency,
) -> Result<(Vec<Line>, Money), Vec<Fault>> {
    let (mut listed, mut faults, mut total) = (Vec::with_capacity(lines.len()), Vec::new(), 0_i64);
    for (index, line) in lines.iter().enumerate() {
        match listed_line(line, catalogue, agreed, currency) {
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
    agreed: &Agreed<'_>,
    currency: Currency,
) -> Result<Line, (&'static str, Invalid)> {
    match line {
        NewLine::Stock { sku, quantity } => {
            let key = sku.key();
            let item = catalogue.find(&key, currency);
            let item = match agreed.find(&key, item.as_ref().ok().copied()) {
                None => item.map_err(|invalid| ("sku", invalid))?,
                Some(agreed) if agreed.wanted <= agreed.quantity => {
                    return Ok(agreed_line(agreed.line, quantity.get()));
                }
                Some(agreed) => item
                    .ok()
                    .filter(|item| agreed.line.product_id == Some(item.product_id))
                    .ok_or_else(|| ("quantity", no_more_than(agreed.quantity)))?,
            };
            stock_line(item, *quantity)
        }
        NewLine::Free { name, quantity, unit_price } => {
            let priced = price(unit_price, *quantity, currency).map_err(|invalid| ("unit_price", invalid));
            let (unit, total) = priced?;
            Ok(new_line(name.as_str(), quantity.get(), Some(unit.minor()), total.minor()))
        }
    }
}

/// A line of a product as it is now.
fn stock_line(item: &Item, quantity: Quantity) -> Result<Line, (&'static str, Invalid)> {
    let quantity = quantity.get();
    let total = in_range(item.price.times(quantity)).map_err(|invalid| ("quantity", invalid))?;
    Ok(Line {
        sku: Some(item.sku.clone()),
        sku_key: Some(item.sku_key.clone()),
        product_id: Some(item.product_id),
        takes_stock: item.track_stock,
        ..new_line(&item.name, quantity, Some(item.price.minor()), total.minor())
    })
}

/// A line of a product as the order has it already, of no more than that; all lines of stock know what one costs.
fn agreed_line(line: &Line, quantity: i64) -> Line {
    let total_minor = line.unit_minor.unwrap_or_default() * quantity;
    Line { id: new_id(), quantity, total_minor, ..line.clone() }
}

fn no_more_than(quantity: i64) -> Invalid {
    let message = format!(
        "must be at most {quantity} in all, which the order has: there is no more to be had of it under this SKU"
    );
    Invalid { code: "invalid_quantity", message: message.into() }
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

/// A sum, or the fault of one that is too large.
pub(crate) fn in_range(total: Option<Money>) -> Result<Money, Invalid> {
    let message = "must have a total of at most 2^53-1 minor units";
    total.ok_or_else(|| Invalid { code: "invalid_amount", message: message.into() })
}
