//! Everything that can be wrong with a body, derived from its schema and a valid example.

use serde_json::{Map, Value, json};

use super::document::{Document, required};

/// A wrong body, and what an answer must name.
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) body: String,
    pub(crate) fields: Vec<String>,
    /// Whether one of `fields` is enough, since another of several shapes may be the one that is missed.
    pub(crate) any: bool,
}

/// Stands in a JSON tree for text that no tree can hold, such as `1e309`.
const RAW: &str = "@raw@";

/// The faults of each field, one by one, and of all at once.
pub(crate) fn faults(document: &Document, schema: &Value, example: &Value) -> Vec<Fault> {
    let mut walk = Walk { document, example, found: Vec::new() };
    walk.object(schema, "", "");
    walk.everything(schema);
    walk.found
}

struct Walk<'a> {
    document: &'a Document,
    example: &'a Value,
    found: Vec<Fault>,
}

impl Walk<'_> {
    /// `pointer` and `path` say where the object stands: `/lines/0`, `lines[0]`.
    fn object(&mut self, schema: &Value, pointer: &str, path: &str) {
        let object = self.example.pointer(pointer).unwrap().as_object().unwrap().clone();
        let fitting = self.document.fitting(schema, &object).clone();
        for (name, property) in properties(&fitting) {
            let field = join(path, name);
            for raw in wrong_values(self.document, property) {
                self.set(pointer, name, &raw, &field);
            }
            if let Some(Value::Array(items)) = object.get(name)
                && items[0].is_object()
            {
                let items = array_items(self.document, property).clone();
                self.object(&items, &format!("{pointer}/{name}/0"), &format!("{field}[0]"));
            }
        }
        for name in required(&fitting) {
            self.leave_out(schema, pointer, path, &name);
        }
        for name in ["no_such_field", "id", "password_hash", "Quantity", "__proto__"] {
            if fitting["properties"].get(name).is_none() {
                self.set(pointer, name, "1", &join(path, name));
            }
        }
    }

    fn set(&mut self, pointer: &str, name: &str, raw: &str, field: &str) {
        let mut body = self.example.clone();
        object_at(&mut body, pointer).insert(name.to_owned(), json!(RAW));
        let body = body.to_string().replace(&format!("\"{RAW}\""), raw);
        let shown: String = raw.chars().take(40).collect();
        self.found.push(Fault {
            what: format!("{field} = {shown}"),
            body,
            fields: vec![field.to_owned()],
            any: false,
        });
    }

    fn leave_out(&mut self, schema: &Value, pointer: &str, path: &str, name: &str) {
        let mut body = self.example.clone();
        object_at(&mut body, pointer).remove(name);
        let shapes = self.document.alternatives(schema);
        let fields = shapes.iter().flat_map(|shape| required(shape)).map(|name| join(path, &name)).collect();
        let any = shapes.len() > 1;
        let fields = if any { fields } else { vec![join(path, name)] };
        self.found.push(Fault {
            what: format!("without {}", join(path, name)),
            body: body.to_string(),
            fields,
            any,
        });
    }

    /// Every field wrong, and an unknown one: the answer names them all.
    fn everything(&mut self, schema: &Value) {
        let fitting = self.document.fitting(schema, self.example.as_object().unwrap()).clone();
        let mut body: Map<String, Value> = Map::new();
        for (name, _) in properties(&fitting) {
            // A list is no value of anything but a list, and an empty list is none of those.
            body.insert(name.clone(), json!([]));
        }
        body.insert("no_such_field".to_owned(), json!(1));
        let fields = body.keys().cloned().collect();
        let body = Value::Object(body).to_string();
        self.found.push(Fault { what: "everything wrong".to_owned(), body, fields, any: false });
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn array_items<'a>(document: &'a Document, property: &'a Value) -> &'a Value {
    let list = document.alternatives(property).into_iter().find(|schema| schema["items"].is_object());
    &list.unwrap()["items"]
}

fn object_at<'a>(body: &'a mut Value, pointer: &str) -> &'a mut Map<String, Value> {
    body.pointer_mut(pointer).unwrap().as_object_mut().unwrap()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// JSON texts that a property must not take.
