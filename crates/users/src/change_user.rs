//! Changing a user: oneself, or anybody as an admin.

use std::sync::Arc;

use accounts::{Account, AccountChange, LiveSessions, Proof, SecondFactors, change_account, store};
use db::Tx;
use futures_util::FutureExt;
use kit::answer::{Answer, Resource};
use kit::author::Author;
use kit::etag::IfMatch;
use kit::identity::Caller;
use kit::problem::Problem;
use kit::secret::Secret;
use uuid::Uuid;

use crate::Users;
use crate::api::ChangeRequest;
use crate::model::UserChange;

pub(crate) async fn change_user(
    users: &Users,
    caller: &Caller,
    id: Uuid,
    change: UserChange,
    request: ChangeRequest,
) -> Result<Resource<Account>, Problem> {
    caller.check_sees(Some(id))?;
    check_exists(users, id, caller).await?;
    let confirmed_hash = confirm_own_email(users, caller, id, &change, &request.author).await?;
    let step = Change {
        id,
        change: change.change,
        proof: change.proof,
        factors: users.accounts.factors.clone(),
        condition: request.condition,
        confirmed_hash,
        live: users.accounts.live.clone(),
        author: request.author,
    };
    let account = users.shared.db.write(step, |tx, step| step.run(tx).boxed()).await??;
    Ok(Answer::new(&account)?.version(account.version))
}

/// For staff, who may see but not change, an unknown id is 404 before a known one is 403.
async fn check_exists(users: &Users, id: Uuid, caller: &Caller) -> Result<(), Problem> {
    let may_change = caller.check(Some(id));
    if may_change.is_err() {
        let found = users.shared.db.lookup(id, |tx, id| store::find_account(tx, *id).boxed()).await?;
        found.ok_or_else(Problem::not_found)?;
    }
    may_change
}

/// The own email decides who can get into the account, so changing it takes the password. Gives the hash that
/// the password was compared with.
async fn confirm_own_email(
    users: &Users,
    caller: &Caller,
    id: Uuid,
    change: &UserChange,
    author: &Author,
) -> Result<Option<Secret>, Problem> {
    if caller.account() != id || change.change.email.is_none() {
        return Ok(None);
    }
    let found = users.shared.db.lookup(id, |tx, id| store::find_credentials(tx, *id).boxed()).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    if change.change.email.as_ref().is_some_and(|email| email.as_str() == found.account.email) {
        return Ok(None);
    }
    let Some(password) = &change.current_password else {
        return Err(Problem::forbidden("To change your email, send `current_password` too."));
    };
    users.accounts.confirm_password(&found, password.clone(), author).await.map(Some)
}

struct Change {
    id: Uuid,
    change: AccountChange,
    proof: Option<Proof>,
    factors: Arc<SecondFactors>,
    condition: IfMatch,
    confirmed_hash: Option<Secret>,
    live: Arc<LiveSessions>,
    author: Author,
}

impl Change {
    /// The inner problem is one whose count is to be kept.
    async fn run(&self, tx: &Tx) -> Result<Result<Account, Problem>, Problem> {
        let before = store::lock_account(tx, self.id).await?.ok_or_else(Problem::not_found)?;
        self.condition.check(before.version)?;
        if let Some(confirmed) = &self.confirmed_hash {
            let found = store::find_credentials(tx, self.id).await?.and_then(|found| found.password_hash);
            if found.as_ref() != Some(confirmed) {
                return Err(Problem::invalid_credentials("The current password is wrong."));
            }
            let proven = self.factors.prove(tx, self.id, self.proof.as_ref(), self.author.now).await?;
            if let Err(problem) = proven {
                return Ok(Err(problem));
            }
        }
        if self.change == AccountChange::default() {
            return Ok(Ok(before));
        }
        Ok(Ok(change_account(tx, &before, &self.change, &self.live, &self.author).await?))
    }
}
