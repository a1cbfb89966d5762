//! Logging in. Whatever is wrong, the answer and its cost are the same.

use std::sync::Arc;

use accounts::{
    Account, AddressMark, Credentials, Guesser, NewSession, Proof, SecondFactors, Session, Verdict,
    start_session, store,
};
use audit::{Act, Action, Facts, LoginFacts};
use db::Tx;
use futures_util::FutureExt;
use http::StatusCode;
use kit::author::Author;
use kit::client::Client;
use kit::problem::Problem;
use kit::refusals::Refusal;
use kit::secret::Secret;
use uuid::Uuid;

use crate::model::{LoginAnswer, LoginBody};
use crate::{Auth, AuthCounts};

pub(crate) async fn log_in(
    auth: &Auth,
    body: &LoginBody,
    client: &Client,
    author: &Author,
) -> Result<LoginAnswer, Problem> {
    let answer = guess(auth, body, client, author).await;
    if let Err(problem) = &answer {
        auth.counts.login_refused(problem);
        count_refused(auth, body, problem, author).await;
    }
    answer
}

/// For the audit log, which names the account whose password was wrong. It is looked up again whether there is one or not, so that both take as long.
async fn count_refused(auth: &Auth, body: &LoginBody, problem: &Problem, author: &Author) {
    let tried = match problem.status() {
        StatusCode::UNAUTHORIZED => find(auth, body.email.as_str()).await.ok().flatten(),
        _ => None,
    };
    let account = tried.map(|credentials| credentials.account.id);
    auth.accounts.count_refused(problem, Refusal::WrongLogin, account, author);
}

async fn guess(
    auth: &Auth,
    body: &LoginBody,
    client: &Client,
    author: &Author,
) -> Result<LoginAnswer, Problem> {
    auth.accounts.passwords.refuse_if_full()?;
    let guesser = guesser(auth, body.email.as_str(), client).await?;
    let attempt = auth.accounts.login_limits.begin(body.email.as_str(), client.address, guesser)?;
    attempt.settle(compare(auth, body, client, author).await)
}

/// Looked up only where it matters, and of an unknown email at the same cost.
async fn guesser(auth: &Auth, email: &str, client: &Client) -> Result<Guesser, Problem> {
    if !auth.accounts.login_limits.is_besieged(email) {
        return Ok(Guesser::Stranger);
    }
    let account = find(auth, email).await?.map_or(Uuid::nil(), |found| found.account.id);
    let input = (account, auth.accounts.addresses.mark(account, client.address));
    let knows =
        auth.shared.db.lookup(input, |tx, (account, mark)| store::knows_address(tx, *account, mark).boxed());
    Ok(if knows.await? { Guesser::Known } else { Guesser::Stranger })
}

async fn compare(
    auth: &Auth,
    body: &LoginBody,
    client: &Client,
    author: &Author,
) -> Result<LoginAnswer, Problem> {
    // Twice, since another login may upgrade the hash while this one compares with the old.
    for _ in 0..2 {
        if let Some(answer) = attempt(auth, body, client, author).await? {
            return Ok(answer);
        }
    }
    Err(refused())
}

/// `None` if the hash changed meanwhile.
async fn attempt(
    auth: &Auth,
    body: &LoginBody,
    client: &Client,
    author: &Author,
) -> Result<Option<LoginAnswer>, Problem> {
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
    let mark = auth.accounts.addresses.mark(account.id, client.address);
    let (session, author) = (client.into(), author.by(account.id));
    let (proof, factors) = (body.proof(), auth.accounts.factors.clone());
    let limited = auth.accounts.login_limits.are_on();
    let start = Start { account, stored, upgrade, proof, factors, limited, session, mark, author, counts };
    match auth.shared.db.write(start, |tx, start| start.run(tx).boxed()).await? {
        Started::Session(started) => {
            let (account, session) = *started;
            LoginAnswer::new(auth, account, session.id, session.generation).map(Some)
        }
        Started::Unproven(problem) => Err(problem),
        Started::Changed => Ok(None),
    }
}

async fn find(auth: &Auth, email: &str) -> Result<Option<Credentials>, Problem> {
    // What is no email belongs to nobody, and costs what an unknown one costs.
    let email = email.to_owned();
    Ok(auth.shared.db.lookup(email, |tx, email| store::find_credentials_by_email(tx, email).boxed()).await?)
}

/// What came of a right password.
enum Started {
    Session(Box<(Account, Session)>),
    /// The second factor is missing or wrong.
    Unproven(Problem),
    /// The hash has changed meanwhile.
    Changed,
}

struct Start {
    account: Account,
    stored: Secret,
    upgrade: Option<Secret>,
    proof: Option<Proof>,
    factors: Arc<SecondFactors>,
    /// Whether guesses from each address are limited.
    limited: bool,
    session: NewSession,
    mark: AddressMark,
    author: Author,
    counts: Arc<AuthCounts>,
}

impl Start {
    /// Looks again, since the account may have changed while the password was compared; the lock keeps a change of
    /// the password from missing the session that is started here.
    async fn run(&self, tx: &Tx) -> Result<Started, Problem> {
        store::lock_account(tx, self.account.id).await?;
        let found = store::find_credentials(tx, self.account.id).await?.ok_or_else(refused)?;
        if found.account.disabled {
            return Err(refused());
        }
        if found.password_hash.as_ref() != Some(&self.stored) {
            return Ok(Started::Changed);
        }
        let (guesser, now) = (self.guesser(tx).await?, self.author.now);
        let proven = self.factors.prove_as(tx, self.account.id, self.proof.as_ref(), guesser, now).await?;
        let proven = match proven {
            Ok(proven) => proven,
            Err(problem) => return Ok(Started::Unproven(problem)),
        };
        if let Some(new) = &self.upgrade {
            store::update_password_hash(tx, self.account.id, &self.stored, new).await?;
        }
        let session = start_session(tx, self.account.id, &self.session, now).await?;
        store::remember_address(tx, self.account.id, &self.mark, now).await?;
        let facts = LoginFacts { second_factor: proven.as_str() };
        let act = Act::new(Action::LoggedIn, self.account.id).after(Facts::Login(facts));
        audit::record(tx, &self.author, act).await?;
        let counts = Arc::clone(&self.counts);
        tx.after_commit(move || counts.login_succeeded());
        Ok(Started::Session(Box::new((found.account, session))))
    }

    /// Who gives a code of an authenticator: from an address that gave one before it doesn't matter how many wrong ones others gave.
    async fn guesser(&self, tx: &Tx) -> Result<Guesser, db::Error> {
        let is_known = self.limited
            && self.author.address.is_some()
            && matches!(self.proof, Some(Proof::Totp(_)))
            && store::knows_address(tx, self.account.id, &self.mark).await?;
        Ok(if is_known { Guesser::Known } else { Guesser::Stranger })
    }
}

fn refused() -> Problem {
    Problem::invalid_credentials("The email or the password is wrong.")
}
