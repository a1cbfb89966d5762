//! Giving accounts that an earlier version stored the keys that make them unique by this version's rules.

use db::{Db, Tx};
use futures_util::FutureExt;
use tracing::warn;
use uuid::Uuid;

use crate::store::{self, OldKeys};
use crate::unique::{email_key, fold};

/// How many accounts a transaction takes.
const AT_ONCE: i64 = 500;

/// A registration that takes a name meanwhile makes a transaction fail; the next attempt sees it.
const ATTEMPTS: u32 = 10;

/// Renews all that are due, and says how many.
///
/// Where two accounts have names that are the same by now, the second keeps its key: it is found by its email as it was typed, and
/// an admin should make it change its name. That must not keep the program from starting.
pub async fn renew_keys(db: &Db) -> Result<u64, db::Error> {
    let (mut renewed, mut attempts) = (0, 0);
    loop {
        match db.write((), |tx, ()| renew_some(tx).boxed()).await {
            Ok(0) => return Ok(renewed),
            Ok(some) => renewed += some,
            Err(db::Error::Constraint(_)) if attempts < ATTEMPTS => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn renew_some(tx: &Tx) -> Result<u64, db::Error> {
    let accounts = store::accounts_with_old_keys(tx, AT_ONCE).await?;
    for account in &accounts {
        renew(tx, account).await?;
    }
    Ok(accounts.len() as u64)
}

async fn renew(tx: &Tx, account: &OldKeys) -> Result<(), db::Error> {
    let keys = [("email_key", email_key(&account.email)), ("username_key", fold(&account.username))];
    for (column, key) in &keys {
        let other = store::other_with_key(tx, account.id, column, key).await?;
        match other {
            None => store::update_key(tx, account.id, column, key).await?,
            Some(other) => tell(account.id, other, column),
        }
    }
    store::update_key_version(tx, account.id).await
}

fn tell(account: Uuid, other: Uuid, column: &'static str) {
    warn!(%account, %other, column, "two accounts have names that look alike; the first one should get another");
}
