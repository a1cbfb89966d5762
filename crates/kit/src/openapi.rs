//! The OpenAPI 3.1 document, built from the handlers' types.

use std::collections::BTreeSet;

use aide::axum::ApiRouter;
use aide::generate::{GenContext, in_context};
use aide::openapi::{
    HeaderStyle, Info, License, MediaType, OpenApi, Operation, Parameter, ParameterData,
    ParameterSchemaOrContent, PathItem, PathStyle, ReferenceOr, Response, SchemaObject, SecurityScheme,
    Server, StatusCode, Tag,
};
use aide::transform::TransformOperation;
use aide::{OperationInput, OperationOutput};
use axum::Router;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::problem::ProblemShape;

/// Splits a documented router into the router and its part of the document.
pub fn finish<S: Clone + Send + Sync + 'static>(
    tag: &str,
    build: impl FnOnce() -> ApiRouter<S>,
) -> (Router<S>, OpenApi) {
    use_openapi_schemas();
    let mut document = empty_document();
    let router = build().finish_api(&mut document);
    document.tags.push(Tag { name: tag.to_owned(), ..Tag::default() });
    for (path, item) in document.paths.iter_mut().flat_map(|paths| paths.paths.iter_mut()) {
        if let ReferenceOr::Item(item) = item {
            describe_path(path, tag, item);
        }
    }
    (router, document)
}

/// One document of several services' parts.
pub fn merge(parts: impl IntoIterator<Item = OpenApi>) -> OpenApi {
    let mut whole = empty_document();
    for part in parts {
        let paths = whole.paths.get_or_insert_with(Default::default);
        paths.paths.extend(part.paths.unwrap_or_default().paths);
        let components = whole.components.get_or_insert_with(Default::default);
        components.schemas.extend(part.components.unwrap_or_default().schemas);
        whole.tags.extend(part.tags);
    }
    whole.tags.sort_by(|one, other| one.name.cmp(&other.name));
    whole.tags.dedup();
    whole
}

/// What the endpoints of a document ask of API keys.
pub fn scopes(document: &OpenApi) -> BTreeSet<String> {
    let items = document.paths.iter().flat_map(|paths| paths.paths.values()).filter_map(ReferenceOr::as_item);
    let operations = items.flat_map(PathItem::iter).map(|(_, operation)| operation);
    let security = operations.flat_map(|operation| &operation.security);
    security.filter_map(|schemes| schemes.get("api_key")).flatten().cloned().collect()
}

fn empty_document() -> OpenApi {
    let mut document = OpenApi {
        info: Info {
            title: "Storehouse".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            license: Some(License {
                name: "MIT".to_owned(),
                identifier: Some("MIT".to_owned()),
                ..License::default()
            }),
            ..Info::default()
        },
        // Relative, so that the reference page calls the origin that it came from.
        servers: vec![Server { url: "/".to_owned(), ..Server::default() }],
        ..OpenApi::default()
    };
    let bearer = SecurityScheme::Http {
        scheme: "bearer".to_owned(),
        bearer_format: Some("JWT".to_owned()),
        description: Some("The `token` of a register or login answer.".to_owned()),
        extensions: Default::default(),
    };
    let key = SecurityScheme::Http {
        scheme: "bearer".to_owned(),
        bearer_format: Some("sk_storehouse_…".to_owned()),
        description: Some(
            "An API key with the scopes that are named; `POST /auth/keys` makes one.".to_owned(),
        ),
        extensions: Default::default(),
    };
    let components = document.components.get_or_insert_with(Default::default);
    components.security_schemes.insert("bearer".to_owned(), ReferenceOr::Item(bearer));
    components.security_schemes.insert("api_key".to_owned(), ReferenceOr::Item(key));
    document
}

/// OpenAPI 3.1 takes JSON Schema 2020-12, whose definitions stand in the document's components.
fn use_openapi_schemas() {
    in_context(|ctx| {
        ctx.schema = SchemaSettings::draft2020_12()
            .with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
            .into_generator();
    });
}

fn describe_path(path: &str, tag: &str, item: &mut PathItem) {
    let names: Vec<&str> =
        path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
    let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
    for operation in operations.into_iter().flatten() {
        operation.tags.push(tag.to_owned());
        for name in &names {
            let data = path_parameter(name);
            operation
                .parameters
                .push(ReferenceOr::Item(Parameter::Path { parameter_data: data, style: PathStyle::Simple }));
        }
    }
}

fn path_parameter(name: &str) -> ParameterData {
    if name == "id" || name.ends_with("_id") {
        return parameter(name, true, "The id.", json_schema!({"type": "string", "format": "uuid"}));
    }
    parameter(name, true, "Percent-encoded where needed.", json_schema!({"type": "string"}))
}

