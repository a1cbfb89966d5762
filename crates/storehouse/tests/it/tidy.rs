//! The architecture's invariants, written as absences. Each holds for all of the source, and names what breaks it.

use std::fs;
use std::path::{Path, PathBuf};

use storehouse::migrations::MIGRATIONS;
use toml::Table;

/// The crates from the ground up; each may depend on those of earlier rows only.
const LAYERS: &[&[&str]] = &[
    &["metrics"],
    &["db"],
    &["kit"],
    &["audit", "events"],
    &["mails"],
    &["accounts", "stock", "webhooks"],
    &["auth", "users", "orders", "inventory", "gateway"],
    &["storehouse"],
    &["bench"],
];

const SERVICES: &[&str] = &["auth", "users", "orders", "inventory"];

const DRIVERS: &[&str] =
    &["rusqlite", "libsqlite3-sys", "tokio-postgres", "deadpool-postgres", "sqlx", "postgres"];

/// What a business talks of; who calls is a word of every service, and stays in kit.
const BUSINESS: &[&str] =
    &["order", "product", "stock", "inventory", "sku", "shipment", "warehouse", "username", "supplier"];

/// One file of source.
pub(crate) struct Source {
    /// From the root of the workspace.
    path: String,
    pub(crate) text: String,
}

impl Source {
    /// The crate that it belongs to.
    fn owner(&self) -> &str {
        self.path.split('/').nth(1).unwrap()
    }

    /// Whether it is part of what is shipped. The benchmark is none of it: its floors are the bare drivers and statements.
    fn is_shipped(&self) -> bool {
        !self.path.contains("/tests/") && !self.path.ends_with("/tests.rs") && self.owner() != "bench"
    }

    /// Its numbered lines without comments, and without the unit tests at its end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        let shipped = lines.take_while(|(_, line)| line.trim() != "#[cfg(test)]");
        shipped
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(index, line)| (index + 1, line))
    }

    /// The lines of code that hold any of these texts.
    fn places(&self, texts: &[&str]) -> Vec<String> {
        let found = self.code().filter(|(_, line)| texts.iter().any(|text| line.contains(text)));
        found.map(|(number, line)| format!("{}:{number}: {}", self.path, line.trim())).collect()
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every Rust file of every crate.
pub(crate) fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join("crates"), &mut found);
    assert!(found.len() > 100, "only {} files found", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            found.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

/// The lines of shipped code that hold any of these texts, in the files that are not excepted.
fn shipped_places(texts: &[&str], is_excepted: impl Fn(&Source) -> bool) -> Vec<String> {
    let files = sources().into_iter().filter(|source| source.is_shipped() && !is_excepted(source));
    files.flat_map(|source| source.places(texts)).collect()
}

#[track_caller]
fn none(found: &[String], why: &str) {
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

/// Every crate by the name of its folder, with its manifest.
fn manifests() -> Vec<(String, Table)> {
    let folders = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let crates = folders.filter(|folder| folder.is_dir()).map(|folder| {
        let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        (folder.file_name().unwrap().to_str().unwrap().to_owned(), text.parse().unwrap())
    });
    crates.collect()
}

/// The names in one table of a manifest.
fn names(manifest: &Table, table: &str) -> Vec<String> {
    let entries = manifest.get(table).and_then(toml::Value::as_table);
    entries.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn layer(name: &str) -> usize {
    let found = LAYERS.iter().position(|crates| crates.contains(&name));
    found.unwrap_or_else(|| panic!("say in LAYERS where the crate {name} stands"))
}

#[test]
fn dependencies_point_one_way_and_no_service_depends_on_another() {
    for (name, manifest) in manifests() {
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let own = names(&manifest, table);
            for dependency in own.iter().filter(|name| LAYERS.concat().contains(&name.as_str())) {
                assert!(layer(dependency) < layer(&name), "{name} depends on {dependency}");
            }
        }
    }
    for service in SERVICES {
        assert_eq!(layer(service), layer(SERVICES[0]), "services stand side by side");
    }
}

#[test]
fn a_folder_has_its_crates_name_and_the_workspaces_lints() {
    for (folder, manifest) in manifests() {
        assert_eq!(manifest["package"]["name"].as_str(), Some(folder.as_str()));
        assert_eq!(manifest["lints"]["workspace"].as_bool(), Some(true), "{folder}");
    }
}

#[test]
fn no_crate_but_db_names_a_driver() {
    // The benchmark's floors are the drivers without `db`.
    for (name, manifest) in manifests().iter().filter(|(name, _)| name != "db" && name != "bench") {
        let own = names(manifest, "dependencies");
        let drivers: Vec<&String> = own.iter().filter(|name| DRIVERS.contains(&name.as_str())).collect();
        assert!(drivers.is_empty(), "{name} depends on {drivers:?}");
    }
    let found = shipped_places(&["rusqlite::", "tokio_postgres::", "deadpool_postgres::"], |source| {
        source.owner() == "db"
    });
    none(&found, "only db may name a driver");
}

#[test]
fn kit_has_no_business_word() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.owner() == "kit" && source.is_shipped()) {
        for (number, line) in source.code() {
            let is_business = |word: &String| BUSINESS.contains(&word.trim_end_matches('s'));
            found.extend(
                words(line)
                    .iter()
                    .filter(|word| is_business(word))
                    .map(|word| format!("{}:{number}: {word}", source.path)),
            );
        }
    }
    none(&found, "kit serves any business");
}

/// The words of a line in lower case, those within names too; a word in capitals is one of SQL.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for name in line.split(|letter: char| !letter.is_alphabetic()) {
        if name.len() > 1 && name.chars().all(char::is_uppercase) {
            continue;
        }
        let mut word = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            word.extend(letter.to_lowercase());
        }
        words.push(word);
    }
    words
}

