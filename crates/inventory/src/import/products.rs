//! Products from a file: a row whose SKU is known changes that product as `PATCH` does, any other makes one as `POST` does, by the same types.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use audit::Action;
use db::{Error, Tx};
use events::{EventType, record_many};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kit::author::Author;
use kit::clock::new_id;
use kit::csv::{Column, Kind, RowFaults, Table};
use kit::fields::{Faults, FromFields, Invalid, read_object};
use kit::json::Json;
use kit::problem::{Fault, Problem};
use stock::{Sku, Terms};
use uuid::Uuid;

use super::{Import, Importable, Tally};
use crate::body::{ChangeProduct, CreateProduct};
use crate::change_product::{change_prices, change_rest, changed_fields};
use crate::create_product::{change_of, new_product};
use crate::model::{Category, Label, Product, Reference};
use crate::search::words_of;
use crate::store::categories::{find_category, insert_category};
use crate::store::movements::list_moved;
use crate::store::or_conflict;
use crate::store::products::{find_ids_by_barcode, find_products_by_sku, store_products};
use crate::store::words::change_words;
use crate::view::CategoryView;

/// A column whose empty cells say nothing.
const fn set(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, clears: false }
}

/// A column whose empty cells clear the field.
const fn clearable(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, clears: true }
}

/// In the order in which they are exported.
pub(crate) const COLUMNS: &[Column] = &[
    set("sku", Kind::Text),
    set("name", Kind::Text),
    clearable("description", Kind::Text),
    clearable("barcode", Kind::Text),
    clearable("category", Kind::Text),
    set("unit_price", Kind::Amount),
    clearable("unit_cost", Kind::Amount),
    set("currency", Kind::Text),
    clearable("attributes", Kind::Object),
    set("track_stock", Kind::Flag),
    set("backorder_limit", Kind::Number),
    clearable("reorder_point", Kind::Number),
    clearable("reorder_quantity", Kind::Number),
    set("active", Kind::Flag),
    clearable("external_id", Kind::Text),
    clearable("metadata", Kind::Object),
];

/// Products.
pub(crate) struct Products;

impl Importable for Products {
    const ACTION: Action = Action::ProductsImported;
    const CHANGES_STOCK: bool = false;
    const FILLED: &'static str = "products, product_words, stock_levels, events";
    const COLUMNS: &'static [Column] = COLUMNS;

    fn keys(table: &Table, row: usize) -> Vec<(&'static str, String)> {
        let sku = table.text(row, "sku").map(|sku| ("sku", Sku::key_of(sku)));
        let barcode = table.text(row, "barcode").map(|barcode| ("barcode", barcode.to_owned()));
        sku.into_iter().chain(barcode).collect()
    }

    fn check<'a>(
        import: &'a Import<Self>,
        tx: &'a Tx,
        rows: &'a [usize],
        faults: &'a mut RowFaults,
    ) -> BoxFuture<'a, Result<Tally, Problem>> {
        async move { Ok(Plan::make(import, tx, rows, faults).await?.tally()) }.boxed()
    }

    fn store<'a>(
        import: &'a Import<Self>,
        tx: &'a Tx,
        rows: &'a [usize],
        faults: &'a mut RowFaults,
    ) -> BoxFuture<'a, Result<Tally, Problem>> {
        async move {
            let plan = Plan::make(import, tx, rows, faults).await?;
            if faults.is_empty() {
                plan.store(import, tx).await?;
            }
            Ok(plan.tally())
        }
        .boxed()
    }
}

/// What rows come to.
#[derive(Default)]
struct Plan {
    created: Vec<Product>,
    /// Before and after.
    changed: Vec<(Product, Product)>,
    unchanged: usize,
    new_categories: Vec<CategoryView>,
}

/// A row's product, as it will be.
struct Planned {
    row: usize,
    before: Option<Product>,
    after: Product,
}

impl Plan {
    async fn make(
        import: &Import<Products>,
        tx: &Tx,
        rows: &[usize],
        faults: &mut RowFaults,
    ) -> Result<Self, Error> {
        let table = &import.table;
        let mut known = find_known(table, tx, rows).await?;
        let mut categories = Categories::find(table, tx, rows).await?;
        let mut planned = Vec::with_capacity(rows.len());
        for row in rows.iter().copied() {
            let before = table.text(row, "sku").and_then(|sku| known.remove(&Sku::key_of(sku)));
            let mut found = Vec::new();
            let after = plan_row(import, row, before.as_ref(), &mut categories, &mut found);
            faults.add_row(table.number(row), found);
            planned.extend(after.map(|after| Planned { row, before, after }));
        }
        note_taken_barcodes(table, tx, &planned, faults).await?;
        note_fixed_currencies(table, tx, &planned, faults).await?;
        let mut plan = Self { new_categories: categories.new, ..Self::default() };
        for Planned { before, mut after, .. } in planned {
            match before {
                None => plan.created.push(after),
                Some(before) if before == after => plan.unchanged += 1,
                Some(before) => {
                    after.touch(import.author.now);
                    plan.changed.push((before, after));
                }
            }
        }
        plan.new_categories.sort_by_cached_key(|category| category.name.to_lowercase());
        plan.new_categories.iter_mut().for_each(|category| category.created_at = import.author.now);
        Ok(plan)
    }

