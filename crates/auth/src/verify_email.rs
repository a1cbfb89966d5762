//! Showing that one reads what comes to one's address, by a token that is mailed.

use accounts::{Account, confirm_email, store};
use futures_util::FutureExt;
use kit::author::Author;
use kit::identity::Caller;
use kit::problem::Problem;
use mails::Kind;

use crate::Auth;
use crate::model::TokenBody;
use crate::reset_password::refuse;

/// Whoever shows the token need not be logged in.
pub(crate) async fn verify_email(auth: &Auth, body: &TokenBody, author: Author) -> Result<(), Problem> {
    let input = (body.token.0.clone(), author);
    let confirmed =
        auth.shared.db.write(input, |tx, (token, author)| confirm_email(tx, token, author).boxed()).await;
    confirmed.map_err(refuse)
}

/// Sends the mail again.
pub(crate) async fn send_again(auth: &Auth, caller: &Caller) -> Result<(), Problem> {
    let id = caller.account();
    let found = auth.shared.db.lookup(id, |tx, id| store::find_account(tx, *id).boxed()).await?;
    let account: Account = found.ok_or_else(Problem::not_found)?;
    if account.email_verified {
        return Err(Problem::conflict("email_verified", "The email is confirmed already."));
    }
    // Counted apart from what others may ask for this email, or the answer to them would tell that somebody has it.
    auth.mail_limits.admit_mail(&id.to_string())?;
    let input = (id, auth.shared.clock.now());
    let asked =
        auth.shared.db.write(input, |tx, (id, now)| mails::ask(tx, Kind::VerifyEmail, *id, *now).boxed());
    Ok(asked.await?)
}