#[test]
fn no_sql_outside_store() {
    let sql = [
        "SELECT ",
        "INSERT INTO ",
        "UPDATE ",
        "DELETE FROM ",
        "CREATE TABLE ",
        "ALTER TABLE ",
        "DROP TABLE ",
    ];
    let found = shipped_places(&sql, |source| {
        let is_store = source.path.ends_with("/store.rs") || source.path.contains("/store/");
        // Every service shares the keys, so their statements stand in kit.
        is_store || source.owner() == "db" || source.path == "crates/kit/src/idempotency.rs"
    });
    none(&found, "SQL stands in store.rs files");
}

#[test]
fn no_stock_is_changed_outside_its_kernel() {
    let mut found = Vec::new();
    for table in ["stock_levels", "stock_movements"] {
        let writes = ["INSERT INTO", "UPDATE", "DELETE FROM"].map(|write| format!("{write} {table}"));
        let writes: Vec<&str> = writes.iter().map(String::as_str).collect();
        found.extend(shipped_places(&writes, |source| source.owner() == "stock"));
    }
    none(&found, "levels and movements are written by `stock` alone");
}

#[test]
fn no_environment_outside_the_settings() {
    let found = shipped_places(&["std::env", "env::var", "env::args", "env::set"], |source| {
        source.path.starts_with("crates/storehouse/src/settings")
    });
    none(&found, "the environment is read by the settings");
}

#[test]
fn no_clock_and_no_randomness_outside_kit() {
    let texts =
        ["SystemTime", "Uuid::now", "new_v4", "getrandom", "OsRng", "rand::", "Timestamp::now", "Zoned::now"];
    none(&shipped_places(&texts, |source| source.owner() == "kit"), "time and chance come from kit");
    // How long something takes is no moment; tokio's instants are those of its time-outs.
    let found = shipped_places(&["Instant::now", "std::time::Instant"], |source| {
        let is_tokios = ["use tokio::time::Instant;", "use tokio::time::{Instant,"];
        source.owner() == "kit" || is_tokios.iter().any(|text| source.text.contains(text))
    });
    none(&found, "time comes from kit");
}

#[test]
fn no_global_mutable_state() {
    let is_mutable = |line: &str| {
        let holders = ["Mutex", "RwLock", "Atomic", "OnceLock", "LazyLock", "OnceCell", "RefCell"];
        let line = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        line.starts_with("static mut ")
            || line.starts_with("static ") && holders.iter().any(|holder| line.contains(holder))
    };
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.is_shipped()) {
        let lines = source.code().filter(|(_, line)| is_mutable(line));
        found.extend(lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())));
    }
    none(&found, "state belongs to somebody");
}

#[test]
fn no_lint_is_switched_off_without_a_reason() {
    let forbidden = concat!("#[", "allow(");
    let inner = concat!("#![", "allow(");
    for source in sources() {
        let lines = source.text.lines().enumerate();
        let found: Vec<String> = lines
            .filter(|(_, line)| line.contains(forbidden) || line.contains(inner))
            .map(|(index, line)| format!("{}:{}: {}", source.path, index + 1, line.trim()))
            .collect();
        none(&found, "say #[expect(…, reason = …)]");
    }
}

#[test]
fn no_test_is_skipped() {
    let ignore = concat!("#[", "ignore");
    // Not skipped: another test starts it as a process of its own.
    let excepted = concat!("#[", "ignore = \"started by another test, as a process of its own\"]");
    for source in sources() {
        let found: Vec<String> = source
            .text
            .lines()
            .filter(|line| line.contains(ignore) && !line.contains(excepted))
            .map(|line| format!("{}: {}", source.path, line.trim()))
            .collect();
        none(&found, "every test runs");
    }
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let long: Vec<String> = sources()
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > 500)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    none(&long, "split it into a folder of the same name");
}

#[test]
fn every_crate_and_every_file_says_what_it_is() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.path.contains("/src/") && !source.text.starts_with("//!"))
        .map(|source| source.path)
        .collect();
    // The unit tests of a file say what they are by their names.
    let silent: Vec<String> = silent.into_iter().filter(|path| !path.ends_with("/tests.rs")).collect();
    none(&silent, "begin it with //! and a sentence");
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let empty = ["utils", "util", "helpers", "helper", "manager", "common", "misc", "shared_utils"];
    let found: Vec<String> = sources()
        .into_iter()
        .map(|source| source.path)
        .filter(|path| path.trim_end_matches(".rs").split('/').any(|part| empty.contains(&part)))
        .collect();
    none(&found, "name it by what it does");
}

#[test]
fn every_migration_has_a_text_for_both_engines() {
    let folder = root().join("crates/storehouse/migrations");
    let mut files: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut expected = Vec::new();
    assert!((1..).zip(MIGRATIONS).all(|(number, migration)| migration.number == number), "none is left out");
    for migration in MIGRATIONS {
        let stem = format!("{:04}_{}", migration.number, migration.name);
        let is_portable = migration.sqlite == migration.postgres;
        let endings: &[(&str, &str)] = if is_portable {
            &[(".sql", migration.sqlite)]
        } else {
            &[(".postgres.sql", migration.postgres), (".sqlite.sql", migration.sqlite)]
        };
        for (ending, text) in endings {
            assert_eq!(fs::read_to_string(folder.join(format!("{stem}{ending}"))).unwrap(), *text, "{stem}");
            expected.push(format!("{stem}{ending}"));
        }
    }
    expected.sort();
    assert_eq!(files, expected, "each file is a migration of the list");
}
