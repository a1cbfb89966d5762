//! Making the first admin with the token that the program printed, and logging them in.

use accounts::{Account, NewAccount, NewSession, Session, is_setup_token, start_session};
use db::Tx;
use futures_util::FutureExt;
use kit::author::Author;
use kit::client::Client;
use kit::problem::Problem;
use kit::secret::Secret;

use crate::Auth;
use crate::model::{LoginAnswer, SetupBody};

pub(crate) async fn set_up(
    auth: &Auth,
    body: SetupBody,
    client: &Client,
    author: Author,
) -> Result<LoginAnswer, Problem> {
    let (token, now) = (body.token.0.clone(), author.now);
    let input = (token.clone(), now);
    let is_good = auth.shared.db.read(input, |tx, (token, now)| is_setup_token(tx, token, *now).boxed());
    if !is_good.await? {
        return Err(refused());
    }
    let (email, username) = (body.email.as_str(), body.username.as_str());
    auth.accounts.check_new_password("password", &body.password, email, username)?;
    let password_hash = auth.accounts.passwords.hash(&body.password).await?;
    let set_up = SetUp {
        token,
        new: NewAccount::customer(body.email, body.username, password_hash),
        session: client.into(),
        author,
    };
    let made = auth.shared.db.write(set_up, |tx, set_up| set_up.run(tx).boxed()).await?;
    let (account, session) = made.ok_or_else(refused)?;
    LoginAnswer::new(auth, account, session.id, session.generation)
}

struct SetUp {
    token: Secret,
    new: NewAccount,
    session: NewSession,
    author: Author,
}

impl SetUp {
    async fn run(&self, tx: &Tx) -> Result<Option<(Account, Session)>, accounts::Error> {
        let Some(account) = accounts::set_up(tx, &self.token, &self.new, &self.author).await? else {
            return Ok(None);
        };
        let session = start_session(tx, account.id, &self.session, self.author.now).await?;
        Ok(Some((account, session)))
    }
}

/// The same for a wrong token, an old one, a used one, and where there is an admin already.
fn refused() -> Problem {
    Problem::invalid_credentials("The set-up token is not valid, or no longer.")
}