    fn tally(&self) -> Tally {
        Tally {
            created: self.created.len(),
            changed: self.changed.len(),
            unchanged: self.unchanged,
            categories: self.new_categories.iter().map(|category| category.name.to_lowercase()).collect(),
            terms: self.new_terms().collect(),
            new_currencies: self.new_currencies().collect(),
        }
    }

    fn new_terms(&self) -> impl Iterator<Item = Terms> {
        let terms = self.changed.iter().map(|(before, after)| (before.terms(), after.terms()));
        terms.filter(|(before, after)| before != after).map(|(_, after)| after)
    }

    fn new_currencies(&self) -> impl Iterator<Item = Uuid> {
        let changed = self.changed.iter();
        changed.filter(|(before, after)| before.currency() != after.currency()).map(|(_, after)| after.id)
    }

    /// Stores all but the terms of products that are there.
    async fn store(&self, import: &Import<Products>, tx: &Tx) -> Result<(), Problem> {
        for category in &self.new_categories {
            let stored = insert_category(tx, category).await;
            or_conflict(
                stored,
                "categories_name_key",
                "category_taken",
                "A category was made meanwhile; try again.",
            )?;
        }
        match self.store_products(tx).await {
            Ok(true) => {}
            Err(error) if !["products_sku_key", "products_barcode"].iter().any(|key| error.violates(key)) => {
                return Err(error.into());
            }
            // What is taken now wasn't when the file was looked at.
            Ok(false) | Err(_) => return Err(changed_meanwhile()),
        }
        let opened: Vec<Terms> = self.created.iter().map(Product::terms).collect();
        stock::store::open_levels(tx, &opened, import.author.now).await?;
        self.tell(tx, &import.author).await?;
        Ok(self.store_words(tx).await?)
    }

    /// False if one was changed meanwhile. They are stored in the order of their SKUs, so that two files don't wait in a circle.
    async fn store_products(&self, tx: &Tx) -> Result<bool, Error> {
        let mut products: Vec<&Product> =
            self.created.iter().chain(self.changed.iter().map(|(_, after)| after)).collect();
        products.sort_by_cached_key(|product| product.sku_key());
        let new_barcodes = self.changed.iter().any(|(before, after)| before.barcode != after.barcode);
        store_products(tx, &products, new_barcodes).await
    }

    /// Each product has its event, as if it had come by itself.
    async fn tell(&self, tx: &Tx, author: &Author) -> Result<(), Error> {
        let created = self.created.iter().map(|product| (product.id, change_of(product, Vec::new())));
        record_many(tx, EventType::ProductCreated, created, author).await?;
        let changed = self.changed.iter();
        let changed =
            changed.map(|(before, after)| (after.id, change_of(after, changed_fields(before, after))));
        record_many(tx, EventType::ProductChanged, changed, author).await
    }

    async fn store_words(&self, tx: &Tx) -> Result<(), Error> {
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        for product in &self.created {
            new.extend(words_of(product).into_iter().map(|word| (word, product.id)));
        }
        for (before, after) in &self.changed {
            let (had, has) = (words_of(before), words_of(after));
            gone.extend(had.difference(&has).map(|word| (word.clone(), after.id)));
            new.extend(has.difference(&had).map(|word| (word.clone(), after.id)));
        }
        gone.sort_unstable();
        new.sort_unstable();
        change_words(tx, &gone, &new).await
    }
}

/// The products that are there, by what makes their SKUs unique.
async fn find_known(table: &Table, tx: &Tx, rows: &[usize]) -> Result<HashMap<String, Product>, Error> {
    let keys: Vec<String> = rows
        .iter()
        .filter_map(|row| table.text(*row, "sku"))
        .filter_map(searchable)
        .map(Sku::key_of)
        .collect();
    let found = find_products_by_sku(tx, &keys).await?;
    Ok(found.into_iter().map(|product| (product.sku_key(), product)).collect())
}

/// No text that is longer than any that is stored is looked for.
fn searchable(text: &str) -> Option<&str> {
    Some(text).filter(|text| text.chars().count() <= 64)
}

fn plan_row(
    import: &Import<Products>,
    row: usize,
    before: Option<&Product>,
    categories: &mut Categories,
    found: &mut Vec<Fault>,
) -> Option<Product> {
    let (json, mut faults) = import.table.object(row);
    found.append(&mut faults);
    let Some(before) = before else {
        let new: CreateProduct = read(import, &json, found)?;
        let category = categories.resolve(new.details.category.as_ref(), found)?;
        let product = new_product(&new, import.ids[row], import.author.now);
        return Some(Product { category: category.flatten(), ..product });
    };
    let change: ChangeProduct = read(import, &json, found)?;
    let mut after = before.clone();
    let priced = change_prices(&change, &mut after).map_err(|mut faults| found.append(&mut faults));
    let category = categories.resolve(change.details.category.as_ref(), found)?;
    priced.ok()?;
    after.category = category.unwrap_or(after.category);
    change_rest(&change, &mut after);
    Some(after)
}

