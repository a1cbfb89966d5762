//! A stream of events (WHATWG HTML, server-sent events): looks for new ones twice a second, holds a page of them at most, and ends when the session
//! ends, the role changes or the process stops.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as ApiResponse};
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse, Response};
use events::{Event, Position};
use futures_util::stream::unfold;
use http::HeaderName;
use kit::identity::{Caller, Check, Staff};
use kit::metrics::Text;
use kit::problem::Problem;
use kit::token::Claims;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use crate::Orders;
use crate::read_events::{After, Wanted, read_page, start};

/// How many streams a process has open at most.
const MOST_STREAMS: usize = 64;

/// How long after a look that found nothing the next one follows.
const INTERVAL: Duration = Duration::from_millis(500);

/// After so much silence a comment is sent, so that nobody on the way takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many events are held ready for a client.
const READY: i64 = 50;

/// The open streams of a process.
#[derive(Clone)]
pub(crate) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_STREAMS)))
    }
}

impl Streams {
    #[expect(clippy::cast_precision_loss, reason = "there are at most 64")]
    pub(crate) fn write(&self, text: &mut Text) {
        let open = (MOST_STREAMS - self.0.available_permits()) as f64;
        text.gauge("storehouse_event_streams", "Event streams that are open.", &[], open);
    }
}

/// A stream that is being answered with.
pub(crate) struct EventStream(Reader);

/// Somebody who follows the events.
struct Reader {
    orders: Orders,
    claims: Claims,
    wanted: Wanted,
    position: Position,
    ready: VecDeque<Event>,
    sent_at: Instant,
    _place: OwnedSemaphorePermit,
}

/// Opens a stream; what was asked for wrongly is told before it begins.
pub(crate) async fn stream_events(
    orders: &Orders,
    caller: &Caller<Staff>,
    after: After,
    wanted: Wanted,
) -> Result<EventStream, Problem> {
    let place = Arc::clone(&orders.streams.0).try_acquire_owned().map_err(|_| {
        Problem::unavailable(10, format!("{MOST_STREAMS} event streams are open already, which is the most."))
    })?;
    let start = start(orders, after).await?;
    let first = read_page(orders, start, READY, &wanted).await?;
    Ok(EventStream(Reader {
        orders: orders.clone(),
        claims: caller.claims().clone(),
        wanted,
        position: first.end,
        ready: first.items.into(),
        sent_at: Instant::now(),
        _place: place,
    }))
}

impl Reader {
    /// The next thing to send, once the client has taken what was sent before; nothing when the stream ends.
    async fn next(mut self) -> Option<(Result<sse::Event, Infallible>, Self)> {
        loop {
            if !self.may_go_on().await {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                return self.send(shown(&event)?);
            }
            // Who reads too slowly for what is kept has to ask again, and is told.
            let page = read_page(&self.orders, Some(self.position), READY, &self.wanted).await.ok()?;
            self.position = page.end;
            self.ready = page.items.into();
            if self.ready.is_empty() && self.sent_at.elapsed() >= HEARTBEAT {
                // Its id moves a client on over what it doesn't want.
                let heartbeat = sse::Event::default().id(self.position.to_string()).comment("");
                return self.send(heartbeat);
            }
            if self.ready.is_empty() && !page.has_more {
                sleep(INTERVAL).await;
            }
        }
    }

    fn send(mut self, event: sse::Event) -> Option<(Result<sse::Event, Infallible>, Self)> {
        self.sent_at = Instant::now();
        Some((Ok(event), self))
    }

    async fn may_go_on(&self) -> bool {
        let session = match self.orders.shared.sessions.check(&self.claims) {
            Check::Known(known) => known,
            Check::Ask(question) => question.await,
        };
        session.is_ok() && !self.orders.readiness.is_stopping()
    }
}

fn shown(event: &Event) -> Option<sse::Event> {
    let data = serde_json::to_string(event).ok()?;
    Some(sse::Event::default().id(event.id.to_string()).event(event.event_type.as_str()).data(data))
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        // A proxy in front must not gather them.
        let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
        (unbuffered, Sse::new(unfold(self.0, Reader::next))).into_response()
    }
}

impl OperationOutput for EventStream {
    type Inner = Self;

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<ApiResponse> {
        let content = [("text/event-stream".to_owned(), MediaType::default())].into_iter().collect();
        let description = "Events, each with its id, its type as `event` and itself as `data`; without end.";
        Some(ApiResponse { description: description.to_owned(), content, ..ApiResponse::default() })
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, ApiResponse)> {
        Self::operation_response(ctx, operation).map(|response| (Some(200), response)).into_iter().collect()
    }
}
