use std::fs;
use std::os::unix::fs::PermissionsExt;

use futures_util::FutureExt as _;
use rusqlite::Connection;
use storehouse::migrations::MIGRATIONS;

use super::{back_up, content_of, empty_place, file_of, orders_in, restore, small_database};
use crate::harness::{Engine, PASSWORD, Site, TestDatabase, each_engine};
use crate::load::check_database;
use crate::process::commands::said;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d02_a_backup_is_private_and_restores_to_what_was_there() {
    each_engine(&[], async |unused| {
        let (database, site) = small_database(unused.engine).await;
        as_of_another_server(&database).await;
        let file = site.path("a.backup");
        let told = said(&site.run(&["backup", file.to_str().unwrap()]));
        let schema = format!("schema version {}", MIGRATIONS.last().unwrap().number);
        assert!(told.contains(&schema) && told.contains("kB") && told.contains(" s.\n"), "{told}");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let (copy, other) = empty_place(unused.engine).await;
        let told = restore(&other, &file);
        assert!(told.contains("Products: 1, orders: 5, differences: 0."), "{told}");
        settle_in(&database).await;
        assert_eq!(content_of(&copy).await, content_of(&database).await);
        check_database(copy.url()).await;
        let process = other.start().await;
        let login = serde_json::json!({"email": "boss@example.com", "password": PASSWORD});
        let mut wire = process.connect().await;
        let session = wire.post("/auth/login", &login).await.unwrap().expect(200).json();
        let mut wire = wire.with_token(session["token"].as_str().unwrap());
        assert_eq!(orders_in(&wire.get("/orders").await.unwrap().expect(200).json()), 5);
        // One of the account, one of what came in, and two of each order.
        assert_eq!(orders_in(&wire.get("/events").await.unwrap().expect(200).json()), 12);
        let body = serde_json::json!({"lines": [{"sku": "LAP-1", "quantity": 1}]});
        let placed = wire.post("/orders", &body).await.unwrap().expect(201).json();
        assert_eq!(placed["number"], 1006, "the series goes on");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_there_is_replaced_by_force_alone() {
    each_engine(&[], async |unused| {
        let (_database, site) = small_database(unused.engine).await;
        let file = back_up(&site, "a.backup");
        let before = fs::read(&file).unwrap();
        let line = site.refusal(&["backup", file.to_str().unwrap()]);
        assert!(line.contains("a.backup is there already") && line.contains("--force"), "{line}");
        assert_eq!(fs::read(&file).unwrap(), before);
        fs::write(site.path("a.backup.unfinished"), "left by one that was killed").unwrap();
        said(&site.run(&["backup", "--force", file.to_str().unwrap()]));
        assert_ne!(fs::read(&file).unwrap(), before, "the seal tells another time");
        let line = site.refusal(&["backup", "nowhere/a.backup"]);
        assert!(line.contains("nowhere/a.backup"), "{line}");
        let left: Vec<_> =
            fs::read_dir(site.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().contains("unfinished")), "{left:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_empty_place_is_filled_and_only_from_a_whole_backup() {
    each_engine(&[], async |unused| {
        let (database, site) = small_database(unused.engine).await;
        let file = back_up(&site, "a.backup");
        let before = content_of(&database).await;
        let line = site.refusal(&["restore", file.to_str().unwrap()]);
        assert!(line.contains("is not empty") && line.contains("accounts"), "{line}");
        assert_eq!(content_of(&database).await, before);
        let (copy, other) = empty_place(unused.engine).await;
        let path = other.path("b.backup");
        fs::write(&path, "a shopping list").unwrap();
        let line = other.refusal(&["restore", path.to_str().unwrap()]);
        assert!(line.contains("is no backup of Storehouse"), "{line}");
        let whole = fs::read(&file).unwrap();
        for at in [100, whole.len() / 3, whole.len() / 2, whole.len() - 90] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, damaged).unwrap();
            let line = other.refusal(&["restore", path.to_str().unwrap()]);
            assert!(line.contains("is damaged") || line.contains("is no backup"), "{line}");
        }
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(other.refusal(&["restore", path.to_str().unwrap()]).contains("is no backup"));
        assert!(other.refusal(&["restore", "nothing.backup"]).contains("nothing.backup"));
        restore(&other, &file);
        assert_eq!(content_of(&copy).await, before, "no refusal left anything in the way");
    })
    .await;
}

#[tokio::test]
async fn a_backup_goes_to_its_own_kind_and_there_must_be_something_to_back_up() {
    let (_database, site) = small_database(Engine::Sqlite).await;
    let file = back_up(&site, "a.backup");
    let other = Site::new(Some("postgres://nobody@127.0.0.1:9/nothing"));
    let line = other.refusal(&["restore", file.to_str().unwrap()]);
    assert!(line.contains("is a backup of sqlite") && line.contains("migrate-to"), "{line}");
    let empty = Site::new(None);
    assert!(empty.refusal(&["backup", "a.backup"]).contains("there is no database at"));
    assert!(!empty.path("data").exists());
    let strange = TestDatabase::new(Engine::Sqlite, &[]).await;
    Connection::open(file_of(&strange)).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let line = Site::new(Some(strange.url())).refusal(&["backup", "a.backup"]);
    assert!(line.contains("no database of Storehouse"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_backup_is_migrated_and_a_newer_refused() {
    each_engine(&[], async |unused| {
        let old = TestDatabase::new(unused.engine, &MIGRATIONS[..3]).await;
        let site = Site::new(Some(old.url()));
        let file = back_up(&site, "old.backup");
        let (copy, other) = empty_place(unused.engine).await;
        let told = restore(&other, &file);
        assert!(told.contains(&format!("{} migrations applied now", MIGRATIONS.len() - 3)), "{told}");
        check_database(copy.url()).await;
        let db = copy.open().await;
        super::run(&db, "INSERT INTO schema_migrations (number, name) VALUES (9999, 'of_the_future')").await;
        db.close().await;
        let file = back_up(&other, "new.backup");
        let (_copy, other) = empty_place(unused.engine).await;
        let line = other.refusal(&["restore", file.to_str().unwrap()]);
        assert!(line.contains("schema version 9999"), "{line}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_that_does_not_add_up_must_be_accepted() {
    each_engine(&[], async |unused| {
        let (database, site) = small_database(unused.engine).await;
        let db = database.open().await;
        super::run(&db, "UPDATE stock_levels SET on_hand = on_hand + 1").await;
        db.close().await;
        let file = back_up(&site, "a.backup");
        let (_copy, other) = empty_place(unused.engine).await;
        let output = other.run(&["restore", file.to_str().unwrap()]);
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("the ledger says") && told.contains("--accept-differences"), "{told}");
        for arguments in [&[][..], &["verify"], &["migrate"], &["backup", "b.backup"]] {
            let line = other.refusal(arguments);
            assert!(line.contains("not finished") || line.contains("there is no database"), "{line}");
        }
        let told = said(&other.run(&["restore", "--accept-differences", file.to_str().unwrap()]));
        assert!(told.contains("is as it was at"), "{told}");
        assert_eq!(other.run(&["verify"]).status.code(), Some(1));
    })
    .await;
}

/// Gives the events the numbers of transactions that were far ahead of the server's here.
async fn as_of_another_server(database: &TestDatabase) {
    let db = database.open().await;
    let sql = "UPDATE events SET xid = xid + 1000000000000 WHERE xid <> 0";
    db.write((), |tx, ()| async { tx.execute(sql, &[]).await }.boxed()).await.unwrap();
    db.close().await;
}

async fn settle_in(database: &TestDatabase) {
    let db = database.open().await;
    db.write((), |tx, ()| async { events::settle_in(tx).await }.boxed()).await.unwrap();
    db.close().await;
}
