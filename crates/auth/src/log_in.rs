//! Logging in. Whatever is wrong, the answer and its cost are the same.

use std::sync::Arc;

use accounts::{Account, Credentials, Email, NewSession, Session, Verdict, start_session, store};
use db::Tx;
use futures_util::FutureExt;
use kit::client::Client;
use kit::clock::Timestamp;
use kit::problem::Problem;

use crate::model::{LoginAnswer, LoginBody};
use crate::{Auth, AuthCounts};

pub(crate) async fn log_in(auth: &Auth, body: &LoginBody, client: &Client) -> Result<LoginAnswer, Problem> {
    let answer = match auth.accounts.login_limits.begin(body.email.as_str(), client.address) {
        Ok(attempt) => attempt.settle(compare(auth, body, client).await),
        Err(refusal) => Err(refusal),
    };
    answer.inspect_err(|problem| auth.counts.login_refused(problem))
}

async fn compare(auth: &Auth, body: &LoginBody, client: &Client) -> Result<LoginAnswer, Problem> {
    // Twice, since another login may upgrade the hash while this one compares with the old.
    for _ in 0..2 {
        if let Some(answer) = attempt(auth, body, client).await? {
            return Ok(answer);
        }
    }
    Err(refused())
}

/// `None` if the hash changed meanwhile.
async fn attempt(auth: &Auth, body: &LoginBody, client: &Client) -> Result<Option<LoginAnswer>, Problem> {
    let found = find(auth, body.email.as_str()).await?;
    let stored = found.as_ref().and_then(|credentials| credentials.password_hash.clone());
    let verdict = auth.accounts.passwords.verify(body.password.0.clone(), stored.clone()).await?;
    let account = found.map(|credentials| credentials.account).filter(|account| !account.disabled);
    let (Some(account), Some(stored)) = (account, stored) else { return Err(refused()) };
    let upgrade = match verdict {
        Verdict::Wrong => return Err(refused()),
        Verdict::Right => None,
        Verdict::Outdated(new) => Some(new),
    };
    let counts = Arc::clone(&auth.counts);
    let start =
        Start { account, stored, upgrade, session: client.into(), now: auth.shared.clock.now(), counts };
    let started = auth.shared.db.write(start, |tx, start| start.run(tx).boxed()).await?;
    started
        .map(|(account, session)| LoginAnswer::new(auth, account, session.id, session.generation))
        .transpose()
}

async fn find(auth: &Auth, email: &str) -> Result<Option<Credentials>, Problem> {
    // What is no email belongs to nobody, and costs what an unknown one costs.
    let key = email.parse::<Email>().map(|email| email.key()).unwrap_or_default();
    Ok(auth.shared.db.lookup(key, |tx, key| store::find_credentials_by_email(tx, key).boxed()).await?)
}

struct Start {
    account: Account,
    stored: String,
    upgrade: Option<String>,
    session: NewSession,
    now: Timestamp,
    counts: Arc<AuthCounts>,
}

impl Start {
    /// Looks again, since the account may have changed while the password was compared; the lock keeps a change of
    /// the password from missing the session that is started here.
    async fn run(&self, tx: &Tx) -> Result<Option<(Account, Session)>, Problem> {
        store::lock_account(tx, self.account.id).await?;
        let found = store::find_credentials(tx, self.account.id).await?.ok_or_else(refused)?;
        if found.account.disabled {
            return Err(refused());
        }
        if found.password_hash.as_ref() != Some(&self.stored) {
            return Ok(None);
        }
        if let Some(new) = &self.upgrade {
            store::update_password_hash(tx, self.account.id, &self.stored, new).await?;
        }
        let session = start_session(tx, self.account.id, &self.session, self.now).await?;
        let counts = Arc::clone(&self.counts);
        tx.after_commit(move || counts.login_succeeded());
        Ok(Some((found.account, session)))
    }
}

fn refused() -> Problem {
    Problem::invalid_credentials("The email or the password is wrong.")
}
