//! Registering: an account and its first session, in one transaction.

use std::sync::Arc;

use accounts::{FirstAdmin, NewAccount, NewSession, create_account, start_session};
use futures_util::FutureExt;
use kit::client::Client;
use kit::problem::Problem;

use crate::model::{LoginAnswer, RegisterBody};
use crate::{Auth, AuthCounts};

pub(crate) async fn register(
    auth: &Auth,
    body: RegisterBody,
    client: &Client,
) -> Result<LoginAnswer, Problem> {
    auth.check_new_password("password", &body.password)?;
    let password_hash = auth.accounts.passwords.hash(&body.password).await?;
    let new = NewAccount::customer(body.email, body.username, password_hash);
    let session = NewSession::from(client);
    let input = (new, session, auth.first_admin, auth.shared.clock.now(), Arc::clone(&auth.counts));
    let (account, session) = auth
        .shared
        .db
        .write(
            input,
            |tx,
             (new, session, first_admin, now, counts): &(
                NewAccount,
                NewSession,
                FirstAdmin,
                _,
                Arc<AuthCounts>,
            )| {
                async move {
                    let account = create_account(tx, new, *first_admin, *now).await?;
                    let session = start_session(tx, account.id, session, *now).await?;
                    let counts = Arc::clone(counts);
                    tx.after_commit(move || counts.registrations.increment());
                    Ok::<_, accounts::Error>((account, session))
                }
                .boxed()
            },
        )
        .await?;
    LoginAnswer::new(auth, account, session.id, session.generation)
}
