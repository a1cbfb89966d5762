//! Asking for a mail, in the transaction of what it tells of.

use db::{Error, Tx};
use kit::clock::Timestamp;
use uuid::Uuid;

use crate::kind::Kind;
use crate::store::{self, NewMail};

/// Asks for a mail to an account's address, as it is when the mail is sent.
pub async fn ask(tx: &Tx, kind: Kind, account: Uuid, now: Timestamp) -> Result<(), Error> {
    let new = NewMail { kind, account: Some(account), recipient: None, subjects: &[] };
    // What carries a token is the same as one that waits already.
    if kind == Kind::VerifyEmail && store::is_waiting(tx, &new).await? {
        return Ok(());
    }
    store::insert_mail(tx, &new, now).await
}

/// Asks for a mail that tells an account's former address that it is no longer that.
pub async fn ask_former_address(tx: &Tx, account: Uuid, email: &str, now: Timestamp) -> Result<(), Error> {
    let new =
        NewMail { kind: Kind::EmailChanged, account: Some(account), recipient: Some(email), subjects: &[] };
    store::insert_mail(tx, &new, now).await
}

/// Asks for a mail with which a forgotten password can be replaced, to whoever has the email with this key. Whether anybody has is looked at when it is sent: so asking
/// takes the same time for an email that nobody has.
pub async fn ask_reset(tx: &Tx, email_key: &str, now: Timestamp) -> Result<(), Error> {
    let new = NewMail { kind: Kind::ResetPassword, account: None, recipient: Some(email_key), subjects: &[] };
    if store::is_waiting(tx, &new).await? {
        return Ok(());
    }
    store::insert_mail(tx, &new, now).await
}
