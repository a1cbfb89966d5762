//! Backups and what is made of them: that they are whole, also under load, and that nothing half made passes for a database.
//!
//! An ordinary run does two rounds of each. The full run:
//! `STOREHOUSE_ROUNDS=20 STOREHOUSE_SECONDS=3600 cargo test --release -p storehouse --test it backup -- --nocapture`

/// What the commands do, and how they refuse.
mod commands;
/// Bytes that change in backups, databases and logs.
mod corruption;
/// The made-up business.
mod demo;
/// Commands that are killed.
mod kills;
/// Backups while sixteen write.
mod load;
/// From SQLite to PostgreSQL.
mod moving;
/// Those that are made by themselves.
mod nightly;
/// Many connections on one log.
mod stress;

use std::path::{Path, PathBuf};

use ::db::{Db, Error};
use futures_util::FutureExt;
use serde_json::{Value, json};
use storehouse::migrations::MIGRATIONS;

use crate::harness::goods::Goods;
use crate::harness::{Engine, Site, TestDatabase};
use crate::process::commands::said;

/// A database with a product, its stock and orders of it.
async fn small_database(engine: Engine) -> (TestDatabase, Site) {
    let database = TestDatabase::new(engine, MIGRATIONS).await;
    let db = database.open().await;
    Goods::new("LAP-1", 50).add_to(&db).await;
    db.close().await;
    let site = Site::new(Some(database.url()));
    let process = site.start().await;
    let (mut wire, _) = process.connect().await.register("boss").await;
    for number in 0..5 {
        let body = json!({"lines": [{"sku": "LAP-1", "quantity": 2}], "note": number.to_string()});
        wire.post("/orders", &body).await.unwrap().expect(201);
    }
    assert_eq!(process.signal_and_wait("TERM").await, Some(0));
    (database, site)
}

/// The file of a database on SQLite.
fn file_of(database: &TestDatabase) -> PathBuf {
    PathBuf::from(database.url().strip_prefix("sqlite:").unwrap())
}

/// Makes a backup in the site's folder.
fn back_up(site: &Site, name: &str) -> PathBuf {
    let file = site.path(name);
    said(&site.run(&["backup", file.to_str().unwrap()]));
    file
}

/// An empty place of the same kind, and a site for it.
async fn empty_place(engine: Engine) -> (TestDatabase, Site) {
    let database = TestDatabase::new(engine, &[]).await;
    let site = Site::new(Some(database.url()));
    (database, site)
}

fn restore(site: &Site, file: &Path) -> String {
    said(&site.run(&["restore", file.to_str().unwrap()]))
}

/// All rows of the tables that tell most, as text.
async fn content(db: &Db) -> Vec<String> {
    let mut found = Vec::new();
    for sql in [
        "SELECT id, CAST(number AS TEXT), note FROM orders ORDER BY id",
        "SELECT id, sku, name FROM products ORDER BY id",
        "SELECT id, email, password_hash FROM accounts ORDER BY id",
        "SELECT id, CAST(on_hand_after AS TEXT), kind FROM stock_movements ORDER BY id",
        "SELECT id, action, details FROM order_history ORDER BY id",
    ] {
        let rows: Result<Vec<String>, Error> = db
            .read(sql, |tx, sql| {
                async move {
                    tx.rows(sql, &[], |row| {
                        let id: uuid::Uuid = row.get(0)?;
                        Ok(format!(
                            "{id} {:?} {:?}",
                            row.get::<Option<String>>(1)?,
                            row.get::<Option<String>>(2)?
                        ))
                    })
                    .await
                }
                .boxed()
            })
            .await;
        found.extend(rows.unwrap());
    }
    found
}

/// The same of a database that nobody has open.
async fn content_of(database: &TestDatabase) -> Vec<String> {
    let db = database.open().await;
    let found = content(&db).await;
    db.close().await;
    found
}

fn orders_in(process_answer: &Value) -> usize {
    process_answer["items"].as_array().unwrap().len()
}

/// Changes rows behind the program's back.
async fn run(db: &Db, sql: &'static str) {
    let changed: Result<u64, Error> =
        db.write(sql, |tx, sql| async move { tx.execute(sql, &[]).await }.boxed()).await;
    assert!(changed.unwrap() > 0, "{sql}");
}
