use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::{back_up, content_of, empty_place, file_of, restore};
use crate::crash::rounds;
use crate::harness::{Engine, Site, TestDatabase, each_engine};
use crate::load::Dice;
use crate::process::commands::said;

/// Changes some bytes at random places from this one on.
fn damage(file: &Path, from: u64, dice: &mut Dice) {
    let mut bytes = fs::read(file).unwrap();
    let length = bytes.len() as u64 - from;
    for _ in 0..1 + dice.under(20) {
        let at = usize::try_from(from).unwrap() + dice.under(length);
        bytes[at] ^= u8::try_from(1 + dice.under(255)).unwrap();
    }
    fs::write(file, bytes).unwrap();
}

fn is_whole(file: &Path) -> bool {
    let checked = Connection::open(file).and_then(|connection| {
        connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
    });
    checked.is_ok_and(|answer| answer == "ok")
}

/// A command that ends by itself, and says in words what is wrong if anything is.
fn run(site: &Site, arguments: &[&str]) -> bool {
    let output = site.run(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    match output.status.code() {
        Some(0) => true,
        Some(1) => {
            assert!(said.contains("storehouse: "), "{arguments:?}: {said}");
            false
        }
        code => panic!("{arguments:?} ended with {code:?}: {said}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_found_before_anything_is_touched() {
    each_engine(&[], async |unused| {
        let (database, site) = super::small_database(unused.engine).await;
        let (whole, mut dice) = (content_of(&database).await, Dice::new());
        let file = back_up(&site, "a.backup");
        let good = fs::read(&file).unwrap();
        let (copy, other) = empty_place(unused.engine).await;
        for _ in 0..5 * rounds().0 {
            fs::write(&file, &good).unwrap();
            damage(&file, 0, &mut dice);
            if fs::read(&file).unwrap() != good {
                let line = other.refusal(&["restore", file.to_str().unwrap()]);
                assert!(line.contains("is damaged") || line.contains("is no backup"), "{line}");
            }
        }
        fs::write(&file, &good).unwrap();
        restore(&other, &file);
        assert_eq!(content_of(&copy).await, whole);
    })
    .await;
}

/// SQLite notices what is wrong with its pages when it reads them; a backup reads all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_told_in_words_and_never_backed_up_as_a_good_one() {
    let (place, site) = empty_place(Engine::Sqlite).await;
    said(&site.run(&["demo", "--days", "1"]));
    let (path, mut dice) = (file_of(&place), Dice::new());
    let (good, backup) = (fs::read(&path).unwrap(), back_up(&site, "good.backup"));
    let mut found = 0;
    for round in 0..5 * rounds().0 {
        fs::write(&path, &good).unwrap();
        // The first round spoils the header, which tells what the file is.
        damage(&path, if round == 0 { 0 } else { 100 }, &mut dice);
        if round == 0 {
            let mut bytes = fs::read(&path).unwrap();
            bytes[..16].fill(b'x');
            fs::write(&path, bytes).unwrap();
            assert!(site.refusal(&[]).contains("damaged"));
        }
        let was_whole = is_whole(&path);
        run(&site, &["verify"]);
        if run(&site, &["backup", "--force", "of-damaged.backup"]) {
            let (copy, other) = empty_place(Engine::Sqlite).await;
            if run(
                &other,
                &["restore", "--accept-differences", site.path("of-damaged.backup").to_str().unwrap()],
            ) {
                assert!(is_whole(&file_of(&copy)));
            }
        } else {
            found += 1;
            assert!(!was_whole, "a whole file is backed up");
        }
    }
    assert!(found > 0, "some damage is found");
    for file in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{file}", path.display()));
    }
    restore(&site, &backup);
    assert!(is_whole(&path));
}

/// A log ends where its checksums do, as after a crash: what comes before is kept, and the file stays whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_leaves_a_whole_database() {
    let database = TestDatabase::new(Engine::Sqlite, storehouse::migrations::MIGRATIONS).await;
    let (site, path, mut dice) = (Site::new(Some(database.url())), file_of(&database), Dice::new());
    let log = path.with_extension("db-wal");
    for round in 0..rounds().0 {
        let mut process = site.start().await;
        let (mut wire, _) = process.connect().await.register(&format!("boss{round}")).await;
        for _ in 0..20 {
            let order = serde_json::json!({"product_name": "Laptop", "quantity": 1, "total_price": 1});
            wire.post("/orders", &order).await.unwrap().expect(201);
        }
        process.kill();
        let length = fs::metadata(&log).unwrap().len();
        damage(&log, dice.under(length) as u64, &mut dice);
        run(&site, &["verify"]);
        assert!(is_whole(&path));
        crate::load::check_database(database.url()).await;
    }
}
