//! Refreshing: a new pair of tokens for the present one.

use accounts::{Refreshed, refresh_session};
use futures_util::FutureExt;
use kit::author::Author;
use kit::problem::Problem;
use kit::secret::Secret;

use crate::Auth;
use crate::model::LoginAnswer;

pub(crate) async fn refresh(auth: &Auth, token: &Secret, author: Author) -> Result<LoginAnswer, Problem> {
    let (session, generation) =
        auth.accounts.refresh_tokens.verify(token).ok_or_else(Problem::invalid_token)?;
    let input = (session, generation, auth.accounts.live.clone(), author);
    let refreshed = auth
        .shared
        .db
        .write(input, |tx, (session, generation, live, author)| {
            refresh_session(tx, *session, *generation, live, author).boxed()
        })
        .await?;
    match refreshed {
        Refreshed::Continued(account, generation) => LoginAnswer::new(auth, account, session, generation),
        Refreshed::Refused => Err(Problem::invalid_token()),
    }
}
