//! Statements on products.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use db::{Error, Row, Tx, Value};
use kit::clock::Timestamp;
use kit::money::Money;
use kit::page::{Conditions, Key, PageRequest, Position};
use kit::statement::{IDS_AT_ONCE, filled_up, placeholders, upsert_rows};
use uuid::Uuid;

use crate::model::{Category, Figures, Product};
use crate::search::{Among, RARE};
use crate::store::figures::LOW;
use crate::store::{list_names, paged};

const PRODUCT: &str = "id, sku, name, description, barcode, category_id,
                       (SELECT categories.name FROM categories WHERE categories.id = category_id) AS category, price_minor, cost_minor, currency, attributes,
                       track_stock, backorder_limit, reorder_point, reorder_quantity, active, external_id, metadata, version, created_at, updated_at";

const PRODUCT_COLUMNS: usize = 21;

fn product(row: &Row<'_>) -> Result<Product, Error> {
    let currency = row.get(9)?;
    let money = |minor: i64| {
        Money::from_minor(minor, currency).ok_or_else(|| Error::Internal(format!("stored price {minor}")))
    };
    let category_id: Option<Uuid> = row.get(5)?;
    let cost: Option<i64> = row.get(8)?;
    Ok(Product {
        id: row.get(0)?,
        sku: row.get(1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        barcode: row.get(4)?,
        category: match category_id {
            Some(id) => Some(Category { id, name: row.get(6)? }),
            None => None,
        },
        price: money(row.get(7)?)?,
        cost: cost.map(money).transpose()?,
        attributes: row.get(10)?,
        track_stock: row.get(11)?,
        backorder_limit: row.get(12)?,
        reorder_point: row.get(13)?,
        reorder_quantity: row.get(14)?,
        active: row.get(15)?,
        external_id: row.get(16)?,
        metadata: row.get(17)?,
        version: row.get(18)?,
        created_at: row.get(19)?,
        updated_at: row.get(20)?,
        stock: Figures::default(),
    })
}

/// What tells products apart.
#[derive(Clone, Debug)]
pub(crate) enum ProductKey {
    Id(Uuid),
    /// What makes the SKU unique.
    Sku(String),
    Barcode(String),
}

impl ProductKey {
    fn column(&self) -> &'static str {
        match self {
            Self::Id(_) => "id",
            Self::Sku(_) => "sku_key",
            Self::Barcode(_) => "barcode",
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Self::Id(id) => (*id).into(),
            Self::Sku(text) | Self::Barcode(text) => text.into(),
        }
    }
}

/// A product with its figures, in one statement, so that both are of one moment.
pub(crate) async fn find_product(tx: &Tx, key: &ProductKey) -> Result<Option<Product>, Error> {
    let column = key.column();
    let sql = format!(
        "SELECT {PRODUCT}, COALESCE(on_hand, 0), COALESCE(allocated, 0), COALESCE(unavailable, 0), COALESCE(stock_version, 0)
         FROM products LEFT JOIN (
             SELECT product_id, CAST(SUM(on_hand) AS BIGINT) AS on_hand, CAST(SUM(allocated) AS BIGINT) AS allocated,
                    CAST(SUM(unavailable) AS BIGINT) AS unavailable, CAST(SUM(version) AS BIGINT) AS stock_version
             FROM stock_levels WHERE product_id = (SELECT id FROM products WHERE {column} = $1) GROUP BY product_id
         ) AS sums ON product_id = id WHERE {column} = $1"
    );
    let read = |row: &Row<'_>| Ok(Product { stock: figures(row, PRODUCT_COLUMNS)?, ..product(row)? });
    tx.optional(&sql, &[key.value()], read).await
}

/// The figures whose columns begin with `first`.
fn figures(row: &Row<'_>, first: usize) -> Result<Figures, Error> {
    Ok(Figures {
        on_hand: row.get(first)?,
        allocated: row.get(first + 1)?,
        unavailable: row.get(first + 2)?,
        version: row.get(first + 3)?,
    })
}

/// A product with its figures, locked until the transaction ends, and then its stock too: all take a product's row before its stock, so nobody waits in a
/// circle. The update that changes nothing takes the row's lock on an engine where writers run side by side.
pub(crate) async fn lock_product(tx: &Tx, id: Uuid) -> Result<Option<Product>, Error> {
    let sql = format!("UPDATE products SET version = version WHERE id = $1 RETURNING {PRODUCT}");
    let Some(mut locked) = tx.optional(&sql, &[id.into()], product).await? else { return Ok(None) };
    stock::store::take_product(tx, id).await?;
    add_figures(tx, std::slice::from_mut(&mut locked)).await?;
    Ok(Some(locked))
}

