//! Databases that aren't ours, or can't be opened: each is refused in one line that says which and what to do, and stays as it is.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::commands::said;
use crate::harness::{Engine, Site, TestDatabase, each_engine};

/// What the original's services made; no table of ours is called `users`, so the second would take them in without a word.
const THEIRS: [&str; 2] = [
    "CREATE TABLE orders (id BIGINT PRIMARY KEY, product_name TEXT); CREATE TABLE users (id BIGINT PRIMARY KEY, email TEXT)",
    "CREATE TABLE users (id BIGINT PRIMARY KEY, email TEXT)",
];

async fn run(database: &TestDatabase, sql: &str) {
    match database.engine {
        Engine::Sqlite => Connection::open(file_of(database)).unwrap().execute_batch(sql).unwrap(),
        Engine::Postgres => {
            let connected = tokio_postgres::connect(database.url(), tokio_postgres::NoTls).await;
            let (client, connection) = connected.unwrap();
            let driver = tokio::spawn(connection);
            client.batch_execute(sql).await.unwrap();
            drop(client);
            driver.await.unwrap().unwrap();
        }
    }
}

fn file_of(database: &TestDatabase) -> &Path {
    Path::new(database.url().strip_prefix("sqlite:").unwrap())
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_as_it_is() {
    for theirs in THEIRS {
        each_engine(&[], async |database| {
            run(database, theirs).await;
            let content = || (database.engine == Engine::Sqlite).then(|| fs::read(file_of(database)).unwrap());
            let (before, site) = (content(), Site::new(Some(database.url())));
            for arguments in [&["serve"][..], &["serve", "orders"], &["migrate"], &["verify"]] {
                let line = site.refusal(arguments);
                for word in ["another program's", "users", "DATABASE_URL", "storehouse import"] {
                    assert!(line.contains(word), "{word} is not in {line}");
                }
                assert!(line.len() < 500 && !line.contains("CREATE TABLE"), "{line}");
            }
            assert!(content() == before, "nothing was written to it");
            // As a start of an earlier version left it.
            run(database, "CREATE TABLE schema_migrations (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)")
                .await;
            assert!(site.refusal(&["migrate"]).contains("another program's"));
            // As other tools for migrations have it.
            run(database, "DROP TABLE schema_migrations; CREATE TABLE schema_migrations (version BIGINT, dirty BOOLEAN)")
                .await;
            assert!(site.refusal(&["migrate"]).contains("another program's"));
        })
        .await;
    }
}

#[tokio::test]
async fn tables_of_another_schema_are_in_nobodys_way() {
    let Some(database) = TestDatabase::on_postgres(&[]).await else { return };
    run(&database, "CREATE SCHEMA other; CREATE TABLE other.orders (n BIGINT)").await;
    let site = Site::new(Some(database.url()));
    said(&site.run(&["migrate"]));
    said(&site.run(&["verify"]));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let site = Site::new(Some("notes.db"));
    fs::write(site.path("notes.db"), "these are notes, and no database\n".repeat(99)).unwrap();
    let line = site.refusal(&["serve"]);
    for word in ["notes.db", "DATABASE_URL", "no SQLite database", "restore a backup"] {
        assert!(line.contains(word), "{word} is not in {line}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let site = Site::new(Some("postgres://me:canary-5d@127.0.0.1:9/store"));
    for arguments in [&["serve"][..], &["verify"], &["admin", "create", "boss@example.com"]] {
        let line = site.refusal(arguments);
        for word in ["postgres://me:***@127.0.0.1:9/store", "DATABASE_URL", "refused"] {
            assert!(line.contains(word), "{word} is not in {line}");
        }
        assert!(!line.contains("canary-5d"), "{line}");
    }
}

#[tokio::test]
async fn where_there_is_no_database_only_what_needs_a_new_one_makes_it() {
    let site = Site::new(None);
    fs::write(site.path("products.csv"), "sku,name,unit_price\nL-1,Lamp,1\n").unwrap();
    for arguments in [
        &["admin", "reset-totp", "boss@example.com"][..],
        &["import", "products", "products.csv"],
        &["import", "products", "products.csv", "--dry-run"],
        &["export", "products", "out.csv"],
        &["verify"],
    ] {
        let line = site.refusal(arguments);
        for word in ["no database at ./data/storehouse.db", "DATA_DIR", "DATABASE_URL", "storehouse migrate"]
        {
            assert!(line.contains(word), "{word} is not in {line}");
        }
    }
    assert!(!site.path("data").exists());
    said(&site.run(&["admin", "create", "boss@example.com"]));
    assert!(site.path("data/storehouse.db").exists());
}

#[tokio::test]
async fn a_data_folder_that_is_a_file_is_refused_by_its_setting() {
    let site = Site::new(None).with("DATA_DIR", "data");
    fs::write(site.path("data"), "").unwrap();
    for arguments in [&["serve"][..], &["migrate"], &["verify"]] {
        let line = site.refusal(arguments);
        assert!(line.contains("DATA_DIR is data") && line.contains("folder"), "{line}");
    }
    fs::remove_file(site.path("data")).unwrap();
}
