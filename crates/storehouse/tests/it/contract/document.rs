//! The OpenAPI document, as the tests walk it.

use http::Method;
use serde_json::{Map, Value};

/// The whole system's document.
pub(crate) struct Document {
    pub(crate) json: Value,
}

/// One operation of it.
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Who may call it: `anybody`, or `owner` and the roles.
    pub(crate) roles: Vec<String>,
    /// Who may know of the thing that it is about; none where it is about none.
    pub(crate) visible_to: Option<Vec<String>>,
    pub(crate) json: Value,
}

impl Document {
    pub(crate) fn new() -> Self {
        Self { json: serde_json::to_value(storehouse::system::document()).unwrap() }
    }

    /// All operations, in the order of their paths.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        let paths = self.json["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
            methods.map(|(method, json)| Operation::new(method, path, json))
        });
        operations.collect()
    }

    /// A schema, or what it refers to.
    pub(crate) fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => {
                let target = self.json.pointer(reference.strip_prefix('#').unwrap());
                self.resolve(target.unwrap_or_else(|| panic!("{reference} leads nowhere")))
            }
            None => schema,
        }
    }

    /// The schemas of which a value may fit any.
    pub(crate) fn alternatives<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        let schema = self.resolve(schema);
        match schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
            Some(choices) => choices.iter().flat_map(|choice| self.alternatives(choice)).collect(),
            None => vec![schema],
        }
    }

    /// Of those, the one that an object fits: it has all that must be there, and knows all that is.
    pub(crate) fn fitting<'a>(&'a self, schema: &'a Value, object: &Map<String, Value>) -> &'a Value {
        let fits = |choice: &&Value| {
            let required = required(choice);
            required.iter().all(|name| object.contains_key(name))
                && object.keys().all(|name| choice["properties"].get(name).is_some())
        };
        let found = self.alternatives(schema).into_iter().find(fits);
        found.unwrap_or_else(|| panic!("the example fits no schema: {object:?}"))
    }
}

/// The names of the properties that must be there.
pub(crate) fn required(schema: &Value) -> Vec<String> {
    let names = schema["required"].as_array().cloned().unwrap_or_default();
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

impl Operation {
    fn new(method: &str, path: &str, json: &Value) -> Self {
        let words = |name: &str| serde_json::from_value(json[name].clone()).unwrap();
        let (roles, visible_to): (Option<_>, _) = (words("x-roles"), words("x-visible-to"));
        let roles = roles.unwrap_or_else(|| panic!("{method} {path} says nobody who may"));
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        Self { method, path: path.to_owned(), roles, visible_to, json: json.clone() }
    }

    /// Whether anybody may call it, without a token too.
    pub(crate) fn is_public(&self) -> bool {
        self.roles == ["anybody"]
    }

    /// Whether an API key may call it, and if so the scope that it needs, if it needs one.
    pub(crate) fn keys(&self) -> Option<Option<&str>> {
        let schemes = self.json["security"].as_array()?;
        let scopes = schemes.iter().find_map(|scheme| scheme["api_key"].as_array())?;
        Some(scopes.first().and_then(Value::as_str))
    }

    /// Its path, with the same in place of every name.
    pub(crate) fn address_of(&self, name: &str) -> String {
        let parts = self.path.split('/').map(|part| if part.starts_with('{') { name } else { part });
        parts.collect::<Vec<_>>().join("/")
    }

    /// As the tables of the tests name it: `POST /orders`.
    pub(crate) fn key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The service that answers it.
    pub(crate) fn service(&self) -> &'static str {
        let services = ["auth", "users", "orders", "inventory"];
        services.into_iter().find(|name| self.json["tags"][0] == *name).unwrap_or("orders")
    }

    /// The documented statuses.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.json["responses"].as_object().unwrap().keys().filter_map(|status| status.parse().ok()).collect()
    }

    /// The parameters of one place: `path`, `query` or `header`.
    pub(crate) fn parameters(&self, place: &str) -> Vec<&Value> {
        let all = self.json["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|parameter| parameter["in"] == place).collect()
    }

    pub(crate) fn takes(&self, place: &str, name: &str) -> bool {
        self.parameters(place).iter().any(|parameter| parameter["name"] == name)
    }

    /// Whether it answers a list in pages; events are read by their positions instead.
    pub(crate) fn is_list(&self) -> bool {
        self.takes("query", "cursor")
    }

    /// Whether its path names one thing.
    pub(crate) fn has_id(&self) -> bool {
        self.path.contains('{')
    }

    pub(crate) fn body_schema(&self) -> Option<&Value> {
        self.json.pointer("/requestBody/content/application~1json/schema")
    }

    /// Whether its body is a CSV file.
    pub(crate) fn takes_file(&self) -> bool {
        self.json.pointer("/requestBody/content/text~1csv").is_some()
    }

    /// Whether it tells how the process is: for probes, who may add what they like.
    pub(crate) fn is_health(&self) -> bool {
        self.path.starts_with("/health")
    }
}
