//! Webhooks: events, told to the systems of others.

/// Whatever becomes of a receiver, nothing is lost, and what belongs together keeps its order.
mod delivery;
/// What is tried again, when, and when no more.
mod failures;
/// Which addresses are never asked.
mod guard;
/// Making, changing, rotating, removing; the log and replay.
mod manage;
/// The receiver of the tests.
pub(crate) mod receiver;
/// Several processes, and those that end.
mod sharing;
/// Certificates, good and bad.
mod tls;

use ::db::{Db, Error};
use ::events::{EventType, record};
use futures_util::FutureExt;
use kit::author::Author;
use kit::clock::Clock;
use serde_json::{Value, json};
use uuid::Uuid;
use webhooks::sign;

use self::receiver::{Message, Receiver};
use crate::harness::{App, Client};

/// A webhook of a test.
struct Hook {
    id: Uuid,
    path: String,
    secret: String,
}

impl Hook {
    /// One that gets what happens to users, which nothing else in these tests does.
    async fn add(admin: &Client<'_>, receiver: &Receiver) -> Self {
        Self::with(admin, json!({"url": receiver.url(), "types": ["user.changed"]})).await
    }

    async fn with(admin: &Client<'_>, body: Value) -> Self {
        let added = admin.post("/webhooks", body).await.expect(201);
        let (path, json) = (added.header("location").to_owned(), added.json());
        let id = json["id"].as_str().unwrap().parse().unwrap();
        Self { id, path, secret: json["secret"].as_str().unwrap().to_owned() }
    }
}

/// Whether a message is signed with a secret.
fn is_signed(message: &Message, secret: &str) -> bool {
    use base64::Engine;
    let key = secret.strip_prefix("whsec_").unwrap();
    let key = base64::engine::general_purpose::STANDARD.decode(key).unwrap();
    let seconds: i64 = message.timestamp.parse().unwrap();
    let moment = kit::clock::Timestamp(seconds * 1_000_000);
    let expected = sign(&message.id, moment, &message.text, [key.as_slice()]).signature;
    message.signature.split(' ').any(|signature| signature == expected)
}

/// Something happens to an object, which tells a number.
pub(crate) async fn happen(db: &Db, clock: &Clock, object: Uuid, number: i64) {
    let author = Author::nobody(clock.now());
    let recorded: Result<(), Error> = db
        .write((object, number, author), |tx, (object, number, author)| {
            async move { record(tx, EventType::UserChanged, *object, &json!({"number": number}), author).await }.boxed()
        })
        .await;
    recorded.unwrap();
}

/// A delivery as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    object: Uuid,
    status: String,
    attempts: i64,
    due_at: Option<i64>,
    error: Option<String>,
}

/// A webhook's deliveries in the order of their events.
async fn stored(db: &Db, webhook: Uuid) -> Vec<Stored> {
    let read = db.read(webhook, |tx, webhook| {
        async move {
            let sql = "SELECT object_id, status, attempts, due_at, last_error FROM webhook_deliveries
                       WHERE webhook_id = $1 ORDER BY event_xid, event_seq";
            let stored = |row: &::db::Row<'_>| {
                let (object, status, attempts) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(Stored { object, status, attempts, due_at: row.get(3)?, error: row.get(4)? })
            };
            tx.rows(sql, &[(*webhook).into()], stored).await
        }
        .boxed()
    });
    let stored: Result<Vec<Stored>, Error> = read.await;
    stored.unwrap()
}

async fn is_enabled(app: &App, webhook: Uuid) -> bool {
    let found = app.db.lookup(webhook, |tx, id| webhooks::find_webhook(tx, *id).boxed());
    let found: Result<_, Error> = found.await;
    found.unwrap().unwrap().enabled
}
