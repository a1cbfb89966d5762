//! Deleting a user: sessions end, personal data goes, orders stay.

use std::sync::Arc;

use accounts::{LiveSessions, delete_account, store};
use db::Tx;
use futures_util::FutureExt;
use kit::author::Author;
use kit::etag::IfMatch;
use kit::identity::Caller;
use kit::problem::Problem;
use uuid::Uuid;

use crate::Users;

pub(crate) async fn delete_user(
    users: &Users,
    caller: &Caller,
    id: Uuid,
    condition: IfMatch,
    author: Author,
) -> Result<(), Problem> {
    caller.check_sees(Some(id))?;
    let may_delete = caller.check(Some(id));
    let live = users.accounts.live.clone();
    let step = Delete { id, may_delete, condition, live, author };
    users.shared.db.write(step, |tx, step| step.run(tx).boxed()).await
}

struct Delete {
    id: Uuid,
    may_delete: Result<(), Problem>,
    condition: IfMatch,
    live: Arc<LiveSessions>,
    author: Author,
}

impl Delete {
    async fn run(&self, tx: &Tx) -> Result<(), Problem> {
        let account = store::lock_account(tx, self.id).await?.ok_or_else(Problem::not_found)?;
        self.may_delete.clone()?;
        self.condition.check(account.version)?;
        Ok(delete_account(tx, &account, &self.live, &self.author).await?)
    }
}