fn wrong_values(document: &Document, property: &Value) -> Vec<String> {
    let shapes = document.alternatives(property);
    let types: Vec<&str> = shapes.iter().flat_map(|shape| types_of(shape)).collect();
    let takes = |name: &str| types.contains(&name);
    let mut wrong = Vec::new();
    let samples =
        [("null", "null"), ("boolean", "true"), ("string", "\"\\u0007\""), ("array", "[]"), ("object", "{}")];
    wrong.extend(samples.iter().filter(|(kind, _)| !takes(kind)).map(|(_, sample)| (*sample).to_owned()));
    if !takes("number") && !takes("integer") {
        wrong.extend(["1", "0.5", "1e309"].map(str::to_owned));
    }
    for shape in &shapes {
        for kind in types_of(shape) {
            wrong.extend(out_of_bounds(shape, kind, takes("number")));
        }
    }
    wrong
}

fn types_of(shape: &Value) -> Vec<&str> {
    match &shape["type"] {
        Value::String(only) => vec![only.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => panic!("a schema without a type: {shape}"),
    }
}

/// Texts of the right type that are still wrong; an amount is a number, and a string of the same digits.
fn out_of_bounds(shape: &Value, kind: &str, is_amount: bool) -> Vec<String> {
    match kind {
        "integer" => wrong_integers(shape),
        "number" => wrong_amounts(),
        "string" if is_amount => wrong_amounts().iter().map(|text| format!("\"{text}\"")).collect(),
        "string" => wrong_strings(shape),
        "array" => {
            let most = shape["maxItems"].as_u64().expect("a list has a bound") as usize;
            vec!["[]".to_owned(), format!("[{}]", vec!["null"; most + 1].join(","))]
        }
        "object" => {
            let large = "x".repeat(17 * 1024);
            vec![format!("{{\"a\":\"{large}\"}}"), r#"{"a":"\u0000"}"#.to_owned()]
        }
        _ => Vec::new(),
    }
}

fn wrong_integers(shape: &Value) -> Vec<String> {
    let (least, most) = (shape["minimum"].as_i64().unwrap(), shape["maximum"].as_i64().unwrap());
    let bounds = [(least - 1).to_string(), (most + 1).to_string()];
    let is_within = |text: &&str| text.parse().is_ok_and(|number: i64| (least..=most).contains(&number));
    let texts =
        ["-1", "0.5", "1.5", "1e309", "-1e309", "2147483648", "4294967297", "9223372036854775808", "\"1\""];
    let texts = texts.into_iter().filter(|text| !is_within(text));
    bounds.into_iter().chain(texts.map(str::to_owned)).collect()
}

fn wrong_amounts() -> Vec<String> {
    ["-1", "-0.01", "0.001", "1e2", "1e309", "90071992547409.92", "9223372036854775808"]
        .map(str::to_owned)
        .to_vec()
}

fn wrong_strings(shape: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(most) = shape["maxLength"].as_u64() {
        wrong.push(format!("\"{}\"", "a".repeat(most as usize + 1)));
    }
    if let Some(least) = shape["minLength"].as_u64().filter(|least| *least > 0) {
        wrong.push(format!("\"{}\"", "a".repeat(least as usize - 1)));
        wrong.push("\"   \"".to_owned());
    }
    // A password is compared as it was typed, whatever it is.
    if shape["format"] == "password" {
        wrong.retain(|text| text != "\"   \"");
        return wrong;
    }
    wrong.push("\"a\\u0000b\"".to_owned());
    let is_free = ["format", "pattern", "enum", "const"].iter().all(|word| shape[word].is_null());
    if !is_free {
        wrong.push("\"no such word\"".to_owned());
    }
    wrong
}
