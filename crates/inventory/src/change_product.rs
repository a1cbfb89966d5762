//! Changing a product: what is named changes, all or nothing.

use audit::{Act, Action, Facts, PriceFacts};
use db::Tx;
use events::EventType;
use futures_util::FutureExt;
use kit::answer::{Answer, Resource};
use kit::author::Author;
use kit::etag::{IfMatch, of_versions};
use kit::fields::Invalid;
use kit::money::Money;
use kit::problem::{Fault, Problem};
use uuid::Uuid;

use crate::Inventory;
use crate::body::ChangeProduct;
use crate::create_product::{apply_details, record_change, refuse_taken, resolve_category};
use crate::model::Product;
use crate::search::words_of;
use crate::store::movements::was_moved;
use crate::store::products::{lock_product, update_product};
use crate::store::words::replace_words;
use crate::view::ProductView;

/// A change to make.
pub(crate) struct Changing {
    pub(crate) product_id: Uuid,
    pub(crate) change: ChangeProduct,
    pub(crate) condition: IfMatch,
    pub(crate) author: Author,
}

pub(crate) async fn change_product(
    inventory: &Inventory,
    changing: Changing,
) -> Result<Resource<ProductView>, Problem> {
    let product = inventory.shared.db.write(changing, |tx, changing| changing.run(tx).boxed()).await?;
    let versions = (product.version, product.stock.version);
    Ok(Answer::new(&ProductView::new(product, true))?.versions(versions.0, versions.1))
}

impl Changing {
    async fn run(&self, tx: &Tx) -> Result<Product, Problem> {
        let before = lock_product(tx, self.product_id).await?.ok_or_else(Problem::not_found)?;
        let mut after = before.clone();
        change_prices(&self.change, &mut after).map_err(Problem::invalid)?;
        if let Some(category) = &self.change.details.category {
            after.category = resolve_category(tx, category.as_ref()).await?;
        }
        self.condition.check_tag(&of_versions(before.version, before.stock.version))?;
        if !may_change_currency(tx, &before, &after).await? {
            let detail = "The currency of a product can't be changed once its stock has moved.";
            return Err(Problem::conflict("product_has_history", detail));
        }
        change_rest(&self.change, &mut after);
        let fields = changed_fields(&before, &after);
        // Nobody's version of it is out of date, and nobody is told.
        if fields.is_empty() {
            return Ok(before);
        }
        after.touch(self.author.now);
        if after.terms() != before.terms() {
            stock::set_terms(tx, &[after.terms()], &self.author).await?;
        }
        refuse_taken(update_product(tx, &after).await)?;
        replace_words(tx, after.id, &words_of(&before), &words_of(&after)).await?;
        record_change(tx, EventType::ProductChanged, &after, fields, &self.author).await?;
        record_prices(tx, &before, &after, &self.author).await?;
        Ok(after)
    }
}

async fn record_prices(tx: &Tx, before: &Product, after: &Product, author: &Author) -> Result<(), db::Error> {
    let facts = |product: &Product| PriceFacts {
        currency: product.currency().code(),
        unit_price: product.price,
        unit_cost: product.cost,
    };
    let (was, is) = (facts(before), facts(after));
    if was == is {
        return Ok(());
    }
    let act = Act::new(Action::PriceChanged, after.id).before(Facts::Price(was)).after(Facts::Price(is));
    audit::record(tx, author, act).await
}

/// What was ordered at a price, or came in at a cost, has kept its figure in the currency of then.
async fn may_change_currency(tx: &Tx, before: &Product, after: &Product) -> Result<bool, db::Error> {
    Ok(after.currency() == before.currency() || !was_moved(tx, before.id).await?)
}

/// A currency that changes takes both prices along, since their digits would mean another amount.
pub(crate) fn change_prices(change: &ChangeProduct, product: &mut Product) -> Result<(), Vec<Fault>> {
    let currency = change.currency.unwrap_or(product.currency());
    let mut faults = Vec::new();
    if currency != product.currency() {
        let missing = [
            ("unit_price", change.unit_price.is_none()),
            ("unit_cost", change.unit_cost.is_none() && product.cost.is_some()),
        ];
        let is_missing = missing.into_iter().filter(|(_, is_missing)| *is_missing);
        faults.extend(is_missing.map(|(field, _)| needs_amount(field)));
    }
    let mut keep = |field: &str, read: Result<Money, Invalid>| {
        read.map_err(|invalid| faults.push(invalid.at(field))).ok()
    };
    if let Some(price) = &change.unit_price {
        product.price = keep("unit_price", price.in_currency(currency)).unwrap_or(product.price);
    }
    if let Some(cost) = &change.unit_cost {
        product.cost = cost.as_ref().and_then(|cost| keep("unit_cost", cost.in_currency(currency)));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Changes all that is neither price nor category.
pub(crate) fn change_rest(change: &ChangeProduct, product: &mut Product) {
    if let Some(sku) = &change.sku {
        product.sku = sku.as_str().to_owned();
    }
    if let Some(name) = &change.name {
        product.name = name.as_str().to_owned();
    }
    apply_details(product, &change.details);
}

/// The names of the fields that differ.
pub(crate) fn changed_fields(before: &Product, after: &Product) -> Vec<&'static str> {
    let category = |product: &Product| product.category.as_ref().map(|category| category.id);
    let fields = [
        ("sku", before.sku != after.sku),
        ("name", before.name != after.name),
        ("description", before.description != after.description),
        ("barcode", before.barcode != after.barcode),
        ("category", category(before) != category(after)),
        ("unit_price", before.price != after.price),
        ("unit_cost", before.cost != after.cost),
        ("attributes", before.attributes != after.attributes),
        ("track_stock", before.track_stock != after.track_stock),
        ("backorder_limit", before.backorder_limit != after.backorder_limit),
        ("reorder_point", before.reorder_point != after.reorder_point),
        ("reorder_quantity", before.reorder_quantity != after.reorder_quantity),
        ("active", before.active != after.active),
        ("external_id", before.external_id != after.external_id),
        ("metadata", before.metadata != after.metadata),
    ];
    fields.into_iter().filter(|(_, is_changed)| *is_changed).map(|(field, _)| field).collect()
}

fn needs_amount(field: &str) -> Fault {
    let message = "must be named too where the currency changes";
    Invalid { code: "required", message: message.into() }.at(field)
}
