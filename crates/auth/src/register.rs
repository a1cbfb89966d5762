//! Registering: an account and its first session, in one transaction.

use std::net::IpAddr;
use std::sync::Arc;

use accounts::{
    Account, FirstAdmin, KnownAddresses, NewAccount, NewSession, Session, create_account, start_session,
    store,
};
use db::Tx;
use futures_util::FutureExt;
use kit::author::Author;
use kit::client::Client;
use kit::problem::Problem;
use mails::Kind;

use crate::model::{LoginAnswer, RegisterBody};
use crate::{Auth, AuthCounts};

pub(crate) async fn register(
    auth: &Auth,
    body: RegisterBody,
    client: &Client,
    author: Author,
) -> Result<LoginAnswer, Problem> {
    let (email, username) = (body.email.as_str(), body.username.as_str());
    auth.accounts.check_new_password("password", &body.password, email, username)?;
    let password_hash = auth.accounts.passwords.hash(&body.password).await?;
    let registration = Registration {
        new: NewAccount::customer(body.email, body.username, password_hash),
        session: client.into(),
        address: client.address,
        addresses: auth.accounts.addresses.clone(),
        first_admin: auth.first_admin,
        author,
        counts: Arc::clone(&auth.counts),
    };
    let write = auth.shared.db.write(registration, |tx, registration| registration.run(tx).boxed());
    let (account, session) = write.await?;
    LoginAnswer::new(auth, account, session.id, session.generation)
}

struct Registration {
    new: NewAccount,
    session: NewSession,
    address: Option<IpAddr>,
    addresses: Arc<KnownAddresses>,
    first_admin: FirstAdmin,
    author: Author,
    counts: Arc<AuthCounts>,
}

impl Registration {
    async fn run(&self, tx: &Tx) -> Result<(Account, Session), accounts::Error> {
        let account = create_account(tx, &self.new, self.first_admin, &self.author).await?;
        mails::ask(tx, Kind::VerifyEmail, account.id, self.author.now).await?;
        let session = start_session(tx, account.id, &self.session, self.author.now).await?;
        let mark = self.addresses.mark(account.id, self.address);
        store::remember_address(tx, account.id, &mark, self.author.now).await?;
        let counts = Arc::clone(&self.counts);
        tx.after_commit(move || counts.registrations.increment());
        Ok((account, session))
    }
}
