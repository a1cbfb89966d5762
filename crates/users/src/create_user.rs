//! Making a user, once for an idempotency key.

use accounts::{Account, FirstAdmin, NewAccount, create_account};
use futures_util::FutureExt;
use kit::answer::{Answer, Created};
use kit::author::Author;
use kit::idempotency::{self, Claim};
use kit::identity::Role;
use kit::problem::Problem;

use crate::Users;
use crate::model::CreateUser;

pub(crate) async fn create_user(
    users: &Users,
    new: CreateUser,
    claim: Claim,
    author: Author,
) -> Result<Created<Account>, Problem> {
    let new = claim.outrank(&users.shared.db, new_account(users, new).await).await?;
    let input = (new, claim, author);
    users
        .shared
        .db
        .write(input, |tx, (new, claim, author)| {
            let create = move || async move {
                let account = create_account(tx, new, FirstAdmin::NotPromoted, author).await?;
                let location = format!("/users/{}", account.id);
                Ok(Answer::new(&account)?.version(account.version).location(location))
            };
            idempotency::once(tx, claim, create).boxed()
        })
        .await
}

async fn new_account(users: &Users, new: CreateUser) -> Result<NewAccount, Problem> {
    let password_hash = match &new.password {
        None => None,
        Some(password) => {
            let (email, username) = (new.email.as_str(), new.username.as_str());
            users.accounts.check_new_password("password", password, email, username)?;
            Some(users.accounts.passwords.hash(password).await?)
        }
    };
    Ok(NewAccount {
        email: new.email,
        username: new.username,
        role: new.role.map_or(Role::Customer, |role| role.0),
        password_hash,
        full_name: new.full_name.map(|text| text.as_str().to_owned()),
        phone: new.phone.map(|text| text.as_str().to_owned()),
        address: new.address.map(|text| text.as_str().to_owned()),
        preferences: new.preferences,
    })
}