/// What the list of products is filtered by.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProductFilter {
    /// A category's id, or what makes its name unique.
    pub(crate) category: Option<String>,
    /// Both must hold: what was asked for, and what the caller may see.
    pub(crate) active: [Option<bool>; 2],
    pub(crate) sku_key: Option<String>,
    pub(crate) low_stock: Option<bool>,
    /// Folded words.
    pub(crate) words: Vec<String>,
}

impl ProductFilter {
    /// Of a few candidates `is_few` says that no index is to be used but theirs: a whole category would be read instead of them.
    fn add_to<'a>(&'a self, patterns: &'a [String], is_few: bool, conditions: &mut Conditions<'a>) {
        let by_row =
            |condition: &str| if is_few { format!("({condition}) IS TRUE") } else { condition.to_owned() };
        for active in self.active.into_iter().flatten() {
            conditions.and("active = {}", active);
        }
        if let Some(category) = &self.category {
            let named = "category_id = (SELECT categories.id FROM categories WHERE name_key = {})";
            match Uuid::try_parse(category) {
                Ok(id) => conditions.and(&by_row("category_id = {}"), id),
                Err(_) => conditions.and(&by_row(named), category),
            }
        }
        if let Some(sku_key) = &self.sku_key {
            conditions.and("sku_key = {}", sku_key);
        }
        match self.low_stock {
            Some(true) => conditions.only(&by_row(LOW)),
            Some(false) => conditions.only(&format!("NOT ({LOW})")),
            None => {}
        }
        for pattern in patterns {
            conditions.and("search LIKE {}", pattern);
        }
    }
}

/// How many candidates a statement names: few texts of it, since an engine keeps only so many prepared.
const CANDIDATES: [usize; 4] = [8, 80, 800, RARE];

/// A page of products with their figures, among those that can match.
pub(crate) async fn list_products(
    tx: &Tx,
    filter: &ProductFilter,
    among: &Among,
    page: &PageRequest,
) -> Result<(Vec<Product>, Option<i64>), Error> {
    let mut conditions = Conditions::new();
    let from = read_among(among, page, &mut conditions);
    let patterns: Vec<String> = filter.words.iter().map(|word| kit::search::pattern(word)).collect();
    let is_few = matches!(among, Among::Few(_) | Among::WithWord(_));
    filter.add_to(&patterns, is_few, &mut conditions);
    let paged = paged(tx, "id", &from, &mut conditions, page).await?;
    // All the rest is read of the page alone, whatever was looked through for it.
    let (sort, direction) = (page.sort, page.direction());
    let sql = format!(
        "SELECT {PRODUCT} FROM products WHERE id IN ({}) ORDER BY {sort} {direction}, id {direction}",
        paged.sql
    );
    let mut found = tx.rows(&sql, conditions.args(), product).await?;
    add_figures(tx, &mut found).await?;
    Ok((found, paged.total))
}

/// What to read from, with the conditions that leave only those that can match.
fn read_among<'a>(among: &'a Among, page: &'a PageRequest, conditions: &mut Conditions<'a>) -> String {
    match among {
        Among::Few(few) => {
            let room = CANDIDATES.into_iter().find(|room| *room >= few.len()).unwrap_or(few.len());
            // The last of them again and again, up to the length of the text.
            let named = few.iter().chain(few.last().into_iter().cycle()).take(room);
            let list: Vec<String> = named.map(|id| conditions.bind(*id)).collect();
            // The limit, which is never reached, keeps PostgreSQL from looking for them among all in the list's order.
            return format!(
                "(SELECT * FROM products WHERE id IN ({}) LIMIT {room}) AS products",
                list.join(", ")
            );
        }
        Among::First(count) => {
            let (sort, direction) = (page.sort, page.direction());
            let after = conditions.behind(page).map(|after| format!(" WHERE {after}")).unwrap_or_default();
            let limit = conditions.bind(i64::try_from(*count).unwrap_or(i64::MAX));
            return format!(
                "(SELECT * FROM products{after} ORDER BY {sort} {direction}, id {direction} LIMIT {limit}) AS products"
            );
        }
        // The order of a CROSS JOIN is kept, so that the products of the word are read, and not all in their order.
        Among::WithWord(range) => {
            let (from, behind) = (conditions.bind(&range.from), conditions.bind(&range.behind));
            conditions.only("id = product_id");
            return format!(
                "(SELECT DISTINCT product_id FROM product_words WHERE word >= {from} AND word < {behind}) AS found
                 CROSS JOIN products"
            );
        }
        Among::All => {}
    }
    "products".to_owned()
}

