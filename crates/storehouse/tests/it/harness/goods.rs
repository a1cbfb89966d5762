//! Products, locations and stock, made without a request; and whether all stock adds up.

use ::db::{Db, Error};
use futures_util::FutureExt;
use kit::author::Author;
use kit::clock::{Clock, Timestamp, new_id};
use stock::{Adjustment, Change, MAIN, Movement, Refused, Terms};
use uuid::Uuid;

/// A product to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goods<'a> {
    pub(crate) sku: &'a str,
    pub(crate) price_minor: i64,
    pub(crate) currency: &'a str,
    pub(crate) is_tracked: bool,
    pub(crate) backorder_limit: i64,
    /// At MAIN.
    pub(crate) on_hand: i64,
}

impl<'a> Goods<'a> {
    /// So much at MAIN, for 9.99 each.
    pub(crate) fn new(sku: &'a str, on_hand: i64) -> Self {
        Self { sku, price_minor: 999, currency: "USD", is_tracked: true, backorder_limit: 0, on_hand }
    }

    pub(crate) async fn add_to(self, db: &Db) -> Uuid {
        let id = new_id();
        let (name, key) = (format!("Thing {}", self.sku), self.sku.to_lowercase());
        let new = (id, self.sku.to_owned(), key, name, self.price_minor, self.currency.to_owned());
        let rest = (self.is_tracked, self.backorder_limit);
        let added: Result<(), Error> = db
            .write((new, rest), |tx, (new, rest)| {
                async move {
                    let (id, sku, key, name, price, currency) = new;
                    let (is_tracked, backorder_limit) = *rest;
                    let sql = "INSERT INTO products (id, sku, sku_key, name, price_minor, currency, attributes, track_stock, backorder_limit,
                                                     active, metadata, search, version, created_at, updated_at)
                               VALUES ($1, $2, $3, $4, $5, $6, '{}', $7, $8, TRUE, '{}', '', 1, 0, 0)";
                    let args = [
                        (*id).into(),
                        sku.into(),
                        key.into(),
                        name.into(),
                        (*price).into(),
                        currency.into(),
                        is_tracked.into(),
                        backorder_limit.into(),
                    ];
                    tx.execute(sql, &args).await?;
                    let terms = Terms { product_id: *id, backorder_limit, reorder_point: None };
                    stock::store::open_levels(tx, &[terms], Timestamp(0)).await
                }
                .boxed()
            })
            .await;
        added.unwrap();
        if self.on_hand > 0 {
            adjust(db, id, MAIN, Change::Receive(self.on_hand)).await.unwrap();
        }
        id
    }
}

/// A statement with two ids, the second of which may be any, in a transaction of its own.
async fn run(db: &Db, sql: &'static str, id: Uuid, text: &str, number: i64) {
    let done: Result<u64, Error> = db
        .write((id, text.to_owned(), number), move |tx, (id, text, number)| {
            async move { tx.execute(sql, &[(*id).into(), text.into(), (*number).into()]).await }.boxed()
        })
        .await;
    done.unwrap();
}

/// Another location; of those with little priority goods are taken first.
pub(crate) async fn add_location(db: &Db, code: &str, priority: i64) -> Uuid {
    let id = new_id();
    let sql = "INSERT INTO locations (id, code, code_key, name, priority, version, created_at, updated_at)
               VALUES ($1, $2, $2, $2, $3, 1, 0, 0)";
    run(db, sql, id, code, priority).await;
    id
}

/// Changes what the catalogue says of a product.
pub(crate) async fn reprice(db: &Db, product: Uuid, name: &str, price_minor: i64) {
    run(db, "UPDATE products SET name = $2, price_minor = $3 WHERE id = $1", product, name, price_minor)
        .await;
}

/// Makes a product one that can't be ordered any more.
pub(crate) async fn archive(db: &Db, product: Uuid) {
    let sql = "UPDATE products SET active = FALSE, name = $2, updated_at = $3 WHERE id = $1";
    run(db, sql, product, "gone", 0).await;
}

pub(crate) fn nobody() -> Author {
    Author::nobody(Clock::default().now())
}

/// Changes a level.
pub(crate) async fn adjust(
    db: &Db,
    product_id: Uuid,
    location_id: Uuid,
    change: Change,
) -> Result<Movement, Refused> {
    let (expected_on_hand, reason, unit_cost_minor) = (None, None, None);
    let author = nobody();
    let adjustment =
        Adjustment { product_id, location_id, change, expected_on_hand, reason, unit_cost_minor, author };
    let adjusted = db.write(adjustment, |tx, adjustment| stock::adjust(tx, adjustment).boxed()).await;
    adjusted.map(|adjusted| adjusted.movement)
}

/// On hand, allocated and unavailable of a product at a location; nothing where it has no level.
pub(crate) async fn level(db: &Db, product: Uuid, location: Uuid) -> [i64; 3] {
    let sql =
        "SELECT on_hand, allocated, unavailable FROM stock_levels WHERE product_id = $1 AND location_id = $2";
    let found: Result<Option<[i64; 3]>, Error> = db
        .lookup((product, location), |tx, (product, location)| {
            async move {
                let args = [(*product).into(), (*location).into()];
                tx.optional(sql, &args, |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?])).await
            }
            .boxed()
        })
        .await;
    found.unwrap().unwrap_or_default()
}

/// The ledger, as it was written.
pub(crate) async fn ledger(db: &Db) -> Vec<Movement> {
    let found: Result<Vec<Movement>, Error> = db
        .read((), |tx, ()| {
            async move {
                let columns = stock::store::movement_columns();
                let sql = format!("SELECT {columns} FROM stock_movements ORDER BY created_at, id");
                tx.rows(&sql, &[], stock::store::movement).await
            }
            .boxed()
        })
        .await;
    found.unwrap()
}

/// Fails unless the ledger sums to the levels, orders hold what it says, and each change has its event.
pub(crate) async fn check_stock(db: &Db) {
    let found: Result<Vec<String>, Error> = db
        .read((), |tx, ()| {
            async move {
                let levels = stock::verify_levels(tx, |_| {}).await?;
                let orders = orders::verify_orders(tx, |_| {}).await?;
                let levels = levels.iter().map(ToString::to_string);
                Ok(levels.chain(orders.iter().map(ToString::to_string)).collect())
            }
            .boxed()
        })
        .await;
    assert_eq!(found.unwrap(), [""; 0]);
    check_events(db).await;
}

/// Fails unless each row of the ledger and of the orders' history has exactly one event, and no event another source.
pub(crate) async fn check_events(db: &Db) {
    let found: Result<[Vec<Uuid>; 2], Error> = db
        .read((), |tx, ()| {
            async move {
                let told = "SELECT source_id FROM events WHERE source_id IS NOT NULL ORDER BY source_id";
                let done =
                    "SELECT id FROM stock_movements UNION ALL SELECT id FROM order_history ORDER BY id";
                let ids = async |sql| tx.rows(sql, &[], |row| row.get(0)).await;
                Ok([ids(told).await?, ids(done).await?])
            }
            .boxed()
        })
        .await;
    let [told, done] = found.unwrap();
    assert_eq!(told, done, "each row has its event");
}
