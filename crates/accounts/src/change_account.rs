//! Changing and deleting an account.

use std::sync::Arc;

use audit::{Act, Action};
use db::Tx;
use events::EventType;
use kit::author::Author;
use kit::clock::Timestamp;
use kit::identity::Role;
use kit::secret::Secret;
use kit::text::StoredJson;
use mails::{Kind, Purpose};
use uuid::Uuid;

use crate::create_account::{facts, person, record_change, search_text};
use crate::error::Error;
use crate::live_sessions::LiveSessions;
use crate::model::{Account, Email, Preferences, Username};
use crate::session::{end_all_sessions, forget_account};
use crate::store;
use crate::unique::email_key;

/// What to change; the outer `None` leaves a field as it is, an inner one clears it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountChange {
    /// The address to log in with.
    pub email: Option<Email>,
    /// The name that others see.
    pub username: Option<Username>,
    /// What the account may do.
    pub role: Option<Role>,
    /// Whether logging in is refused.
    pub disabled: Option<bool>,
    /// The person's name.
    pub full_name: Option<Option<String>>,
    /// The person's telephone number.
    pub phone: Option<Option<String>>,
    /// The person's postal address.
    pub address: Option<Option<String>>,
    /// The person's own settings.
    pub preferences: Option<Option<Preferences>>,
}

/// Changes an account that the transaction has locked. A change of role ends its tokens, disabling it its sessions.
pub async fn change_account(
    tx: &Tx,
    before: &Account,
    change: &AccountChange,
    live: &Arc<LiveSessions>,
    author: &Author,
) -> Result<Account, Error> {
    let (after, now) = (changed(before, change, author.now), author.now);
    guard_last_admin(tx, before.is_active_admin() && !after.is_active_admin()).await?;
    let keys = [change.email.as_ref().map(Email::key), change.username.as_ref().map(Username::key)];
    store::update_account(tx, &after, keys.each_ref().map(Option::as_deref), &search_text(&after)).await?;
    require_an_admin(tx, before.is_active_admin() && !after.is_active_admin()).await?;
    if after.disabled && !before.disabled {
        end_all_sessions(tx, live, after.id, None, now).await?;
    } else if after.role != before.role {
        forget_account(tx, live, after.id, now).await?;
    }
    if after.email != before.email {
        tell_of_email(tx, before, now).await?;
    }
    record_change(tx, EventType::UserChanged, &after, change.fields(), author).await?;
    record_act(tx, before, &after, change, author).await?;
    Ok(after)
}

/// Tells the former address, and asks whoever reads at the new one to confirm it. What was mailed to the former proves nothing any more.
async fn tell_of_email(tx: &Tx, before: &Account, now: Timestamp) -> Result<(), db::Error> {
    for purpose in [Purpose::VerifyEmail, Purpose::ResetPassword] {
        mails::void_token(tx, purpose, before.id).await?;
    }
    mails::ask_former_address(tx, before.id, &before.email, now).await?;
    mails::ask(tx, Kind::VerifyEmail, before.id, now).await
}

/// Whatever somebody else changes, and what one changes of oneself that decides who gets in or is taken for whom.
async fn record_act(
    tx: &Tx,
    before: &Account,
    after: &Account,
    change: &AccountChange,
    author: &Author,
) -> Result<(), Error> {
    let (was, is) = (person(before), person(after));
    let rights = |account: &Account| (account.role, account.disabled);
    if author.actor_id == Some(after.id) && was == is && rights(before) == rights(after) {
        return Ok(());
    }
    let act = Act::new(Action::AccountChanged, after.id);
    let act = act.before(facts(before, None)).after(facts(after, Some(change.fields())));
    let act = if was == is { act } else { act.person(after.id, Some(was), Some(is)) };
    Ok(audit::record(tx, author, act).await?)
}