/// An operation as its handler's types tell it. Where two name the same status, the first says what it means.
pub(crate) fn operation_of<I: OperationInput, O: OperationOutput>() -> Operation {
    let mut operation = Operation::default();
    in_context(|ctx| {
        I::operation_input(ctx, &mut operation);
        let answers = O::inferred_responses(ctx, &mut operation);
        let refusals = I::inferred_early_responses(ctx, &mut operation);
        for (status, response) in answers.into_iter().chain(refusals) {
            match status {
                Some(status) => add_response(&mut operation, status, response),
                None => add_default_response(&mut operation, response),
            }
        }
    });
    operation
}

/// Adds a problem answer to an operation, if that status is not described yet.
pub fn add_problem(ctx: &mut GenContext, operation: &mut Operation, status: u16, text: &str) {
    let response = problem_response(ctx, text);
    add_response(operation, status, response);
}

/// Adds an answer without a body.
pub fn add_empty_response(_: &mut GenContext, operation: &mut Operation, status: u16, text: &str) {
    add_response(operation, status, Response { description: text.to_owned(), ..Response::default() });
}

/// Statuses that an operation may refuse with, each with its sentence.
pub type Problems = &'static [(u16, &'static str)];

/// Describes an operation: its id, what it does, and the problems that only its handler knows of.
pub fn op(
    id: &'static str,
    summary: &'static str,
    problems: Problems,
) -> impl for<'t> FnOnce(TransformOperation<'t>) -> TransformOperation<'t> {
    move |operation| {
        let mut operation = operation.id(id).summary(summary);
        for (status, text) in problems {
            in_context(|ctx| add_problem(ctx, operation.inner_mut(), *status, text));
        }
        operation
    }
}

/// Takes `null` off properties that may be left out but not cleared, for which an `Option` says too much.
pub fn refuse_null(names: &'static [&'static str]) -> impl FnMut(&mut Schema) {
    move |schema| {
        let Some(properties) = schema.ensure_object().get_mut("properties") else { return };
        for name in names {
            if let Some(property) = properties.get_mut(name).and_then(Value::as_object_mut) {
                take_null_off(property);
            }
        }
    }
}

fn take_null_off(property: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = property.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            property.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(mut choices)) = property.remove("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        property.extend(choices.into_iter().filter_map(|choice| choice.as_object().cloned()).flatten());
    }
}

fn add_response(operation: &mut Operation, status: u16, response: Response) {
    let responses = operation.responses.get_or_insert_with(Default::default);
    responses.responses.entry(StatusCode::Code(status)).or_insert(ReferenceOr::Item(response));
}

/// Adds the answer for every status that isn't named.
fn add_default_response(operation: &mut Operation, response: Response) {
    let responses = operation.responses.get_or_insert_with(Default::default);
    responses.default.get_or_insert(ReferenceOr::Item(response));
}

/// A problem (RFC 9457) as an answer.
pub fn problem_response(ctx: &mut GenContext, text: &str) -> Response {
    response_of::<ProblemShape>(ctx, text, "application/problem+json")
}

/// A JSON answer.
pub fn json_response<T: JsonSchema>(ctx: &mut GenContext, text: &str) -> Response {
    response_of::<T>(ctx, text, "application/json")
}

fn response_of<T: JsonSchema>(ctx: &mut GenContext, text: &str, media_type: &str) -> Response {
    let schema =
        SchemaObject { json_schema: ctx.schema.subschema_for::<T>(), example: None, external_docs: None };
    let media = MediaType { schema: Some(schema), ..MediaType::default() };
    Response {
        description: text.to_owned(),
        content: [(media_type.to_owned(), media)].into_iter().collect(),
        ..Response::default()
    }
}

/// Adds a header that a client may send.
pub fn add_header_parameter(ctx: &mut GenContext, operation: &mut Operation, name: &str, text: &str) {
    let schema = ctx.schema.subschema_for::<String>();
    let parameter_data = parameter(name, false, text, schema);
    operation
        .parameters
        .push(ReferenceOr::Item(Parameter::Header { parameter_data, style: HeaderStyle::Simple }));
}

/// Adds a member of our own, whose name begins with `x-`.
pub fn add_extension(operation: &mut Operation, name: &str, value: impl Serialize) {
    let value = serde_json::to_value(value).unwrap_or_default();
    operation.extensions.insert(name.to_owned(), value);
}

fn parameter(name: &str, required: bool, text: &str, schema: Schema) -> ParameterData {
    let schema = SchemaObject { json_schema: schema, example: None, external_docs: None };
    ParameterData {
        name: name.to_owned(),
        description: Some(text.to_owned()),
        required,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(schema),
        example: None,
        examples: Default::default(),
        explode: None,
        extensions: Default::default(),
    }
}
