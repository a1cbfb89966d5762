//! A request's query and path parameters, read into types that can only be valid.

use std::marker::PhantomData;
use std::str::FromStr;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema};
use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use uuid::Uuid;

use crate::fields::Invalid;
use crate::openapi;
use crate::problem::{Fault, Problem};
use crate::search::words;

/// The longest value of one parameter, in characters.
const MAX_VALUE: usize = 1000;

/// The id in a path (`/orders/{id}`, `/orders/user/{user_id}`); one that is malformed names nothing: 404.
#[derive(Clone, Copy, Debug)]
pub struct PathId(pub Uuid);

/// The two ids in a path (`/things/{id}/parts/{part_id}`), alike.
#[derive(Clone, Copy, Debug)]
pub struct PathIds(pub Uuid, pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_ids(parts, state).await.map(|[id]| Self(id))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathIds {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_ids(parts, state).await.map(|[whole, part]| Self(whole, part))
    }
}

/// The first ids of a path.
async fn path_ids<const COUNT: usize>(
    parts: &mut Parts,
    state: &(impl Send + Sync),
) -> Result<[Uuid; COUNT], Problem> {
    let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
    // One spelling only, so that one resource has one address.
    let id = |text: &str| Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
    let ids: Option<Vec<Uuid>> = params.iter().take(COUNT).map(|(_, text)| id(text)).collect();
    ids.and_then(|ids| ids.try_into().ok()).ok_or_else(Problem::not_found)
}

impl OperationInput for PathId {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        openapi::add_problem(ctx, operation, 404, "Nothing there, or not for this caller.");
    }
}

impl OperationInput for PathIds {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        PathId::operation_input(ctx, operation);
    }
}

/// A name in a path (`/things/by-name/{name}`), with what is percent-encoded decoded; what is no text names nothing: 404.
#[derive(Clone, Debug)]
pub struct PathText(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        let (_, text) = params.iter().next().ok_or_else(Problem::not_found)?;
        // Not every engine takes it, and no name has it.
        if text.contains('\0') { Err(Problem::not_found()) } else { Ok(Self(text.to_owned())) }
    }
}

impl OperationInput for PathText {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        openapi::add_problem(ctx, operation, 404, "Nothing there, or not for this caller.");
    }
}

/// The query's parameters being read; those that nobody asked for are faults.
pub struct Params {
    pairs: Vec<(String, String)>,
    asked: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl Params {
    /// Splits a query string (WHATWG URL, application/x-www-form-urlencoded).
    pub fn new(query: Option<&str>) -> Self {
        let query = query.unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut params = Self { pairs, asked: Vec::new(), faults: Vec::new() };
        // The parser would put a sign of its own in the place of what is no text.
        let is_no_text = |pair: &&str| percent_decode_str(pair).decode_utf8().is_err();
        if let Some(pair) = query.split('&').find(is_no_text) {
            let name = pair.split('=').next().unwrap_or_default();
            params.fault(name, Invalid::value("must be UTF-8, percent-encoded"));
        }
        params
    }

    /// A parameter that may be left out.
    pub fn optional<T: FromStr<Err = Invalid>>(&mut self, name: &'static str) -> Option<T> {
        self.optional_with(name, str::parse)
    }

    /// A parameter that may be left out, read by `parse`.
    pub fn optional_with<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        self.asked.push(name);
        let mut sent = self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        let result = match (sent.next()?, sent.next()) {
            (_, Some(_)) => Err(Invalid::value("stands more than once")),
            (value, None) => parse(value),
        };
        match result {
            Ok(value) => Some(value),
            Err(invalid) => {
                self.fault(name, invalid);
                None
            }
        }
    }

    /// A parameter that is any text, of at most 1,000 characters.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.optional_with(name, |text| read_text(text).map(str::to_owned))
    }

    /// A parameter that is words to search by, folded; none of them if it is left out.
    pub fn words(&mut self, name: &'static str) -> Vec<String> {
        self.optional_with(name, |text| words(read_text(text)?)).unwrap_or_default()
    }

    /// A parameter that is one of a few words.
    pub fn word<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        words: &str,
    ) -> Option<T> {
        self.optional_with(name, |text| {
            parse(text).ok_or_else(|| Invalid::value(format!("must be one of {words}")))
        })
    }

    /// A parameter that is `true` or `false`.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.optional_with(name, |text| text.parse().map_err(|_| Invalid::value("must be true or false")))
    }

    /// A parameter that is an id.
    pub fn id(&mut self, name: &'static str) -> Option<Uuid> {
        self.optional_with(name, |text| {
            Uuid::try_parse(text).map_err(|_| Invalid::value("must be an id (UUID)"))
        })
    }

    /// Records a fault.
    pub fn fault(&mut self, name: &str, invalid: Invalid) {
        let field = name.chars().take(64).collect();
        self.faults.push(Fault { field, code: invalid.code.into(), message: invalid.message });
    }

    /// All pairs, as they were sent.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// `value`, unless there were faults (400).
    pub fn finish<T>(mut self, value: T) -> Result<T, Problem> {
        let unknown: Vec<String> = self
            .pairs
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !self.asked.contains(&name.as_str()))
            .cloned()
            .collect();
        for name in unknown.iter().take(20) {
            self.fault(
                name,
                Invalid { code: "unknown_parameter", message: "is not a parameter of this".into() },
            );
        }
        if self.faults.is_empty() { Ok(value) } else { Err(Problem::invalid_parameters(self.faults)) }
    }
}

fn read_text(text: &str) -> Result<&str, Invalid> {
    if text.chars().count() > MAX_VALUE || text.contains('\0') {
        return Err(Invalid::value("is too long, or has a NUL character"));
    }
    Ok(text)
}

/// A type that is read from a query.
pub trait FromParams: Sized {
    /// Reads what it knows; faults are kept in `params`.
    fn from_params(params: &mut Params) -> Self;
}

impl FromParams for () {
    fn from_params(_: &mut Params) -> Self {}
}

/// The query of what is no list.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Sync, T: FromParams> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut params = Params::new(parts.uri.query());
        let query = T::from_params(&mut params);
        params.finish(Self(query))
    }
}

impl<T: FromParams + JsonSchema> OperationInput for Query<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        describe::<T>(ctx, operation);
    }
}

/// A query without parameters: each one sent is a fault.
#[derive(Debug)]
pub struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Params::new(parts.uri.query()).finish(Self)
    }
}

impl OperationInput for NoQuery {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        openapi::add_problem(ctx, operation, 400, "A parameter is unknown.");
    }
}

/// Describes `T`'s properties as query parameters.
pub(crate) fn describe<T: JsonSchema>(ctx: &mut GenContext, operation: &mut Operation) {
    let schema = ctx.schema.subschema_for::<T>();
    let parameters = parameters_from_schema(ctx, schema, ParamLocation::Query);
    add_parameters(ctx, operation, parameters);
    openapi::add_problem(ctx, operation, 400, "A parameter is unknown, malformed or stands twice.");
    let _: PhantomData<T> = PhantomData;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i09_a_parameter_that_is_no_text_is_refused() {
        let read = |query| {
            let mut params = Params::new(Some(query));
            let text = params.text("q");
            params.finish(text).map_err(|problem| problem.errors()[0].field.clone())
        };
        assert_eq!(read("q=%C3%A4+%26"), Ok(Some("ä &".to_owned())));
        for query in ["q=%ff", "q=a%ed%a0%80", "q=%c3", "q=%C3&q=%A4"] {
            assert_eq!(read(query), Err("q".to_owned()), "{query}");
        }
    }
}
