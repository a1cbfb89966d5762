//! What happened, for staff: in pages, and as a stream.

use std::sync::Arc;

use aide::generate::GenContext;
use aide::openapi::{Operation, Response as ApiResponse};
use aide::{OperationInput, OperationOutput};
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use events::{Event, EventFilter, Events, Position};
use http::header::{HeaderName, HeaderValue, LINK};
use http::request::Parts;
use kit::endpoint::Endpoints;
use kit::endpoint::Verb::Get;
use kit::fields::Invalid;
use kit::identity::Caller;
use kit::openapi::{self, Problems, op};
use kit::page::limit;
use kit::permission::{STAFF, Scope};
use kit::problem::Problem;
use kit::query::{FromParams, Params, Query};
use schemars::JsonSchema;
use serde::Serialize;

use crate::Orders;
use crate::read_events::{After, Wanted, read_page, start};
use crate::stream_events::{EventStream, stream_events};

/// What an API key must be made for.
const SCOPE: Scope = "events:read";

const GONE: (u16, &str) =
    (410, "Events behind this position are not kept any more; `oldest` says where those begin that are.");
const READ: Problems = &[GONE];
const STREAM: Problems = &[
    GONE,
    (429, "The account has 8 streams open, which is the most."),
    (503, "As many streams are open as may be; `Retry-After` says when to come back."),
];

/// What a client sends that was cut off: the id of the last event that it has seen (WHATWG HTML, server-sent events).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) fn endpoints() -> Endpoints<Orders> {
    Endpoints::new()
        .on(Get, "/events", STAFF.scope(SCOPE), event_list, op("event_list", "Read what happened", READ))
        .on(
            Get,
            "/events/stream",
            STAFF.scope(SCOPE),
            event_stream,
            op("event_stream", "Follow what happens (server-sent events)", STREAM),
        )
}

/// Which events, and how many of them.
#[derive(JsonSchema)]
struct EventQuery {
    /// Only what happened after this: an answer's `next_cursor` or `position`, or an event's `id`; `latest` for what happens from now on. Without it the oldest that are kept.
    #[schemars(with = "Option<String>")]
    after: After,
    /// Only these types (`order.placed`), or all of a kind (`order.*`), with commas between them.
    #[schemars(rename = "type", with = "Option<String>")]
    wanted: Wanted,
    /// How many at most.
    #[schemars(with = "Option<i64>", range(min = 1, max = 200))]
    limit: i64,
}

impl FromParams for EventQuery {
    fn from_params(params: &mut Params) -> Self {
        Self { after: after(params), wanted: wanted(params), limit: limit(params) }
    }
}

/// Which events.
#[derive(JsonSchema)]
struct StreamQuery {
    /// Only what happened after this event; `latest` for what happens from now on. Without it the oldest that are kept.
    #[schemars(with = "Option<String>")]
    after: After,
    /// Only these types (`order.placed`), or all of a kind (`order.*`), with commas between them.
    #[schemars(rename = "type", with = "Option<String>")]
    wanted: Wanted,
}

impl FromParams for StreamQuery {
    fn from_params(params: &mut Params) -> Self {
        Self { after: after(params), wanted: wanted(params) }
    }
}

fn after(params: &mut Params) -> After {
    params.optional_with("after", parse_after).unwrap_or_default()
}

fn parse_after(text: &str) -> Result<After, Invalid> {
    if text == "latest" { Ok(After::Latest) } else { text.parse().map(After::Event) }
}

fn wanted(params: &mut Params) -> Wanted {
    let parse =
        |text: &str| -> Result<Wanted, Invalid> { text.split(',').map(str::parse::<EventFilter>).collect() };
    params.optional_with("type", parse).unwrap_or_else(|| Arc::new([]))
}

/// Some events, the oldest first.
#[derive(Serialize, JsonSchema)]
struct EventPage {
    items: Vec<Event>,
    /// The next page's `after`; null if there is no more for now, and then `position` is what to come back with. With a filter a page may be empty and there be more.
    next_cursor: Option<Position>,
    /// Up to where this page tells all there was to tell: what happens later comes after it.
    position: Position,
    #[serde(skip)]
    link: Option<String>,
}

impl EventPage {
    fn new(page: Events, wanted: &[EventFilter], limit: i64) -> Self {
        let next_cursor = page.has_more.then_some(page.end);
        let types: Vec<&str> = wanted.iter().map(|wanted| wanted.as_str()).collect();
        let types = if types.is_empty() { String::new() } else { format!("&type={}", types.join(",")) };
        let link =
            next_cursor.map(|next| format!("</events?limit={limit}{types}&after={next}>; rel=\"next\""));
        Self { items: page.items, next_cursor, position: page.end, link }
    }
}

impl IntoResponse for EventPage {
    fn into_response(self) -> Response {
        let link = self.link.as_deref().and_then(|link| HeaderValue::from_str(link).ok());
        let mut response = Json(self).into_response();
        response.headers_mut().extend(link.map(|link| (LINK, link)));
        response
    }
}

impl OperationOutput for EventPage {
    type Inner = Self;

    fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        vec![(Some(200), openapi::json_response::<Self>(ctx, "Some events, the oldest first."))]
    }
}

async fn event_list(
    State(orders): State<Arc<Orders>>,
    Query(query): Query<EventQuery>,
) -> Result<EventPage, Problem> {
    let start = start(&orders, query.after).await?;
    let page = read_page(&orders, start, query.limit, &query.wanted).await?;
    Ok(EventPage::new(page, &query.wanted, query.limit))
}

/// Where a client was that has been cut off; it outranks the address, which says where it began.
struct LastEventId(Option<After>);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(LAST_EVENT_ID) else { return Ok(Self(None)) };
        let position = value.to_str().ok().and_then(|text| text.parse().ok());
        let malformed = || Problem::malformed("invalid_cursor", "`Last-Event-ID` is no event's id.");
        position.map(|position| Self(Some(After::Event(position)))).ok_or_else(malformed)
    }
}

impl OperationInput for LastEventId {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let text = "The id of the last event that was seen, instead of `after`.";
        openapi::add_header_parameter(ctx, operation, "Last-Event-ID", text);
    }
}

async fn event_stream(
    caller: Caller,
    State(orders): State<Arc<Orders>>,
    last: LastEventId,
    Query(query): Query<StreamQuery>,
) -> Result<EventStream, Problem> {
    stream_events(&orders, &caller, last.0.unwrap_or(query.after), query.wanted).await
}
