//! Changing the own password, which ends all other sessions.

use accounts::{Password, store};
use futures_util::FutureExt;
use kit::client::Client;
use kit::identity::Caller;
use kit::problem::Problem;

use crate::Auth;
use crate::model::PasswordBody;

pub(crate) async fn change_password(
    auth: &Auth,
    caller: &Caller,
    body: PasswordBody,
    client: &Client,
) -> Result<(), Problem> {
    auth.check_new_password("new_password", &body.new_password)?;
    let account = caller.account();
    let found = auth.shared.db.lookup(account, |tx, id| store::find_credentials(tx, *id).boxed()).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    if body.new_password.repeats(&found.account.email, &found.account.username) {
        return Err(Problem::invalid_field(
            "new_password",
            "invalid_password",
            "must not be the email or user name",
        ));
    }
    let old = auth.accounts.confirm_password(&found, body.current_password, client.address).await?;
    let new = auth.accounts.passwords.hash(&body.new_password).await?;
    let input = (account, old, new, caller.session(), auth.accounts.live.clone(), auth.shared.clock.now());
    auth.shared
        .db
        .write(input, |tx, (account, old, new, keep, live, now)| {
            accounts::change_password(tx, *account, [old, new], *keep, live, *now).boxed()
        })
        .await
        .map_err(|error| match error {
            // Another change came first, so the password that was current no longer is.
            accounts::Error::NotFound => Problem::invalid_credentials("The current password is wrong."),
            other => other.into(),
        })
}

impl Auth {
    /// Refuses what the hash can't take.
    pub(crate) fn check_new_password(&self, field: &str, password: &Password) -> Result<(), Problem> {
        self.accounts
            .passwords
            .check(password)
            .map_err(|invalid| Problem::invalid_field(field, invalid.code, invalid.message))
    }
}