fn read<T: FromFields>(import: &Import<Products>, json: &Json<'_>, found: &mut Vec<Fault>) -> Option<T> {
    let mut faults = Faults::new(import.context);
    let value = read_object(json, &mut faults);
    let mut faults = faults.into_list();
    let is_whole = faults.is_empty() && found.is_empty();
    found.append(&mut faults);
    value.filter(|_| is_whole)
}

/// The categories that rows name: those that are there, and those that they make.
struct Categories {
    known: BTreeMap<String, Category>,
    new: Vec<CategoryView>,
}

impl Categories {
    async fn find(table: &Table, tx: &Tx, rows: &[usize]) -> Result<Self, Error> {
        let named: BTreeSet<String> = rows
            .iter()
            .filter_map(|row| table.text(*row, "category"))
            .filter_map(searchable)
            .map(str::to_lowercase)
            .collect();
        let mut known = BTreeMap::new();
        for key in named {
            if let Some(category) = find_category(tx, &key).await? {
                known.insert(key, category);
            }
        }
        Ok(Self { known, new: Vec::new() })
    }

    /// What a row says of its category: outer nothing if it says a wrong thing, which is noted; then nothing if it leaves it, then nothing if it clears it.
    fn resolve(
        &mut self,
        named: Option<&Option<Reference>>,
        found: &mut Vec<Fault>,
    ) -> Option<Option<Option<Category>>> {
        let Some(named) = named else { return Some(None) };
        let Some(named) = named else { return Some(Some(None)) };
        let key = named.as_str().to_lowercase();
        if let Some(category) = self.known.get(&key) {
            return Some(Some(Some(category.clone())));
        }
        let label: Label =
            named.as_str().parse().map_err(|invalid: Invalid| found.push(invalid.at("category"))).ok()?;
        let category = Category { id: new_id(), name: label.0 };
        self.known.insert(key, category.clone());
        let (id, name) = (category.id, category.name.clone());
        self.new.push(CategoryView { id, name, created_at: kit::clock::Timestamp(0) });
        Some(Some(Some(category)))
    }
}

/// A barcode that another product has isn't free, even where its row gives it up: which of the two comes first the file doesn't say.
async fn note_taken_barcodes(
    table: &Table,
    tx: &Tx,
    planned: &[Planned],
    faults: &mut RowFaults,
) -> Result<(), Error> {
    let wanted: Vec<(&Planned, &String)> = planned
        .iter()
        .filter(|planned| {
            planned.before.as_ref().is_none_or(|before| before.barcode != planned.after.barcode)
        })
        .filter_map(|planned| Some((planned, planned.after.barcode.as_ref()?)))
        .collect();
    let barcodes: Vec<String> = wanted.iter().map(|(_, barcode)| (*barcode).clone()).collect();
    let owners: HashMap<String, Uuid> = find_ids_by_barcode(tx, &barcodes).await?.into_iter().collect();
    for (planned, barcode) in wanted {
        if owners.contains_key(barcode) {
            let invalid = Invalid { code: "barcode_taken", message: "is another product's".into() };
            faults.add(table.number(planned.row), "barcode", invalid);
        }
    }
    Ok(())
}

/// What was ordered at a price, or came in at a cost, has kept its figure in the currency of then.
async fn note_fixed_currencies(
    table: &Table,
    tx: &Tx,
    planned: &[Planned],
    faults: &mut RowFaults,
) -> Result<(), Error> {
    let changes = |planned: &&Planned| {
        planned.before.as_ref().is_some_and(|before| before.currency() != planned.after.currency())
    };
    let changing: Vec<Uuid> = planned.iter().filter(changes).map(|planned| planned.after.id).collect();
    let moved: BTreeSet<Uuid> = list_moved(tx, &changing).await?.into_iter().collect();
    for planned in planned.iter().filter(|planned| moved.contains(&planned.after.id)) {
        let message = "can't be changed once the product's stock has moved";
        let invalid = Invalid { code: "product_has_history", message: message.into() };
        faults.add(table.number(planned.row), "currency", invalid);
    }
    Ok(())
}

/// Does what is left of a file once all its rows are stored, with the stock of these products taken, which so can't move any more.
pub(super) async fn settle(tx: &Tx, tally: &Tally, author: &Author) -> Result<(), Problem> {
    let Tally { terms, new_currencies, .. } = tally;
    let products = terms.iter().map(|terms| terms.product_id).chain(new_currencies.iter().copied());
    stock::store::take_products(tx, &products.collect()).await?;
    if !list_moved(tx, new_currencies).await?.is_empty() {
        return Err(changed_meanwhile());
    }
    Ok(stock::set_terms(tx, terms, author).await?)
}

fn changed_meanwhile() -> Problem {
    Problem::conflict("changed_meanwhile", "A product was changed meanwhile; try again.")
}
