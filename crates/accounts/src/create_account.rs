//! Making an account, by whatever way: registering, an admin's call, the command line.

use audit::{AccountFacts, Act, Action, Facts, PersonFacts};
use db::Tx;
use events::{EventType, UserChange};
use kit::author::Author;
use kit::clock::new_id;
use kit::identity::Role;
use kit::search;
use kit::secret::Secret;
use kit::text::StoredJson;

use crate::error::Error;
use crate::model::{Account, Email, Preferences, Username};
use crate::store;

/// What a new account starts with.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The address to log in with.
    pub email: Email,
    /// The name that others see.
    pub username: Username,
    /// What the account may do.
    pub role: Role,
    /// An account without one can't log in.
    pub password_hash: Option<Secret>,
    /// The person's name.
    pub full_name: Option<String>,
    /// The person's telephone number.
    pub phone: Option<String>,
    /// The person's postal address.
    pub address: Option<String>,
    /// The person's own settings.
    pub preferences: Option<Preferences>,
}

impl NewAccount {
    /// A customer with nothing but what registering asks for.
    pub fn customer(email: Email, username: Username, password_hash: Secret) -> Self {
        Self {
            email,
            username,
            role: Role::Customer,
            password_hash: Some(password_hash),
            full_name: None,
            phone: None,
            address: None,
            preferences: None,
        }
    }
}

/// Whether the first account of all becomes an admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstAdmin {
    /// As in development, where a fresh checkout shall be usable at once.
    Promoted,
    /// As in production.
    NotPromoted,
}

/// Makes an account.
pub async fn create_account(
    tx: &Tx,
    new: &NewAccount,
    first_admin: FirstAdmin,
    author: &Author,
) -> Result<Account, Error> {
    let promoted = first_admin == FirstAdmin::Promoted && is_first(tx).await?;
    let preferences = new.preferences.as_ref().map_or("{}", Preferences::as_str);
    let account = Account {
        id: new_id(),
        email: new.email.as_str().to_owned(),
        username: new.username.as_str().to_owned(),
        role: if promoted { Role::Admin } else { new.role },
        full_name: new.full_name.clone(),
        phone: new.phone.clone(),
        address: new.address.clone(),
        preferences: StoredJson(preferences.to_owned()),
        disabled: false,
        created_at: author.now,
        updated_at: author.now,
        version: 1,
        email_verified: false,
    };
    let keys = [&*new.email.key(), &*new.username.key()];
    store::insert_account(tx, &account, keys, &search_text(&account), new.password_hash.as_ref()).await?;
    record_change(tx, EventType::UserCreated, &account, Vec::new(), author).await?;
    let created = Act::new(Action::AccountCreated, account.id).after(facts(&account, None));
    let created = created.person(account.id, None, Some(person(&account)));
    // Who registers is that very account from then on, so that what is kept of them goes with it.
    let registers = author.actor_id.is_none() && author.address.is_some();
    let author = if registers { author.by(account.id) } else { author.clone() };
    audit::record(tx, &author, created).await?;
    Ok(account)
}

/// What the audit log tells of an account; what names the person stands apart.
pub(crate) fn facts(account: &Account, fields: Option<Vec<&'static str>>) -> Facts {
    Facts::Account(AccountFacts { role: account.role.as_str(), disabled: account.disabled, fields })
}

pub(crate) fn person(account: &Account) -> PersonFacts {
    PersonFacts { email: account.email.clone(), username: account.username.clone() }
}

/// Of a person nothing is told but what the account may do.
pub(crate) async fn record_change(
    tx: &Tx,
    event_type: EventType,
    account: &Account,
    fields: Vec<&'static str>,
    author: &Author,
) -> Result<(), db::Error> {
    let data = UserChange { fields, role: account.role.as_str(), disabled: account.disabled };
    events::record(tx, event_type, account.id, &data, author).await
}

/// The guard makes all that find no account yet go one by one; looking before spares everybody else the wait.
async fn is_first(tx: &Tx) -> Result<bool, Error> {
    if store::any_account(tx).await? {
        return Ok(false);
    }
    tx.guard("admins").await?;
    Ok(!store::any_account(tx).await?)
}

pub(crate) fn search_text(account: &Account) -> String {
    let full_name = account.full_name.as_deref().unwrap_or_default();
    search::fold([account.username.as_str(), account.email.as_str(), full_name])
}
