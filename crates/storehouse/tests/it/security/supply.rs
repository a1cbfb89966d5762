//! D04: what the program is built of is no older than what was mended of it.

use std::fs;
use std::path::Path;

use ::db::Error;
use futures_util::FutureExt;
use toml::{Table, Value};

use crate::harness::{Engine, TestDatabase};

/// A crate, the first version without a known hole, and the hole. `.ci/run` asks the database of all of them where it can be reached.
const MENDED: &[(&str, [u64; 3], &str)] = &[
    ("jsonwebtoken", [10, 3, 0], "CVE-2026-25537: a claim of the wrong type counted as absent"),
    ("hyper", [0, 14, 10], "RUSTSEC-2021-0078 and -0079: requests could be smuggled by their lengths"),
    ("rustls", [0, 23, 18], "RUSTSEC-2024-0399: a client's first message could stop the process"),
    ("ring", [0, 17, 12], "RUSTSEC-2025-0009: a panic where overflow is checked"),
    ("tokio", [1, 44, 2], "RUSTSEC-2025-0023: a channel could be read while it was cloned"),
    ("bytes", [1, 11, 1], "RUSTSEC-2026-0007: an overflow when room was reserved"),
];

/// What must not be there at all: HTTP/2, which isn't spoken, and TLS in C.
const ABSENT: &[&str] = &["h2", "openssl-sys", "native-tls", "aws-lc-sys"];

fn locked() -> Vec<(String, Vec<u64>)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    let lock: Table = fs::read_to_string(file).unwrap().parse().unwrap();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap().to_owned();
    let packages = lock["package"].as_array().unwrap().iter();
    packages.map(|package| (text(package, "name"), version(&text(package, "version")))).collect()
}

fn version(text: &str) -> Vec<u64> {
    let plain = text.split(['-', '+']).next().unwrap();
    plain.split('.').map(|part| part.parse().unwrap()).collect()
}

#[test]
fn d04_no_crate_is_older_than_its_mended_version() {
    let locked = locked();
    for (name, mended, hole) in MENDED {
        let found: Vec<_> = locked.iter().filter(|(known, _)| known == name).collect();
        assert!(!found.is_empty(), "{name} is no dependency any more: take it from the list");
        assert!(found.iter().all(|(_, version)| *version >= mended.to_vec()), "{hole}: {found:?}");
    }
    for (name, _) in &locked {
        assert!(!ABSENT.contains(&name.as_str()), "{name} is a dependency");
    }
}

#[tokio::test]
async fn d04_the_bundled_sqlite_is_no_older_than_its_mended_version() {
    let database = TestDatabase::new(Engine::Sqlite, &[]).await;
    let db = database.open().await;
    let read = db.lookup((), |tx, ()| {
        async move { tx.one("SELECT sqlite_version()", &[], |row| row.get::<String>(0)).await }.boxed()
    });
    let found: Result<String, Error> = read.await;
    let found = found.unwrap();
    // CVE-2025-6965: an aggregate with too many columns wrote past its memory.
    assert!(version(&found) >= vec![3, 50, 2], "SQLite {found}");
}
