//! What an admin does for somebody whose device is lost or in other hands: ends their sessions, and takes their second factor away.

use std::sync::Arc;

use accounts::{Error, LiveSessions, end_all_sessions, remove_factor, store};
use audit::{Act, Action};
use db::Tx;
use futures_util::FutureExt;
use kit::author::Author;
use kit::problem::Problem;
use uuid::Uuid;

use crate::Users;

pub(crate) async fn end_sessions(users: &Users, id: Uuid, author: Author) -> Result<(), Problem> {
    let input = (id, users.accounts.live.clone(), author);
    let ended = users.shared.db.write(input, |tx, (id, live, author)| end(tx, *id, live, author).boxed());
    Ok(ended.await?)
}

pub(crate) async fn reset_totp(users: &Users, id: Uuid, author: Author) -> Result<(), Problem> {
    let input = (id, users.accounts.live.clone(), author);
    let reset = users.shared.db.write(input, |tx, (id, live, author)| reset(tx, *id, live, author).boxed());
    Ok(reset.await?)
}

async fn end(tx: &Tx, id: Uuid, live: &Arc<LiveSessions>, author: &Author) -> Result<(), Error> {
    end_all_sessions(tx, live, id, None, author.now).await?;
    Ok(audit::record(tx, author, Act::new(Action::SessionsEnded, id)).await?)
}

async fn reset(tx: &Tx, id: Uuid, live: &Arc<LiveSessions>, author: &Author) -> Result<(), Error> {
    store::lock_account(tx, id).await?;
    remove_factor(tx, live, id, None, author).await.map(drop)
}
