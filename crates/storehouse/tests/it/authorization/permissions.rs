//! `docs/permissions.md`, written from the permissions that the endpoints are registered with.

use std::fs;
use std::path::Path;

use crate::contract::document::{Document, Operation};

const HEAD: &str = "# Permissions

Written by a test from the permission that each endpoint is registered with; don't change it by hand.

Who may: *anybody* needs no token; *all* is whoever has an account; *owner* is the account that the thing belongs to. Whoever may not do
something to a thing but may know of it is told 403, all others 404, as if it weren't there.

| endpoint | who may | who else may know of it |
|---|---|---|
";

#[test]
fn the_permissions_are_as_written_down() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/permissions.md");
    let rows: String = Document::new().operations().iter().map(row).collect();
    let found = format!("{HEAD}{rows}");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        fs::write(&path, &found).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(kept.lines()).find(|(new, old)| new != old);
    assert!(
        found == kept,
        "A permission has changed, first here: {differs:?}. If that is meant, write the table anew and look at its changes:\n\
         UPDATE_SNAPSHOTS=1 cargo test -p storehouse --test it permissions::"
    );
}

fn row(operation: &Operation) -> String {
    let also: Vec<String> = operation.visible_to.iter().flatten().cloned().collect();
    let also: Vec<String> = also.into_iter().filter(|word| !operation.roles.contains(word)).collect();
    format!("| `{}` | {} | {} |\n", operation.key(), words(&operation.roles), words(&also))
}

fn words(words: &[String]) -> String {
    match words.iter().any(|word| word == "customer") {
        true => "all".to_owned(),
        false => words.join(", "),
    }
}
