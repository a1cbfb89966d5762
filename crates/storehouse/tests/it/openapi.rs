//! The served OpenAPI document: a snapshot, so that a change of the API is seen in review, and its structure.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::contract::document::Document;
use crate::harness::each_app;

#[test]
fn the_document_is_as_the_snapshot() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/openapi.json");
    let served = serde_json::to_string_pretty(&Document::new().json).unwrap() + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        fs::write(&path, &served).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = served.lines().zip(kept.lines()).find(|(new, old)| new != old);
    assert!(
        served == kept,
        "The API has changed, first here: {differs:?}. If that is meant, write the snapshot anew and look at its changes:\n\
         UPDATE_SNAPSHOTS=1 cargo test -p storehouse --test it openapi::"
    );
}

#[tokio::test]
async fn the_gateway_serves_the_whole_document_and_each_service_its_part() {
    each_app(async |app| {
        let whole = app.nobody().get("/openapi.json").await.expect(200).json();
        assert_eq!(whole, Document::new().json);
        for service in ["auth", "users", "orders", "inventory"] {
            let request = app.nobody().request(http::Method::GET, "/openapi.json").to(service);
            let part = request.send().await.expect(200).json();
            let paths = part["paths"].as_object().unwrap();
            assert!(paths.len() > 2, "{service}: {:?}", paths.keys());
            for (path, item) in paths {
                assert_eq!(whole["paths"].get(path), Some(item), "{service} {path}");
            }
        }
    })
    .await;
}

#[test]
fn the_document_is_openapi_3_1() {
    let document = Document::new().json;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    for name in ["title", "version"] {
        assert!(document["info"][name].is_string(), "info.{name}");
    }
    let tags: BTreeSet<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    for operation in Document::new().operations() {
        let used = operation.json["tags"][0].as_str().unwrap();
        assert!(tags.contains(used), "{}: the tag {used} is not declared", operation.key());
        for (status, response) in operation.json["responses"].as_object().unwrap() {
            assert!(response["description"].is_string(), "{} {status}", operation.key());
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = Document::new().json;
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 10, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads outside"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("$ref", Value::String(reference)) => {
                        found.insert(reference.clone());
                    }
                    _ => collect_references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

#[test]
fn every_schema_is_used_and_none_stands_twice() {
    let document = Document::new().json;
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        let is_numbered = name.ends_with(|last: char| last.is_ascii_digit()) && !name.starts_with("Text");
        assert!(!is_numbered, "{name} looks like a second schema of the same name");
    }
}

#[test]
fn every_operation_has_an_id_of_its_own() {
    let mut ids = BTreeSet::new();
    for operation in Document::new().operations() {
        let id = operation.json["operationId"].as_str().unwrap_or_default().to_owned();
        let is_name = !id.is_empty() && id.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        assert!(is_name, "{}: {id:?}", operation.key());
        assert!(ids.insert(id.clone()), "{}: {id} stands twice", operation.key());
    }
}

#[test]
fn every_parameter_of_a_path_is_declared_and_none_twice() {
    for operation in Document::new().operations() {
        let named: BTreeSet<&str> =
            operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let declared: Vec<&Value> = operation.parameters("path");
        let names: BTreeSet<&str> =
            declared.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(names, named, "{}", operation.key());
        assert!(declared.iter().all(|parameter| parameter["required"] == true), "{}", operation.key());
        for place in ["path", "query", "header"] {
            let all = operation.parameters(place);
            let distinct: BTreeSet<String> =
                all.iter().map(|parameter| parameter["name"].to_string()).collect();
            assert_eq!(distinct.len(), all.len(), "{}: a {place} parameter twice", operation.key());
            assert!(all.iter().all(|parameter| parameter["schema"].is_object()), "{}", operation.key());
        }
    }
}