/// Adds what there is of each.
async fn add_figures(tx: &Tx, products: &mut [Product]) -> Result<(), Error> {
    if products.is_empty() {
        return Ok(());
    }
    let ids = filled_up(products.iter().map(|product| product.id.into()).collect());
    let sql = format!(
        "SELECT product_id, CAST(SUM(on_hand) AS BIGINT), CAST(SUM(allocated) AS BIGINT), CAST(SUM(unavailable) AS BIGINT),
                CAST(SUM(version) AS BIGINT)
         FROM stock_levels WHERE product_id IN ({}) GROUP BY product_id",
        placeholders(ids.len())
    );
    let read = |row: &Row<'_>| Ok((row.get::<Uuid>(0)?, figures(row, 1)?));
    let found: BTreeMap<Uuid, Figures> = tx.rows(&sql, &ids, read).await?.into_iter().collect();
    for product in products {
        product.stock = found.get(&product.id).copied().unwrap_or_default();
    }
    Ok(())
}

/// Where a product stands in a list sorted by `sort`.
pub(crate) fn product_position(product: &Product, sort: &str) -> Position {
    let key = match sort {
        "name" => Key::Text(product.name.clone()),
        "sku_key" => Key::Text(product.sku_key()),
        "price_minor" => Key::Int(product.price.minor()),
        _ => Key::Int(product.created_at.0),
    };
    Position { key, id: product.id }
}

/// The columns of a product that a change may touch, in the order of [`product_args`].
const STORED: [&str; 20] = [
    "id",
    "sku",
    "sku_key",
    "name",
    "description",
    "barcode",
    "category_id",
    "price_minor",
    "cost_minor",
    "currency",
    "attributes",
    "track_stock",
    "backorder_limit",
    "reorder_point",
    "reorder_quantity",
    "active",
    "external_id",
    "metadata",
    "version",
    "updated_at",
];

/// So many, and the text to find it by, and when it was made.
const UPSERTED: usize = STORED.len() + 2;

fn product_args<'a>(product: &'a Product, sku_key: &'a str) -> Vec<Value<'a>> {
    vec![
        product.id.into(),
        (&product.sku).into(),
        sku_key.into(),
        (&product.name).into(),
        product.description.as_ref().into(),
        product.barcode.as_ref().into(),
        product.category.as_ref().map(|category| category.id).into(),
        product.price.minor().into(),
        product.cost.map(Money::minor).into(),
        product.currency().code().into(),
        (&product.attributes).into(),
        product.track_stock.into(),
        product.backorder_limit.into(),
        product.reorder_point.into(),
        product.reorder_quantity.into(),
        product.active.into(),
        product.external_id.as_ref().into(),
        (&product.metadata).into(),
        product.version.into(),
        product.updated_at.0.into(),
    ]
}

/// Stores a new product, without its level and its words.
pub(crate) async fn insert_product(tx: &Tx, product: &Product) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO products ({}, search, created_at) VALUES ({})",
        STORED.join(", "),
        placeholders(STORED.len() + 2)
    );
    let (sku_key, search) = (product.sku_key(), product.search_text());
    let mut args = product_args(product, &sku_key);
    args.extend([Value::from(&search), product.created_at.0.into()]);
    tx.execute(&sql, &args).await.map(drop)
}

/// Stores many new products and changed ones, without levels and words. Each that was there must have the version before, and keeps its SKU's key; false if one
/// hasn't that version any more. A statement that names a unique column keeps those waiting on PostgreSQL who give its product a level, so barcodes are named
/// only where one changes.
pub(crate) async fn store_products(
    tx: &Tx,
    products: &[&Product],
    new_barcodes: bool,
) -> Result<bool, Error> {
    let insert = format!("INSERT INTO products ({}, search, created_at)", STORED.join(", "));
    let is_kept =
        |column: &str| ["id", "sku_key"].contains(&column) || (column == "barcode" && !new_barcodes);
    let columns = STORED.into_iter().filter(|column| !is_kept(column)).chain(["search"]);
    let columns: Vec<String> = columns.map(|column| format!("{column} = excluded.{column}")).collect();
    let over = format!(
        "ON CONFLICT (id) DO UPDATE SET {} WHERE products.version = excluded.version - 1",
        columns.join(", ")
    );
    let texts: Vec<[String; 2]> =
        products.iter().map(|product| [product.sku_key(), product.search_text()]).collect();
    let rows: Vec<_> =
        products.iter().zip(&texts).map(|(product, texts)| upsert_args(product, texts)).collect();
    let stored = upsert_rows(tx, &insert, &["$"; UPSERTED], &over, &rows).await?;
    Ok(usize::try_from(stored) == Ok(products.len()))
}

