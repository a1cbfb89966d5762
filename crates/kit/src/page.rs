//! Lists in keyset pages: page 10,000 costs what page 1 costs, and rows that arrive meanwhile neither repeat
//! nor vanish. A cursor is bound to its path, filters, sort and caller.

use std::sync::Arc;

use aide::generate::GenContext;
use aide::openapi::{Operation, Response as ApiResponse};
use aide::{OperationInput, OperationOutput};
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use db::Value;
use http::header::{CONTENT_TYPE, HeaderValue, LINK};
use http::request::Parts;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::answer::to_json;
use crate::fields::Invalid;
use crate::identity::Verified;
use crate::openapi;
use crate::problem::Problem;
use crate::query::{FromParams, Params};
use crate::shared::Shared;
use crate::token::{SigningKey, from_base64, to_base64};

/// How many items a page has where the client doesn't say, and at most.
const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

/// How much of a cursor is its authentication code, in bytes.
const CODE_LENGTH: usize = 16;

/// What a list can be filtered and sorted by.
pub trait Listing: FromParams + JsonSchema + Send {
    /// What `sort` takes, each with its column; the first is the default.
    const SORTS: Sorts;

    /// Whether the default has the largest first, as what is sorted by time has.
    const DESCENDS: bool = true;
}

/// Names that `sort` takes, each with its column.
pub type Sorts = &'static [(&'static str, &'static str)];

/// The place of a row in a list: its sort value, then its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The value of the column that the list is sorted by.
    pub key: Key,
    /// The row's id, which tells equal values apart.
    pub id: Uuid,
}

/// A sort value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A number or a time.
    Int(i64),
    /// A text.
    Text(String),
    /// An id, of a row that has two.
    Id(Uuid),
}

impl<'a> From<&'a Key> for Value<'a> {
    fn from(key: &'a Key) -> Self {
        match key {
            Key::Int(number) => (*number).into(),
            Key::Text(text) => text.as_str().into(),
            Key::Id(id) => (*id).into(),
        }
    }
}

/// One page asked for, and its filters.
#[derive(Debug)]
pub struct List<F> {
    /// What to leave out.
    pub filter: F,
    /// Which part of the rest.
    pub page: PageRequest,
}

/// Which part of a list is asked for.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// At most this many items.
    pub limit: i64,
    /// The column to sort by.
    pub sort: &'static str,
    /// Whether the largest comes first.
    pub descending: bool,
    /// Only what comes after this.
    pub after: Option<Position>,
    /// Whether to count all rows too.
    pub count: bool,
    link: String,
    binding: [u8; 32],
}

/// Common parameters of all lists, for the OpenAPI document.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes what `List` reads")]
struct PageParameters {
    /// How many items a page has.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// One field; with `-` in front, the largest first.
    sort: Option<String>,
    /// `exact` adds `total` to the answer.
    #[schemars(regex(pattern = "^exact$"))]
    count: Option<String>,
}

impl<S, F: Listing> FromRequestParts<Arc<S>> for List<F>
where
    S: AsRef<Shared> + Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<S>) -> Result<Self, Problem> {
        let shared: &Shared = (**state).as_ref();
        let mut params = Params::new(parts.uri.query());
        let filter = F::from_params(&mut params);
        let caller = parts.extensions.get::<Verified>().map_or(Uuid::nil(), Verified::principal);
        let page = PageRequest::from_params::<F>(&mut params, parts.uri.path(), caller, &shared.cursor_key);
        params.finish(Self { filter, page })
    }
}

impl<F: Listing> OperationInput for List<F> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        crate::query::describe::<F>(ctx, operation);
        crate::query::describe::<PageParameters>(ctx, operation);
        let names: Vec<&str> = F::SORTS.iter().map(|(name, _)| *name).collect();
        openapi::add_extension(operation, "x-sorts", names);
    }
}

impl PageRequest {
    fn from_params<F: Listing>(params: &mut Params, path: &str, caller: Uuid, key: &SigningKey) -> Self {
        let limit = limit(params);
        let default = (F::SORTS.first().map_or("id", |(_, column)| *column), F::DESCENDS);
        let (sort, descending) =
            params.optional_with("sort", |text| parse_sort(text, F::SORTS)).unwrap_or(default);
        let count = params.word("count", |word| (word == "exact").then_some(true), "exact").unwrap_or(false);
        let binding = binding(params.pairs(), path, caller, key);
        let after = params.optional_with("cursor", |text| open_cursor(text, &binding, key));
        Self { limit, sort, descending, after, count, link: link(params.pairs(), path), binding }
    }

    /// The first rows of a list that is read to its end in the order of a column, for whoever shows nobody a cursor.
    pub fn chunk(sort: &'static str, limit: i64, count: bool) -> Self {
        let (after, link, binding) = (None, String::new(), [0; 32]);
        Self { limit, sort, descending: false, after, count, link, binding }
    }

    /// The page behind this place; what was counted isn't counted again.
    pub fn following(self, after: Position) -> Self {
        Self { after: Some(after), count: false, ..self }
    }

    /// One more than a page, which shows whether another follows.
    pub fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// `ASC` or `DESC`.
    pub fn direction(&self) -> &'static str {
        if self.descending { "DESC" } else { "ASC" }
    }

    /// The page of the rows that [`PageRequest::fetch`] brought.
    pub fn page<R, T>(
        &self,
        shared: &Shared,
        mut rows: Vec<R>,
        total: Option<i64>,
        position: impl Fn(&R) -> Position,
        view: impl Fn(R) -> T,
    ) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(0);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| has_more).map(position);
        let next_cursor = last.map(|last| seal_cursor(&last, &self.binding, &shared.cursor_key));
        let next_link = next_cursor.as_ref().map(|cursor| format!("{}cursor={cursor}", self.link));
        Page { items: rows.into_iter().map(view).collect(), next_cursor, total, next_link }
    }
}

