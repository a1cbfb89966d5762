//! `docs/permissions.md`, written from the permissions that the endpoints are registered with.

use std::fs;
use std::path::Path;

use crate::contract::document::{Document, Operation};

const HEAD: &str = "# Permissions

Written by a test from the permission that each endpoint is registered with; don't change it by hand.

Who may: *anybody* needs no token; *all* is whoever has an account; *owner* is the account that the thing belongs to. Who may not is told 403 if they may know
that there is such a thing, else 404, as if it weren't there. An API key acts for the admin who made it, and needs the scope of the endpoint; where there is none, no
key may.

| endpoint | who may | who is told 403 | scope of an API key |
|---|---|---|---|
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
    let all = ["customer", "staff", "admin"].map(str::to_owned).to_vec();
    let sees = operation.visible_to.as_ref().unwrap_or(&all);
    let refused = sees.iter().filter(|word| !operation.is_public() && !operation.roles.contains(word));
    let refused: Vec<&str> = refused.map(String::as_str).collect();
    let may = if operation.roles == all { "all".to_owned() } else { operation.roles.join(", ") };
    let scope = match operation.keys() {
        None => String::new(),
        Some(None) => "any".to_owned(),
        Some(Some(scope)) => format!("`{scope}`"),
    };
    format!("| `{}` | {may} | {} | {scope} |\n", operation.key(), refused.join(", "))
}
