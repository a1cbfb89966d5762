//! Changing the own password, which ends all other sessions.

use std::sync::Arc;

use accounts::{LiveSessions, Proof, SecondFactors, store};
use db::Tx;
use futures_util::FutureExt;
use kit::author::Author;
use kit::identity::Caller;
use kit::problem::Problem;
use kit::secret::Secret;
use uuid::Uuid;

use crate::Auth;
use crate::model::PasswordBody;

pub(crate) async fn change_password(
    auth: &Auth,
    caller: &Caller,
    body: PasswordBody,
    author: Author,
) -> Result<(), Problem> {
    let account = caller.account();
    let found = auth.shared.db.lookup(account, |tx, id| store::find_credentials(tx, *id).boxed()).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    let (email, username) = (&found.account.email, &found.account.username);
    auth.accounts.check_new_password("new_password", &body.new_password, email, username)?;
    let old = auth.accounts.confirm_password(&found, body.current_password, &author).await?;
    let new = auth.accounts.passwords.hash(&body.new_password).await?;
    let change = Change {
        account,
        proof: Proof::of(body.totp, body.recovery_code),
        factors: auth.accounts.factors.clone(),
        hashes: [old, new],
        keep: caller.session(),
        live: auth.accounts.live.clone(),
        author,
    };
    auth.shared.db.write(change, |tx, change| change.run(tx).boxed()).await?
}

struct Change {
    account: Uuid,
    proof: Option<Proof>,
    factors: Arc<SecondFactors>,
    hashes: [Secret; 2],
    keep: Uuid,
    live: Arc<LiveSessions>,
    author: Author,
}

impl Change {
    /// The inner problem is one whose count is to be kept.
    async fn run(&self, tx: &Tx) -> Result<Result<(), Problem>, Problem> {
        store::lock_account(tx, self.account).await?;
        if let Err(problem) =
            self.factors.prove(tx, self.account, self.proof.as_ref(), self.author.now).await?
        {
            return Ok(Err(problem));
        }
        let hashes = self.hashes.each_ref();
        let changed =
            accounts::change_password(tx, self.account, hashes, self.keep, &self.live, &self.author).await;
        match changed {
            Ok(()) => Ok(Ok(())),
            // Another change came first, so the password that was current no longer is.
            Err(accounts::Error::NotFound) => {
                Err(Problem::invalid_credentials("The current password is wrong."))
            }
            Err(other) => Err(other.into()),
        }
    }
}
