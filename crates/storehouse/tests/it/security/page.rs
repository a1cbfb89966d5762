//! Holds `docs/security.md` to the tests that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::tidy::{Source, root, sources};

/// The groups of requirements, and how many each has.
const GROUPS: [(char, u32); 8] =
    [('J', 16), ('S', 10), ('A', 16), ('Z', 9), ('G', 18), ('I', 10), ('B', 7), ('D', 4)];

/// A row of the page: the id, and what stands for its tests.
struct Row {
    id: String,
    tests: String,
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(root().join(Path::new("docs/security.md"))).unwrap();
    let cells = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let [id, _, tests] = cells[..] else { return None };
        let is_id = id.len() == 3 && id[1..].bytes().all(|byte| byte.is_ascii_digit());
        is_id.then(|| Row { id: id.to_owned(), tests: tests.to_owned() })
    });
    cells.collect()
}

/// The names of all functions that are run as tests.
fn tests() -> BTreeSet<String> {
    let named = |source: &Source| {
        let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
        let mut names = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
                let rest = lines[at + 1..].iter().find(|line| line.contains("fn ")).unwrap();
                let name = rest.split("fn ").nth(1).unwrap().split('(').next().unwrap();
                names.push(name.to_owned());
            }
        }
        names
    };
    sources().iter().flat_map(named).collect()
}

/// What stands between backticks and is the name of a function.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|word| {
        word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    })
}

#[test]
fn each_requirement_has_its_tests_or_a_reason() {
    let expected: Vec<String> = GROUPS
        .iter()
        .flat_map(|(group, count)| (1..=*count).map(move |number| format!("{group}{number:02}")))
        .collect();
    let (rows, tests) = (rows(), tests());
    assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), expected);
    for Row { id, tests: told } in &rows {
        for name in named(told) {
            assert!(tests.contains(name), "docs/security.md: {id} names {name}, and there is no such test");
        }
        let prefix = format!("{}_", id.to_lowercase());
        let has_own = tests.iter().any(|name| name.starts_with(&prefix));
        assert!(
            has_own || told.contains("waived") || named(told).next().is_some(),
            "docs/security.md: {id} has neither test nor reason"
        );
    }
}

#[test]
fn a_test_that_begins_with_an_id_shows_a_requirement_that_there_is() {
    let known: BTreeSet<String> = rows().iter().map(|row| row.id.to_lowercase()).collect();
    for name in tests() {
        let Some((id, _)) = name.split_once('_') else { continue };
        let is_id = id.len() == 3
            && id[1..].bytes().all(|byte| byte.is_ascii_digit())
            && "jsazgibd".contains(&id[..1]);
        assert!(!is_id || known.contains(id), "{name}: docs/security.md has no {id}");
    }
}
