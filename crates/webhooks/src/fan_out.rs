//! Events become deliveries: one for each webhook that wants an event. The cursor moves in the same transaction, from where it was read, so however many
//! processes do this, each event becomes one delivery.

use std::sync::Arc;

use db::{Db, Error, Tx};
use events::{Event, Events, Position, ReadError, chosen_types};
use futures_util::FutureExt;
use kit::clock::{Timestamp, new_id};
use tokio::sync::Notify;
use tracing::warn;

use crate::model::Webhook;
use crate::store::{self, NewDelivery, Waiting};

/// How many events of a webhook are read at once.
const AT_ONCE: i64 = 100;

/// A webhook that still has so many to take gets no more: the events wait in the outbox, which is made for it.
const MOST_WAITING: i64 = 10_000;

/// What there is for a webhook.
struct News {
    webhook: Webhook,
    found: Found,
}

enum Found {
    Events(Events),
    /// The events that it should have been told are gone, or the log was put back to an earlier state: it goes on from here.
    Gap(Position),
}

/// Makes deliveries of what is new, and says whether there may be more at this moment.
pub(crate) async fn fan_out(db: &Db, now: Timestamp, told: &Notify) -> Result<bool, Error> {
    let news: Vec<News> = db.read((), |tx, ()| read_news(tx).boxed()).await?;
    if news.is_empty() {
        return Ok(false);
    }
    // What a read saw may not have reached the disk, and must not be told before.
    db.settle().await?;
    let mut has_more = false;
    for news in news {
        let may_have_more = matches!(&news.found, Found::Events(events) if events.has_more);
        if tell(db, news, now).await? {
            told.notify_one();
            has_more |= may_have_more;
        }
    }
    Ok(has_more)
}

async fn read_news(tx: &Tx) -> Result<Vec<News>, Error> {
    let webhooks = store::list_enabled(tx).await?;
    if webhooks.is_empty() {
        return Ok(Vec::new());
    }
    let (newest, mut news) = (events::newest(tx).await?, Vec::new());
    for webhook in webhooks.into_iter().filter(|webhook| webhook.cursor != newest) {
        let types = chosen_types(&webhook.filters);
        // None would stand for all.
        if types.is_empty() && !webhook.filters.is_empty() {
            continue;
        }
        let found = match events::read_after(tx, Some(webhook.cursor), AT_ONCE, &types).await {
            Ok(events) => Found::Events(events),
            Err(ReadError::Expired { oldest }) => {
                Found::Gap(if webhook.cursor < oldest { oldest } else { newest })
            }
            Err(ReadError::Database(error)) => return Err(error),
        };
        news.push(News { webhook, found });
    }
    Ok(news)
}

/// Whether the webhook's cursor was moved here.
async fn tell(db: &Db, news: News, now: Timestamp) -> Result<bool, Error> {
    match &news.found {
        Found::Gap(_) => {
            warn!(webhook = %news.webhook.id, "a webhook has missed events, which are not kept any more");
        }
        // On PostgreSQL the newest that can be read may lie behind what was read.
        Found::Events(events) if events.end == news.webhook.cursor => return Ok(false),
        Found::Events(_) => {}
    }
    db.write((Arc::new(news), now), |tx, (news, now)| store_news(tx, news, *now).boxed()).await
}

async fn store_news(tx: &Tx, news: &News, now: Timestamp) -> Result<bool, Error> {
    let (end, events): (Position, &[Event]) = match &news.found {
        Found::Events(events) => (events.end, &events.items),
        Found::Gap(position) => (*position, &[]),
    };
    // Moved by another process, or changed since it was read.
    if !store::is_unchanged(tx, &news.webhook).await? {
        return Ok(false);
    }
    let waiting = store::count_waiting(tx, news.webhook.id).await?;
    if waiting.values().sum::<i64>() >= MOST_WAITING {
        return Ok(false);
    }
    store::move_cursor(tx, news.webhook.id, end).await?;
    let deliveries = deliveries(events, waiting, now)?;
    store::insert_deliveries(tx, news.webhook.id, now, &deliveries).await?;
    Ok(true)
}

/// The first of an object is due at once, if none of the object is still to be taken.
fn deliveries(events: &[Event], mut waiting: Waiting, now: Timestamp) -> Result<Vec<NewDelivery>, Error> {
    let delivery = |event: &Event| {
        let before = waiting.entry(event.object.id).or_default();
        *before += 1;
        Ok(NewDelivery {
            id: new_id(),
            event: event.id,
            event_type: event.event_type.as_str(),
            object_id: event.object.id,
            body: serde_json::to_string(event)
                .map_err(|error| Error::Internal(format!("an event as JSON: {error}")))?,
            due_at: (*before == 1).then_some(now),
        })
    };
    events.iter().map(delivery).collect()
}