/// How many items are asked for: 1 to 200, by default 50.
pub fn limit(params: &mut Params) -> i64 {
    params.optional_with("limit", parse_limit).unwrap_or(DEFAULT_LIMIT)
}

fn parse_limit(text: &str) -> Result<i64, Invalid> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|limit| is_digits && (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| Invalid::value("must be a whole number from 1 to 200"))
}

fn parse_sort(text: &str, sorts: Sorts) -> Result<(&'static str, bool), Invalid> {
    let (field, descending) = text.strip_prefix('-').map_or((text, false), |field| (field, true));
    let known = sorts.iter().find(|(name, _)| *name == field);
    known.map(|(_, column)| (*column, descending)).ok_or_else(|| {
        let names: Vec<&str> = sorts.iter().map(|(name, _)| *name).collect();
        Invalid::value(format!("must be one of {}, with or without `-` in front", names.join(", ")))
    })
}

/// What a cursor belongs to; `limit` and `count` may change from page to page.
fn binding(pairs: &[(String, String)], path: &str, caller: Uuid, key: &SigningKey) -> [u8; 32] {
    let mut bound: Vec<&(String, String)> =
        pairs.iter().filter(|(name, _)| !matches!(name.as_str(), "cursor" | "limit" | "count")).collect();
    bound.sort();
    let mut parts: Vec<&[u8]> = vec![path.as_bytes(), caller.as_bytes()];
    parts.extend(bound.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
    key.sign(&parts)
}

fn link(pairs: &[(String, String)], path: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.iter().filter(|(name, _)| name != "cursor"));
    let query = query.finish();
    if query.is_empty() { format!("{path}?") } else { format!("{path}?{query}&") }
}

fn seal_cursor(position: &Position, binding: &[u8], key: &SigningKey) -> String {
    let mut content = position.id.as_bytes().to_vec();
    match &position.key {
        Key::Int(number) => content.extend([&[0][..], &number.to_be_bytes()].concat()),
        Key::Text(text) => content.extend([&[1][..], text.as_bytes()].concat()),
        Key::Id(id) => content.extend([&[2][..], id.as_bytes()].concat()),
    }
    let code = key.sign(&[binding, &content]);
    to_base64(&[&code[..CODE_LENGTH], &content].concat())
}

fn open_cursor(text: &str, binding: &[u8], key: &SigningKey) -> Result<Position, Invalid> {
    let open = || {
        let bytes = from_base64(text)?;
        let (code, content) = bytes.split_at_checked(CODE_LENGTH)?;
        if !key.verify(&[binding, content], code) {
            return None;
        }
        let (id, value) = content.split_at_checked(16)?;
        let key = match value.split_first()? {
            (0, number) => Key::Int(i64::from_be_bytes(number.try_into().ok()?)),
            (2, id) => Key::Id(Uuid::from_slice(id).ok()?),
            (_, text) => Key::Text(String::from_utf8(text.to_vec()).ok()?),
        };
        Some(Position { key, id: Uuid::from_slice(id).ok()? })
    };
    open().ok_or(Invalid {
        code: "invalid_cursor",
        message: "is not a cursor of this list with these filters and this sort".into(),
    })
}

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Page<T> {
    /// The items, in the order that was asked for.
    items: Vec<T>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
    /// How many there are in all, if `count=exact` asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<i64>,
    #[serde(skip)]
    next_link: Option<String>,
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        let link = self
            .next_link
            .as_ref()
            .and_then(|link| HeaderValue::from_str(&format!("<{link}>; rel=\"next\"")).ok());
        let mut response = match to_json(&self) {
            Ok(json) => {
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response()
            }
            Err(problem) => problem.into_response(),
        };
        if let Some(link) = link {
            response.headers_mut().insert(LINK, link);
        }
        response
    }
}

impl<T: JsonSchema> OperationOutput for Page<T> {
    type Inner = Self;

    fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        vec![(Some(200), openapi::json_response::<Self>(ctx, "One page of the list."))]
    }
}

/// The conditions of a `WHERE`, built up one by one; `{}` in a condition stands for its value.
#[derive(Default)]
pub struct Conditions<'a> {
    sql: String,
    args: Vec<Value<'a>>,
}

impl<'a> Conditions<'a> {
    /// None yet: all rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition with one value.
    pub fn and(&mut self, condition: &str, value: impl Into<Value<'a>>) {
        let placeholder = self.bind(value);
        self.push(&condition.replace("{}", &placeholder));
    }

    /// Adds a condition without a value of its own.
    pub fn only(&mut self, condition: &str) {
        self.push(condition);
    }

    /// Adds the place where a page begins.
    pub fn after(&mut self, page: &'a PageRequest) {
        if let Some(condition) = self.behind(page) {
            self.push(&condition);
        }
    }

    /// The condition of what comes behind that place, for another `WHERE` of the statement; none of a first page.
    pub fn behind(&mut self, page: &'a PageRequest) -> Option<String> {
        let after = page.after.as_ref()?;
        let (key, id) = (self.bind(&after.key), self.bind(after.id));
        let comparison = if page.descending { "<" } else { ">" };
        Some(format!("({}, id) {comparison} ({key}, {id})", page.sort))
    }

    /// Adds a value, and says which placeholder stands for it.
    pub fn bind(&mut self, value: impl Into<Value<'a>>) -> String {
        self.args.push(value.into());
        format!("${}", self.args.len())
    }

    /// ` WHERE …`, or nothing.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The values, in the order of their placeholders.
    pub fn args(&self) -> &[Value<'a>] {
        &self.args
    }

    fn push(&mut self, condition: &str) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
    }
}
