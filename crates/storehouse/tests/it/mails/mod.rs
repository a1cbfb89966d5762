//! What people are told by mail.

/// Changes that the holder of an account must know of.
mod notices;
/// The program with and without a mail server.
mod program;
/// A forgotten password, replaced by a token that is mailed.
mod reset;
/// An email, confirmed by a token that is mailed.
mod verification;

/// Products that fell to their reorder point.
mod low_stock;
/// The mail server of the tests.
pub(crate) mod receiver;
/// Mail servers over TLS.
mod tls;

/// Whatever becomes of the mail server, each mail is sent, and no process sends what another one does.
mod sending;

use std::sync::Arc;

use ::db::{Db, Error};
use futures_util::FutureExt;
use kit::clock::Timestamp;
use kit::mail::Smtp;
use kit::outgoing::Authorities;
use serde_json::{Value, json};
use storehouse::system::{MailOptions, Options};
use uuid::Uuid;

use self::receiver::{Mail, Receiver};
use crate::harness::{App, Client, each_engine, eventually};

pub(crate) const CONFIRM: &str = "Confirm your email address";
pub(crate) const RESET: &str = "Set a new password";
const PASSWORD_CHANGED: &str = "Your password was changed";
const EMAIL_CHANGED: &str = "Your email address was changed";
const FACTOR_CHANGED: &str = "Your second factor was changed";
const KEY_MADE: &str = "An API key was made";

/// Runs a test against a system that sends its mails to a receiver.
pub(crate) async fn each_mailing_app(test: impl AsyncFn(&App, &Receiver)) {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let receiver = Receiver::start().await;
        let app = App::with(database, sent_to(&receiver)).await;
        test(&app, &receiver).await;
    })
    .await;
}

/// Somebody who has registered with the password `password123`; the name makes the email.
async fn register<'a>(app: &'a App, name: &str) -> Client<'a> {
    let email = format!("{name}@example.com");
    let body = json!({"email": email, "password": "password123", "username": name});
    let registered = app.nobody().post("/auth/register", body).await.expect(201).json();
    let mut client = app.nobody().with_token(registered["token"].as_str().unwrap());
    (client.id, client.email) = (registered["user"]["id"].as_str().unwrap().parse().unwrap(), email);
    client
}

async fn log_in(app: &App, email: &str, password: &str) -> u16 {
    let body = json!({"email": email, "password": password});
    app.nobody().post("/auth/login", body).await.status.as_u16()
}

/// The mails of this subject that have come to an address, once there are so many.
async fn mails_to(receiver: &Receiver, address: &str, subject: &str, count: usize) -> Vec<Mail> {
    let found = || -> Vec<Mail> {
        let mails = receiver.taken().into_iter();
        mails.filter(|mail| mail.to == [address] && mail.header("Subject") == subject).collect()
    };
    eventually("the mail comes", async || found().len() >= count).await;
    let mails = found();
    assert_eq!(mails.len(), count, "{mails:?}");
    mails
}

/// The token in the last of so many mails.
pub(crate) async fn token_to(receiver: &Receiver, address: &str, subject: &str, count: usize) -> String {
    let text = mails_to(receiver, address, subject, count).await[count - 1].text();
    let json = text.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no token: {text}"));
    let json: Value = serde_json::from_str(json).unwrap();
    json["token"].as_str().unwrap().to_owned()
}

/// Waits until no mail waits.
async fn all_sent(app: &App) {
    eventually("no mail waits", async || waiting(&app.db).await.0 == 0).await;
}

/// Mails go to a receiver, those about low stock to Ada and Bob.
pub(crate) fn sent_to(receiver: &Receiver) -> impl Fn(&mut Options) {
    sent_by(receiver.url())
}

/// The same by an address.
pub(crate) fn sent_by(url: String) -> impl Fn(&mut Options) {
    move |options| {
        let from = "Storehouse <storehouse@example.com>".parse().unwrap();
        let way = Smtp::new(&url.parse().ok().unwrap(), from, &Authorities::default()).unwrap();
        let low_stock_to =
            ["ada@example.com", "bob@example.com"].map(|address| address.parse().unwrap()).to_vec();
        options.mail = Some(MailOptions { way: Arc::new(way), low_stock_to, public_url: None });
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
