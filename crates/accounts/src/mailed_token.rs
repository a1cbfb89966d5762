//! What somebody may do who shows a token that was mailed to an account's address.

use std::sync::Arc;

use audit::{Act, Action};
use db::Tx;
use events::EventType;
use kit::author::Author;
use kit::clock::Timestamp;
use kit::secret::Secret;
use mails::{Purpose, look_at, redeem};

use crate::change_account::{AccountChange, changed, tell_of_password};
use crate::create_account::{record_change, search_text};
use crate::error::Error;
use crate::live_sessions::LiveSessions;
use crate::model::Account;
use crate::session::end_all_sessions;
use crate::store;

/// Sets a new password in place of a forgotten one, and ends all sessions.
pub async fn reset_password(
    tx: &Tx,
    token: &Secret,
    new_hash: &Secret,
    live: &Arc<LiveSessions>,
    author: &Author,
) -> Result<(), Error> {
    let now = author.now;
    let account = use_token(tx, Purpose::ResetPassword, token, now).await?;
    store::set_password_hash(tx, account.id, new_hash).await?;
    // Who has the token is taken for the account's holder, and logged in nowhere.
    audit::record(tx, &author.by(account.id), Act::new(Action::PasswordReset, account.id)).await?;
    tell_of_password(tx, account.id, now).await?;
    end_all_sessions(tx, live, account.id, None, now).await
}

/// Takes note that whoever has the account reads what comes to its address.
pub async fn confirm_email(tx: &Tx, token: &Secret, author: &Author) -> Result<(), Error> {
    let before = use_token(tx, Purpose::VerifyEmail, token, author.now).await?;
    let after = Account { email_verified: true, ..changed(&before, &AccountChange::default(), author.now) };
    store::update_account(tx, &after, [None, None], &search_text(&after)).await?;
    record_change(tx, EventType::UserChanged, &after, vec!["email_verified"], author).await?;
    Ok(())
}

/// Whose token it is; not found if it isn't good, or the account can't log in any more or has another address by now. Of several who show it at once, one gets on.
async fn use_token(tx: &Tx, purpose: Purpose, token: &Secret, now: Timestamp) -> Result<Account, Error> {
    let proof = look_at(tx, purpose, token, now).await?.ok_or(Error::NotFound)?;
    // The account first, as everybody takes it, so that nobody waits in a circle.
    let account = store::lock_account(tx, proof.account_id).await?.ok_or(Error::NotFound)?;
    redeem(tx, purpose, token, now).await?.ok_or(Error::NotFound)?;
    if account.disabled || account.email != proof.email { Err(Error::NotFound) } else { Ok(account) }
}
