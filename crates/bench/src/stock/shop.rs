//! A shop to buy in: products with plenty of stock, and orders that were placed before.

use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::Result;
use fastrand::Rng;
use kit::clock::Clock;
use kit::search::fold;
use rusqlite::{Connection, params};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::filling;
use crate::placement::{Item, Line, Placement};
use crate::postgres::Database;
use crate::taking::MAIN;

/// Enough of each that it never sells out.
const ON_HAND: i64 = 1_000_000_000_000;
const PRICE: i64 = 1_999;

const COLOURS: [&str; 10] =
    ["red", "blue", "green", "black", "white", "grey", "yellow", "orange", "purple", "brown"];
const THINGS: [&str; 10] =
    ["laptop", "stand", "cable", "mouse", "keyboard", "screen", "lamp", "chair", "desk", "shelf"];

/// What is looked for, and how.
pub(super) const QUERIES: [(&str, &str); 8] = [
    ("by SKU", "sku-54321"),
    ("the beginning of a thousand SKUs", "sku-12"),
    ("the beginning of a thousand SKUs and a common word", "sku-12+red"),
    ("a common word", "laptop"),
    ("two common words", "red+lamp"),
    ("two common words that nothing has both of", "red+blue"),
    ("the beginning of a word", "keyb"),
    ("nothing", "zebra+laptop"),
];

/// So many products and orders.
pub(super) struct Shop {
    products: usize,
    orders: usize,
}

impl Shop {
    pub(super) fn new(quick: bool) -> Self {
        if quick {
            Self { products: 20_000, orders: 20_000 }
        } else {
            Self { products: 100_000, orders: 200_000 }
        }
    }

    pub(super) fn products(&self) -> usize {
        self.products
    }

    pub(super) fn orders(&self) -> usize {
        self.orders
    }

    /// Different products by chance, so many.
    pub(super) fn placement(&self, random: &mut Rng, lines: RangeInclusive<usize>) -> Placement {
        let count = random.usize(lines);
        let numbers = random.choose_multiple(0..self.products, count);
        Placement { lines: numbers.into_iter().map(|number| line(number, random.i64(1..4))).collect() }
    }

    pub(super) fn hot_placement(&self) -> Placement {
        Placement { lines: vec![line(self.products / 2, 1)] }
    }
}

fn line(number: usize, quantity: i64) -> Line {
    let item = Item { product: id(number), sku: sku(number) };
    Line { name: name(number), quantity, unit: PRICE, item: Some(item) }
}

fn id(number: usize) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | number as u128)
}

fn sku(number: usize) -> String {
    format!("SKU-{number:05}")
}

fn name(number: usize) -> String {
    let (colour, thing) = (COLOURS[number % 10], THINGS[number / 10 % 10]);
    format!("{colour} {thing} number {number}")
}

fn search(number: usize) -> String {
    fold([sku(number).as_str(), name(number).as_str()])
}

/// Fills a file that nothing serves yet.
pub(super) fn fill_sqlite(database: &Path, shop: &Shop) -> Result<()> {
    let mut connection = Connection::open(database)?;
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -524288;")?;
    let transaction = connection.transaction()?;
    for number in 0..shop.products {
        insert(&transaction, number)?;
    }
    transaction.commit()?;
    drop(connection);
    filling::fill_sqlite(database, kit::clock::new_id(), shop.orders).map(drop)
}

fn insert(connection: &Connection, number: usize) -> Result<()> {
    let (id, sku, name, search) = (id(number), sku(number), name(number), search(number));
    let (id, main, now) = (id.as_bytes().as_slice(), MAIN.as_bytes().as_slice(), Clock::default().now().0);
    connection.prepare_cached(PRODUCT)?.execute(params![
        id,
        sku,
        sku.to_lowercase(),
        name,
        PRICE,
        now,
        search
    ])?;
    for word in search.split_whitespace() {
        connection
            .prepare_cached(
                "INSERT INTO product_words (word, product_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?
            .execute(params![word, id])?;
    }
    connection.prepare_cached(LEVEL)?.execute(params![id, main, ON_HAND, now])?;
    connection.prepare_cached(RECEIPT)?.execute(params![id, main, ON_HAND, now])?;
    Ok(())
}

const PRODUCT: &str = "INSERT INTO products (id, sku, sku_key, name, price_minor, currency, attributes, track_stock, backorder_limit, active, metadata,
                                             search, version, created_at, updated_at)
                       VALUES (?1, ?2, ?3, ?4, ?5, 'USD', '{}', TRUE, 0, TRUE, '{}', ?7, 1, ?6, ?6)";
const LEVEL: &str = "INSERT INTO stock_levels (product_id, location_id, on_hand, allocated, unavailable, backorder_limit, version, updated_at)
                     VALUES (?1, ?2, ?3, 0, 0, 0, 1, ?4)";
const RECEIPT: &str = "INSERT INTO stock_movements (id, product_id, location_id, kind, on_hand_delta, allocated_delta, unavailable_delta,
                                                    on_hand_after, allocated_after, cause, cause_id, cause_step, created_at)
                       VALUES (?1, ?1, ?2, 'receive', ?3, 0, 0, ?3, 0, 'adjustment', ?1, 1, ?4)";

/// The same on PostgreSQL.
pub(super) async fn fill_postgres(database: &Database, shop: &Shop) -> Result<()> {
    let client = database.client().await?;
    insert_together(&client, shop.products).await?;
    filling::fill_postgres(&client, kit::clock::new_id(), shop.orders).await.map(drop)
}

async fn insert_together(client: &Client, products: usize) -> Result<()> {
    let (mut ids, mut skus, mut names, mut searches) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..products {
        ids.push(id(number));
        skus.push(sku(number));
        names.push(name(number));
        searches.push(search(number));
    }
    let now = Clock::default().now().0;
    let products = "INSERT INTO products (id, sku, sku_key, name, price_minor, currency, attributes, track_stock, backorder_limit, active, metadata,
                                          search, version, created_at, updated_at)
                    SELECT id, sku, lower(sku), name, $5, 'USD', '{}', TRUE, 0, TRUE, '{}', search, 1, $6, $6
                    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS given (id, sku, name, search)";
    client.execute(products, &[&ids, &skus, &names, &searches, &PRICE, &now]).await?;
    let words = "INSERT INTO product_words (word, product_id)
                 SELECT DISTINCT unnest(string_to_array(ltrim(search), ' ')), id FROM products";
    client.batch_execute(words).await?;
    for statement in [
        "INSERT INTO stock_levels (product_id, location_id, on_hand, allocated, unavailable, backorder_limit, version, updated_at)
         SELECT id, $1, $2, 0, 0, 0, 1, $3 FROM products",
        "INSERT INTO stock_movements (id, product_id, location_id, kind, on_hand_delta, allocated_delta, unavailable_delta, on_hand_after,
                                      allocated_after, cause, cause_id, cause_step, created_at)
         SELECT id, id, $1, 'receive', $2, 0, 0, $2, 0, 'adjustment', id, 1, $3 FROM products",
    ] {
        client.execute(statement, &[&MAIN, &ON_HAND, &now]).await?;
    }
    Ok(())
}