impl AccountChange {
    /// The names of the fields that are to change.
    fn fields(&self) -> Vec<&'static str> {
        let named = [
            ("email", self.email.is_some()),
            ("username", self.username.is_some()),
            ("role", self.role.is_some()),
            ("disabled", self.disabled.is_some()),
            ("full_name", self.full_name.is_some()),
            ("phone", self.phone.is_some()),
            ("address", self.address.is_some()),
            ("preferences", self.preferences.is_some()),
        ];
        named.into_iter().filter(|(_, is_named)| *is_named).map(|(field, _)| field).collect()
    }
}

pub(crate) fn changed(before: &Account, change: &AccountChange, now: Timestamp) -> Account {
    let preferences = match &change.preferences {
        None => before.preferences.clone(),
        Some(new) => StoredJson(new.as_ref().map_or("{}", Preferences::as_str).to_owned()),
    };
    let email = change.email.as_ref().map_or(&*before.email, Email::as_str);
    Account {
        id: before.id,
        email_verified: before.email_verified && email == before.email,
        email: email.to_owned(),
        username: change.username.as_ref().map_or(&*before.username, Username::as_str).to_owned(),
        role: change.role.unwrap_or(before.role),
        full_name: change.full_name.clone().unwrap_or_else(|| before.full_name.clone()),
        phone: change.phone.clone().unwrap_or_else(|| before.phone.clone()),
        address: change.address.clone().unwrap_or_else(|| before.address.clone()),
        preferences,
        disabled: change.disabled.unwrap_or(before.disabled),
        created_at: before.created_at,
        // It never goes back, though a request that came earlier may wait longer for the row.
        updated_at: now.max(before.updated_at),
        version: before.version + 1,
    }
}

/// Replaces a password whose hash is still `old`, and ends all other sessions.
pub async fn change_password(
    tx: &Tx,
    id: Uuid,
    hashes: [&Secret; 2],
    keep: Uuid,
    live: &Arc<LiveSessions>,
    author: &Author,
) -> Result<(), Error> {
    let [old, new] = hashes;
    if !store::update_password_hash(tx, id, old, new).await? {
        return Err(Error::NotFound);
    }
    audit::record(tx, author, Act::new(Action::PasswordChanged, id)).await?;
    tell_of_password(tx, id, author.now).await?;
    end_all_sessions(tx, live, id, Some(keep), author.now).await
}

pub(crate) async fn tell_of_password(tx: &Tx, id: Uuid, now: Timestamp) -> Result<(), db::Error> {
    mails::void_token(tx, Purpose::ResetPassword, id).await?;
    mails::ask(tx, Kind::PasswordChanged, id, now).await
}

/// Deletes an account that the transaction has locked: its sessions end, its personal data goes, in the audit log too, its email and user name are free again.
pub async fn delete_account(
    tx: &Tx,
    account: &Account,
    live: &Arc<LiveSessions>,
    author: &Author,
) -> Result<(), Error> {
    guard_last_admin(tx, account.is_active_admin()).await?;
    store::delete_keys_of(tx, account.id).await?;
    end_all_sessions(tx, live, account.id, None, author.now).await?;
    if !store::delete_account(tx, account.id).await? {
        return Err(Error::NotFound);
    }
    mails::forget_account(tx, account.id, &email_key(&account.email)).await?;
    record_change(tx, EventType::UserDeleted, account, Vec::new(), author).await?;
    let deleted = Act::new(Action::AccountDeleted, account.id).before(facts(account, None));
    // Who acted for the business stays known as long as the log has it, or staff could hide what they did by going.
    let deleted = match account.role {
        Role::Customer => deleted,
        Role::Staff | Role::Admin => deleted.person(None, Some(person(account)), None),
    };
    audit::record(tx, author, deleted).await?;
    audit::forget(tx, account.id).await?;
    require_an_admin(tx, account.is_active_admin()).await
}

/// Makes all that would take an admin away go one by one.
async fn guard_last_admin(tx: &Tx, takes_one_away: bool) -> Result<(), Error> {
    if takes_one_away {
        tx.guard("admins").await?;
    }
    Ok(())
}

async fn require_an_admin(tx: &Tx, took_one_away: bool) -> Result<(), Error> {
    if took_one_away && store::count_active_admins(tx).await? == 0 {
        return Err(Error::LastAdmin);
    }
    Ok(())
}