fn upsert_args<'a>(product: &'a Product, [sku_key, search]: &'a [String; 2]) -> [Value<'a>; UPSERTED] {
    let mut row = [Value::Null; UPSERTED];
    row[..STORED.len()].copy_from_slice(&product_args(product, sku_key));
    row[STORED.len()..].copy_from_slice(&[search.into(), product.created_at.0.into()]);
    row
}

/// The products with these SKUs, given as what makes them unique, without their figures.
pub(crate) async fn find_products_by_sku(tx: &Tx, sku_keys: &[String]) -> Result<Vec<Product>, Error> {
    find_among(tx, PRODUCT, "sku_key", sku_keys, product).await
}

/// The ids of the products with these SKUs, given as what makes them unique.
pub(crate) async fn find_ids_by_sku(tx: &Tx, sku_keys: &[String]) -> Result<Vec<(String, Uuid)>, Error> {
    find_among(tx, "sku_key, id", "sku_key", sku_keys, |row| Ok((row.get(0)?, row.get(1)?))).await
}

/// The SKUs of these products.
pub(crate) async fn list_skus(tx: &Tx, ids: BTreeSet<Uuid>) -> Result<HashMap<Uuid, String>, Error> {
    list_names(tx, "SELECT id, sku FROM products WHERE id IN", ids).await
}

/// Whose these barcodes are.
pub(crate) async fn find_ids_by_barcode(tx: &Tx, barcodes: &[String]) -> Result<Vec<(String, Uuid)>, Error> {
    find_among(tx, "barcode, id", "barcode", barcodes, |row| Ok((row.get(0)?, row.get(1)?))).await
}

async fn find_among<T: Send>(
    tx: &Tx,
    columns: &str,
    key: &str,
    among: &[String],
    read: impl Fn(&Row<'_>) -> Result<T, Error> + Send + Sync,
) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    for among in among.chunks(IDS_AT_ONCE) {
        let args = filled_up(among.iter().map(Value::from).collect());
        let sql = format!("SELECT {columns} FROM products WHERE {key} IN ({})", placeholders(args.len()));
        found.extend(tx.rows(&sql, &args, &read).await?);
    }
    Ok(found)
}

/// Stores a changed product, without its words.
pub(crate) async fn update_product(tx: &Tx, product: &Product) -> Result<(), Error> {
    let columns =
        STORED.iter().enumerate().skip(1).map(|(index, column)| format!("{column} = ${}", index + 1));
    let columns = columns.collect::<Vec<_>>().join(", ");
    let sql = format!("UPDATE products SET {columns}, search = ${} WHERE id = $1", STORED.len() + 1);
    let (sku_key, search) = (product.sku_key(), product.search_text());
    let mut args = product_args(product, &sku_key);
    args.push((&search).into());
    tx.execute(&sql, &args).await.map(drop)
}

/// Takes a product off sale.
pub(crate) async fn archive_product(tx: &Tx, id: Uuid, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE products SET active = FALSE, version = version + 1, updated_at = $2 WHERE id = $1 AND active = TRUE";
    tx.later(&[(sql, &[id.into(), now.0.into()])]).await
}

/// Removes a product, of which no level is left.
pub(crate) async fn delete_product(tx: &Tx, id: Uuid) -> Result<(), Error> {
    tx.execute("DELETE FROM products WHERE id = $1", &[id.into()]).await.map(drop)
}

/// Whether an order ever named a product. No index helps, since one would cost a page for each line: this looks through all lines.
pub(crate) async fn was_ordered(tx: &Tx, id: Uuid) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM order_lines WHERE product_id = $1 LIMIT 1";
    Ok(tx.optional(sql, &[id.into()], |row| row.get::<i64>(0)).await?.is_some())
}
