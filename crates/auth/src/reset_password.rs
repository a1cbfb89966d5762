//! Setting a new password in place of a forgotten one, by a token that is mailed.
//!
//! Whether an email is known is only looked at when the mail is sent, by another task and often another process: so the answer is the same, and takes the same time.
//! It doesn't log in: whoever has a second factor needs it still.

use accounts::{Email, store};
use futures_util::FutureExt;
use kit::author::Author;
use kit::problem::Problem;
use kit::secret::Secret;
use mails::{Proof, Purpose};

use crate::Auth;
use crate::model::ResetBody;

pub(crate) async fn ask_for_reset(auth: &Auth, email: &Email) -> Result<(), Problem> {
    let key = email.key();
    auth.mail_limits.admit_mail(&key)?;
    let input = (key, auth.shared.clock.now());
    let asked = auth.shared.db.write(input, |tx, (key, now)| mails::ask_reset(tx, key, *now).boxed());
    Ok(asked.await?)
}

pub(crate) async fn reset_password(auth: &Auth, body: ResetBody, author: Author) -> Result<(), Problem> {
    let token = body.token.0.clone();
    check_new_password(auth, &body, &token).await?;
    let hash = auth.accounts.passwords.hash(&body.new_password).await?;
    let input = (token, hash, auth.accounts.live.clone(), author);
    let set = auth.shared.db.write(input, |tx, (token, hash, live, author)| {
        accounts::reset_password(tx, token, hash, live, author).boxed()
    });
    set.await.map_err(refuse)
}

/// Before the password is hashed, which costs much: the token must be good, though it is used only then.
async fn check_new_password(auth: &Auth, body: &ResetBody, token: &Secret) -> Result<(), Problem> {
    let input = (token.clone(), auth.shared.clock.now());
    let found = auth.shared.db.lookup(input, |tx, (token, now)| {
        async move {
            let proof = mails::look_at(tx, Purpose::ResetPassword, token, *now).await?;
            let Some(Proof { account_id, .. }) = proof else { return Ok(None) };
            store::find_account(tx, account_id).await
        }
        .boxed()
    });
    let found: Result<_, db::Error> = found.await;
    let account = found?.ok_or_else(refused)?;
    auth.accounts.check_new_password("new_password", &body.new_password, &account.email, &account.username)
}

/// Of a token that never was, was used, is too old, or isn't the last: nobody learns which.
fn refused() -> Problem {
    Problem::invalid_credentials("The token is not valid, or no longer.")
}

/// What came of showing a token that nobody was found for.
pub(crate) fn refuse(error: accounts::Error) -> Problem {
    match error {
        accounts::Error::NotFound => refused(),
        other => other.into(),
    }
}
