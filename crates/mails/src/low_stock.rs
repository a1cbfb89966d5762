//! Events of low stock become mails: all that fell within a minute, and whatever fell while nobody looked, in one to each of those who are told.

use std::time::Duration;

use db::{Db, Error, Tx};
use events::{EventType, Objects, Position, newest, read_objects};
use futures_util::FutureExt;
use kit::clock::Timestamp;
use kit::mail::Address;
use uuid::Uuid;

use crate::kind::Kind;
use crate::schedule::PATIENCE;
use crate::store::{self, NewMail};

/// How long it is waited, after the first product fell, for others to be told of in the same mail.
const GATHERING: Duration = Duration::from_secs(60);

/// How many windows of events are read at once; the rest is looked at the next time.
const MOST_WINDOWS: usize = 200;

/// How many products a mail names; of further ones it only says that there may be some.
pub(crate) const MOST_PRODUCTS: usize = 100;

/// What was found behind the cursor.
enum Found {
    /// Nobody has looked before: it begins here, since what fell long ago is no news.
    Start(Position),
    /// The products that fell from one position to another; there may be none.
    Falls { from: Position, to: Position, products: Vec<Uuid> },
}

/// Asks for mails about what fell, once it is time.
pub(crate) async fn gather(db: &Db, recipients: &[Address], now: Timestamp) -> Result<(), Error> {
    let found: Option<Found> = db.read(now, |tx, now| look(tx, *now).boxed()).await?;
    let Some(found) = found else { return Ok(()) };
    let recipients: Vec<String> = recipients.iter().map(Address::to_string).collect();
    db.write((found, recipients, now), |tx, (found, recipients, now)| {
        ask(tx, found, recipients, *now).boxed()
    })
    .await
}

/// None if there is nothing to do.
async fn look(tx: &Tx, now: Timestamp) -> Result<Option<Found>, Error> {
    let Some(from) = store::find_cursor(tx).await? else {
        return Ok(Some(Found::Start(newest(tx).await?)));
    };
    let (mut to, mut products) = (from, Vec::new());
    for _ in 0..MOST_WINDOWS {
        let Objects { items, end, has_more } = read_objects(tx, to, EventType::StockLow).await?;
        // What fell before mails were switched on, or long before they work again, is no news.
        let mut news = items.iter().filter(|(_, fell_at)| fell_at.plus(PATIENCE) > now).peekable();
        let is_young = news.peek().is_some_and(|(_, fell_at)| fell_at.plus(GATHERING) > now);
        if products.is_empty() && (is_young || news.peek().is_none() && !has_more) {
            break;
        }
        for (product, _) in news {
            if !products.contains(product) && products.len() < MOST_PRODUCTS {
                products.push(*product);
            }
        }
        to = end;
        if !has_more {
            break;
        }
    }
    Ok((to != from).then_some(Found::Falls { from, to, products }))
}

async fn ask(tx: &Tx, found: &Found, recipients: &[String], now: Timestamp) -> Result<(), Error> {
    let (from, to, products) = match found {
        Found::Start(at) => return store::begin_cursor(tx, *at).await.map(drop),
        Found::Falls { from, to, products } => (*from, *to, products),
    };
    // Another process may have been faster.
    if !store::move_cursor(tx, from, to).await? || products.is_empty() {
        return Ok(());
    }
    for recipient in recipients {
        let (kind, recipient) = (Kind::LowStock, Some(recipient.as_str()));
        store::insert_mail(tx, &NewMail { kind, account: None, recipient, subjects: products }, now).await?;
    }
    Ok(())
}
