//! What people are told by mail.

/// Products that fell to their reorder point.
mod low_stock;
/// The mail server of the tests.
pub(crate) mod receiver;
/// Whatever becomes of the mail server, each mail is sent, and no process sends what another one does.
mod sending;

use std::sync::Arc;

use ::db::{Db, Error};
use futures_util::FutureExt;
use kit::clock::Timestamp;
use kit::mail::Smtp;
use storehouse::system::{MailOptions, Options};

use uuid::Uuid;

use self::receiver::Receiver;

/// Mails go to a receiver, those about low stock to Ada and Bob.
pub(crate) fn sent_to(receiver: &Receiver) -> impl Fn(&mut Options) {
    sent_by(receiver.url())
}

/// The same by an address.
pub(crate) fn sent_by(url: String) -> impl Fn(&mut Options) {
    move |options| {
        let way =
            Smtp::new(&url.parse().ok().unwrap(), "Storehouse <storehouse@example.com>".parse().unwrap());
        let low_stock_to =
            ["ada@example.com", "bob@example.com"].map(|address| address.parse().unwrap()).to_vec();
        options.mail = Some(MailOptions { way: Arc::new(way), low_stock_to });
    }
}

/// How many mails wait, and how often it was tried to send them.
pub(crate) async fn waiting(db: &Db) -> (i64, i64) {
    let sql = "SELECT COUNT(*), COALESCE(CAST(SUM(attempts) AS BIGINT), 0) FROM mails";
    let read = db.read((), |tx, ()| tx.one(sql, &[], |row| Ok((row.get(0)?, row.get(1)?))).boxed());
    let waiting: Result<_, Error> = read.await;
    waiting.unwrap()
}

/// Asks for a mail about a product.
async fn ask(db: &Db, recipient: &str, product: Uuid, now: Timestamp) {
    let asked: Result<u64, Error> = db
        .write((recipient.to_owned(), product.to_string(), now), |tx, (recipient, product, now)| {
            async move {
                let sql = "INSERT INTO mails (id, kind, recipient, subjects, created_at, due_at, attempts)
                           VALUES ($1, 'low_stock', $2, $3, $4, $4, 0)";
                tx.execute(sql, &[Uuid::now_v7().into(), recipient.into(), product.into(), now.0.into()])
                    .await
            }
            .boxed()
        })
        .await;
    asked.unwrap();
}
