//! A stream of events (WHATWG HTML, server-sent events): looks for new ones twice a second, holds a page of them at most, and ends when the session
//! ends, the role changes or the process stops.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as ApiResponse};
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse, Response};
use events::{Event, Position};
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderName, StatusCode};
use kit::identity::{Caller, Verified};
use kit::metrics::Text;
use kit::problem::Problem;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::Orders;
use crate::read_events::{After, Wanted, read_page, start};

/// How many streams a process has open at most, and how many of them for one account.
const MOST_STREAMS: usize = 64;
const MOST_OF_ONE: usize = 8;

/// How long after a look that found nothing the next one follows.
const INTERVAL: Duration = Duration::from_millis(500);

/// After so much silence a comment is sent, so that nobody on the way takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many events are held ready for a client.
const READY: i64 = 50;

/// How many streams each account has open in this process.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<Uuid, usize>>>);

/// A stream's place among them, until it is dropped.
struct Place {
    streams: Streams,
    account: Uuid,
}

impl Streams {
    fn take_place(&self, account: Uuid) -> Result<Place, Problem> {
        let mut open = self.open();
        if open.get(&account).is_some_and(|own| *own >= MOST_OF_ONE) {
            let detail = format!(
                "This account has {MOST_OF_ONE} event streams open already, which is the most: end one."
            );
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", detail);
            return Err(problem.with_header(RETRY_AFTER, "10"));
        }
        if open.values().sum::<usize>() >= MOST_STREAMS {
            let detail = format!("{MOST_STREAMS} event streams are open already, which is the most.");
            return Err(Problem::unavailable(10, detail));
        }
        *open.entry(account).or_default() += 1;
        Ok(Place { streams: self.clone(), account })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Uuid, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::cast_precision_loss, reason = "there are at most 64")]
    pub(crate) fn write(&self, text: &mut Text) {
        let open = self.open().values().sum::<usize>() as f64;
        text.gauge("storehouse_event_streams", "Event streams that are open.", &[], open);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open();
        match open.get_mut(&self.account) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                open.remove(&self.account);
            }
        }
    }
}

/// A stream that is being answered with.
pub(crate) struct EventStream(Reader);

/// Somebody who follows the events.
struct Reader {
    orders: Arc<Orders>,
    verified: Verified,
    wanted: Wanted,
    position: Position,
    ready: VecDeque<Event>,
    sent_at: Instant,
    _place: Place,
}

/// Opens a stream; what was asked for wrongly is told before it begins.
pub(crate) async fn stream_events(
    orders: &Arc<Orders>,
    caller: &Caller,
    after: After,
    wanted: Wanted,
) -> Result<EventStream, Problem> {
    let place = orders.streams.take_place(caller.account())?;
    let start = start(orders, after).await?;
    let first = read_page(orders, start, READY, &wanted).await?;
    Ok(EventStream(Reader {
        orders: Arc::clone(orders),
        verified: caller.verified().clone(),
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
        let still = self.verified.check_again(&*self.orders.shared.sessions).await;
        still.is_ok() && !self.orders.readiness.is_stopping()
    }
}

fn shown(event: &Event) -> Option<sse::Event> {
    let data = serde_json::to_string(event).ok()?;
    Some(sse::Event::default().id(event.id.to_string()).event(event.event_type.as_str()).data(data))
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        // A proxy in front must neither gather nor keep them.
        let headers = [(HeaderName::from_static("x-accel-buffering"), "no"), (CACHE_CONTROL, "no-store")];
        (headers, Sse::new(unfold(self.0, Reader::next))).into_response()
    }
}

impl OperationOutput for EventStream {
    type Inner = Self;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        let content = [("text/event-stream".to_owned(), MediaType::default())].into_iter().collect();
        let description = "Events, each with its id, its type as `event` and itself as `data`; without end.";
        vec![(
            Some(200),
            ApiResponse { description: description.to_owned(), content, ..ApiResponse::default() },
        )]
    }
}
