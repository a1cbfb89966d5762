//! The first admin where no account becomes one by registering: a token that whoever starts the program reads on its output.
//!
//! It has 256 random bits, is good for 30 minutes and for one admin, and only while there is none. A start makes a new one,
//! and the one before is void: of several processes the last one's is good.

use std::time::Duration;

use db::{Db, Tx};
use futures_util::FutureExt;
use kit::author::Author;
use kit::clock::Timestamp;
use kit::identity::Role;
use kit::secret::Secret;

use crate::create_account::{FirstAdmin, NewAccount, create_account};
use crate::digest::digest;
use crate::error::Error;
use crate::model::Account;
use crate::store;

/// How long a token is good.
pub const SETUP_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// A new token, if there is no admin yet.
///
/// # Errors
/// When the database fails, or the operating system gives no random bytes.
pub async fn offer_setup(db: &Db, now: Timestamp) -> Result<Option<Secret>, db::Error> {
    let token = Secret::generate().map_err(|error| db::Error::Internal(error.to_string()))?;
    let input = (digest_of(&token), now.plus(SETUP_LIFETIME));
    let offer = db.write(input, |tx, (digest, ends_at)| {
        async move {
            tx.guard("admins").await?;
            if store::any_admin(tx).await? {
                return Ok::<_, db::Error>(false);
            }
            store::replace_setup_token(tx, digest, *ends_at).await?;
            Ok(true)
        }
        .boxed()
    });
    Ok(offer.await?.then_some(token))
}

/// Whether the token is good at this moment: looked at before anything costly is done for it.
pub async fn is_setup_token(tx: &Tx, token: &Secret, now: Timestamp) -> Result<bool, db::Error> {
    Ok(store::find_setup_token(tx, &digest_of(token), now).await? && !store::any_admin(tx).await?)
}

/// Makes the first admin, and the token void. None if the token isn't good, or no longer.
pub async fn set_up(
    tx: &Tx,
    token: &Secret,
    new: &NewAccount,
    author: &Author,
) -> Result<Option<Account>, Error> {
    tx.guard("admins").await?;
    if !is_setup_token(tx, token, author.now).await? {
        return Ok(None);
    }
    store::delete_setup_token(tx).await?;
    let admin = NewAccount { role: Role::Admin, ..new.clone() };
    create_account(tx, &admin, FirstAdmin::NotPromoted, author).await.map(Some)
}

fn digest_of(token: &Secret) -> [u8; 32] {
    digest(&[b"set-up token", token.expose().as_bytes()])
}
