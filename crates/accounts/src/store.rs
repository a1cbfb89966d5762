//! Every statement on accounts and sessions; those on what else belongs to an account stand in a file each.

mod addresses;
mod factors;
mod feed;
mod set_up;

mod api_keys;

use db::{Error, Row, Tx, Value};
use kit::clock::Timestamp;
use kit::identity::Role;
use kit::page::{Conditions, Key, PageRequest, Position};
use kit::secret::Secret;
use kit::text::StoredJson;
use uuid::Uuid;

pub(crate) use self::addresses::forget_addresses;
pub use self::addresses::{count_addresses, knows_address, remember_address};
pub(crate) use self::api_keys::{
    count_keys_guarded, delete_expired_keys, delete_key, delete_keys_of, find_key_and_maker, insert_key,
    keep_key_use, keys_of,
};
pub use self::api_keys::{find_key, key_position, list_keys};
pub use self::factors::factor_state;
pub(crate) use self::factors::{
    Factor, accept_step, confirm_factor, count_wrong_code, delete_factor, find_factor, replace_factor,
    replace_recovery_codes, spend_recovery_code,
};
pub use self::feed::insert_feed_row;
pub(crate) use self::feed::{delete_feed_before, look_at_feed};
pub(crate) use self::set_up::{any_admin, delete_setup_token, find_setup_token, replace_setup_token};
use crate::model::{Account, Credentials, Session};
use crate::session::{Lifetime, SessionLimits};
use crate::unique::{KEY_VERSION, email_key};

const ACCOUNT: &str = "id, email, username, role, full_name, phone, address, preferences, disabled, created_at, updated_at, version, email_verified";

fn account(row: &Row<'_>) -> Result<Account, Error> {
    let role: String = row.get(3)?;
    Ok(Account {
        id: row.get(0)?,
        email: row.get(1)?,
        username: row.get(2)?,
        role: stored_role(&role)?,
        full_name: row.get(4)?,
        phone: row.get(5)?,
        address: row.get(6)?,
        preferences: StoredJson(row.get(7)?),
        disabled: row.get(8)?,
        created_at: Timestamp(row.get(9)?),
        updated_at: Timestamp(row.get(10)?),
        version: row.get(11)?,
        email_verified: row.get(12)?,
    })
}

fn stored_role(word: &str) -> Result<Role, Error> {
    Role::parse(word).ok_or_else(|| Error::Internal(format!("stored role {word:?}")))
}

/// An account by id.
pub async fn find_account(tx: &Tx, id: Uuid) -> Result<Option<Account>, Error> {
    tx.optional(&format!("SELECT {ACCOUNT} FROM accounts WHERE id = $1"), &[id.into()], account).await
}

/// An account by id, locked until the transaction ends: the update that changes nothing takes the row's lock on
/// an engine where writers run side by side.
pub async fn lock_account(tx: &Tx, id: Uuid) -> Result<Option<Account>, Error> {
    let sql = format!("UPDATE accounts SET version = version WHERE id = $1 RETURNING {ACCOUNT}");
    tx.optional(&sql, &[id.into()], account).await
}

/// An account and its hash, by id.
pub async fn find_credentials(tx: &Tx, id: Uuid) -> Result<Option<Credentials>, Error> {
    let sql = format!("SELECT {ACCOUNT}, password_hash FROM accounts WHERE id = $1");
    tx.optional(&sql, &[id.into()], credentials).await
}

/// An account and its hash, by an email or by one that looks like it. Of two that do, from before that was looked at, it is the one whose very
/// own it is.
pub async fn find_credentials_by_email(tx: &Tx, email: &str) -> Result<Option<Credentials>, Error> {
    let sql = format!(
        "SELECT {ACCOUNT}, password_hash FROM accounts WHERE email_key = $1 OR email = $2
         ORDER BY CASE WHEN email = $2 THEN 0 ELSE 1 END LIMIT 1"
    );
    tx.optional(&sql, &[(&email_key(email)).into(), email.into()], credentials).await
}

fn credentials(row: &Row<'_>) -> Result<Credentials, Error> {
    Ok(Credentials { account: account(row)?, password_hash: row.get::<Option<String>>(13)?.map(Secret::new) })
}

/// Whether there is any account at all.
pub async fn any_account(tx: &Tx) -> Result<bool, Error> {
    Ok(tx.optional("SELECT id FROM accounts LIMIT 1", &[], |row| row.get::<Uuid>(0)).await?.is_some())
}

/// How many admins can log in.
pub async fn count_active_admins(tx: &Tx) -> Result<i64, Error> {
    let sql = "SELECT COUNT(*) FROM accounts WHERE role = 'admin' AND disabled = FALSE";
    tx.one(sql, &[], |row| row.get(0)).await
}

/// A page of accounts; `patterns` must all match, `role` if given.
pub async fn list_accounts(
    tx: &Tx,
    patterns: &[String],
    role: Option<Role>,
    page: &PageRequest,
) -> Result<(Vec<Account>, Option<i64>), Error> {
    let mut conditions = account_conditions(patterns, role);
    let total = if page.count { Some(count_accounts(tx, &conditions).await?) } else { None };
    conditions.after(page);
    let (sort, direction, limit) = (page.sort, page.direction(), conditions.bind(page.fetch()));
    let sql = format!(
        "SELECT {ACCOUNT} FROM accounts{} ORDER BY {sort} {direction}, id {direction} LIMIT {limit}",
        conditions.sql()
    );
    Ok((tx.rows(&sql, conditions.args(), account).await?, total))
}

fn account_conditions<'a>(patterns: &'a [String], role: Option<Role>) -> Conditions<'a> {
    let mut conditions = Conditions::new();
    for pattern in patterns {
        conditions.and("search LIKE {}", pattern);
    }
    if let Some(role) = role {
        conditions.and("role = {}", role.as_str());
    }
    conditions
}

async fn count_accounts(tx: &Tx, conditions: &Conditions<'_>) -> Result<i64, Error> {
    let sql = format!("SELECT COUNT(*) FROM accounts{}", conditions.sql());
    tx.one(&sql, conditions.args(), |row| row.get(0)).await
}

/// Where an account stands in a list sorted by `sort`.
pub fn account_position(account: &Account, sort: &str) -> Position {
    let key = match sort {
        "email" => Key::Text(account.email.clone()),
        _ => Key::Int(account.created_at.0),
    };
    Position { key, id: account.id }
}

/// Stores a new account with its unique keys, search text and hash.
pub async fn insert_account(
    tx: &Tx,
    account: &Account,
    keys: [&str; 2],
    search: &str,
    password_hash: Option<&Secret>,
) -> Result<(), Error> {
    let sql = "INSERT INTO accounts (id, email, email_key, username, username_key, role, password_hash, full_name, phone,
                                     address, preferences, disabled, search, created_at, updated_at, version, key_version)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    let args: [Value<'_>; 17] = [
        account.id.into(),
        (&account.email).into(),
        keys[0].into(),
        (&account.username).into(),
        keys[1].into(),
        account.role.as_str().into(),
        password_hash.map(Secret::expose).into(),
        account.full_name.as_ref().into(),
        account.phone.as_ref().into(),
        account.address.as_ref().into(),
        (&account.preferences.0).into(),
        account.disabled.into(),
        search.into(),
        account.created_at.0.into(),
        account.updated_at.0.into(),
        account.version.into(),
        KEY_VERSION.into(),
    ];
    tx.execute(sql, &args).await.map(drop)
}

/// Stores a changed account with its search text, and the unique keys of the names that are new.
pub async fn update_account(
    tx: &Tx,
    account: &Account,
    keys: [Option<&str>; 2],
    search: &str,
) -> Result<(), Error> {
    let sql = "UPDATE accounts SET email = $2, email_key = COALESCE($3, email_key), username = $4,
                      username_key = COALESCE($5, username_key), role = $6, full_name = $7,
                      phone = $8, address = $9, preferences = $10, disabled = $11, search = $12, updated_at = $13, version = $14,
                      email_verified = $15
               WHERE id = $1";
    let args: [Value<'_>; 15] = [
        account.id.into(),
        (&account.email).into(),
        keys[0].into(),
        (&account.username).into(),
        keys[1].into(),
        account.role.as_str().into(),
        account.full_name.as_ref().into(),
        account.phone.as_ref().into(),
        account.address.as_ref().into(),
        (&account.preferences.0).into(),
        account.disabled.into(),
        search.into(),
        account.updated_at.0.into(),
        account.version.into(),
        account.email_verified.into(),
    ];
    tx.execute(sql, &args).await.map(drop)
}

/// Replaces a hash, if `old` is still the stored one; says whether it was.
pub async fn update_password_hash(tx: &Tx, id: Uuid, old: &Secret, new: &Secret) -> Result<bool, Error> {
    let sql = "UPDATE accounts SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
    Ok(tx.execute(sql, &[id.into(), old.expose().into(), new.expose().into()]).await? == 1)
}

/// Sets a hash, whatever was there before.
pub async fn set_password_hash(tx: &Tx, id: Uuid, new: &Secret) -> Result<bool, Error> {
    let sql = "UPDATE accounts SET password_hash = $2 WHERE id = $1";
    Ok(tx.execute(sql, &[id.into(), new.expose().into()]).await? == 1)
}

/// An account whose keys were made by the rules of an earlier version.
#[derive(Debug)]
pub(crate) struct OldKeys {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) username: String,
}

/// Some accounts whose keys are not this version's. Its number stands in the text, as in the index that finds them.
pub(crate) async fn accounts_with_old_keys(tx: &Tx, limit: i64) -> Result<Vec<OldKeys>, Error> {
    let sql = format!("SELECT id, email, username FROM accounts WHERE key_version < {KEY_VERSION} LIMIT $1");
    tx.rows(&sql, &[limit.into()], |row| {
        Ok(OldKeys { id: row.get(0)?, email: row.get(1)?, username: row.get(2)? })
    })
    .await
}

/// Another account that has this key.
pub(crate) async fn other_with_key(
    tx: &Tx,
    id: Uuid,
    column: &str,
    key: &str,
) -> Result<Option<Uuid>, Error> {
    let sql = format!("SELECT id FROM accounts WHERE {column} = $1 AND id <> $2");
    tx.optional(&sql, &[key.into(), id.into()], |row| row.get(0)).await
}

/// Replaces one of an account's keys.
pub(crate) async fn update_key(tx: &Tx, id: Uuid, column: &str, key: &str) -> Result<(), Error> {
    let sql = format!("UPDATE accounts SET {column} = $2 WHERE id = $1");
    tx.execute(&sql, &[id.into(), key.into()]).await.map(drop)
}

/// Notes that an account's keys are this version's.
pub(crate) async fn update_key_version(tx: &Tx, id: Uuid) -> Result<(), Error> {
    let sql = "UPDATE accounts SET key_version = $2 WHERE id = $1";
    tx.execute(sql, &[id.into(), KEY_VERSION.into()]).await.map(drop)
}

/// Tables whose rows belong to one account and go with it.
const OF_ONE_ACCOUNT: &[&str] = &["idempotency_keys", "login_addresses", "totp", "recovery_codes"];

/// Removes an account and what belongs to it alone.
pub async fn delete_account(tx: &Tx, id: Uuid) -> Result<bool, Error> {
    for table in OF_ONE_ACCOUNT {
        tx.execute(&format!("DELETE FROM {table} WHERE account_id = $1"), &[id.into()]).await?;
    }
    // What others keep of the person goes a little later, in small parts.
    tx.execute("INSERT INTO erasures (account_id, begun) VALUES ($1, FALSE)", &[id.into()]).await?;
    Ok(tx.execute("DELETE FROM accounts WHERE id = $1", &[id.into()]).await? == 1)
}

/// Accounts behind one that are gone, and of which others may still keep something; and whether that was begun to be removed.
pub async fn list_erasures(tx: &Tx, after: Uuid, limit: i64) -> Result<Vec<(Uuid, bool)>, Error> {
    let sql = "SELECT account_id, begun FROM erasures WHERE account_id > $1 ORDER BY account_id LIMIT $2";
    tx.rows(sql, &[after.into(), limit.into()], |row| Ok((row.get(0)?, row.get(1)?))).await
}

/// Has what others keep of an account looked at again, if it is gone.
pub async fn erase_again(tx: &Tx, id: Uuid) -> Result<(), Error> {
    let found =
        tx.optional("SELECT id FROM accounts WHERE id = $1", &[id.into()], |row| row.get::<Uuid>(0)).await?;
    if found.is_some() {
        return Ok(());
    }
    let sql =
        "INSERT INTO erasures (account_id, begun) VALUES ($1, FALSE) ON CONFLICT (account_id) DO NOTHING";
    tx.later(&[(sql, &[id.into()])]).await
}

/// It was begun.
pub async fn begin_erasure(tx: &Tx, id: Uuid) -> Result<(), Error> {
    tx.execute("UPDATE erasures SET begun = TRUE WHERE account_id = $1", &[id.into()]).await.map(drop)
}

/// Nobody keeps anything of it any more.
pub async fn delete_erasure(tx: &Tx, id: Uuid) -> Result<(), Error> {
    tx.execute("DELETE FROM erasures WHERE account_id = $1", &[id.into()]).await.map(drop)
}

const SESSION: &str = "id, account_id, generation, rotated_at, device, ip, created_at, last_used_at";

fn session(row: &Row<'_>) -> Result<Session, Error> {
    Ok(Session {
        id: row.get(0)?,
        account_id: row.get(1)?,
        generation: row.get(2)?,
        rotated_at: Timestamp(row.get(3)?),
        device: row.get(4)?,
        ip: row.get(5)?,
        created_at: Timestamp(row.get(6)?),
        last_used_at: Timestamp(row.get(7)?),
    })
}

/// A session by id.
pub async fn find_session(tx: &Tx, id: Uuid) -> Result<Option<Session>, Error> {
    tx.optional(&format!("SELECT {SESSION} FROM sessions WHERE id = $1"), &[id.into()], session).await
}

/// A session with the account that it belongs to, in one statement.
pub async fn find_session_and_account(tx: &Tx, id: Uuid) -> Result<Option<(Session, Role, bool)>, Error> {
    let sql = "SELECT s.id, s.account_id, s.generation, s.rotated_at, s.device, s.ip, s.created_at, s.last_used_at, a.role, a.disabled
               FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE s.id = $1";
    tx.optional(sql, &[id.into()], |row| {
        let role: String = row.get(8)?;
        Ok((session(row)?, stored_role(&role)?, row.get(9)?))
    })
    .await
}

/// A page of an account's sessions that are not past their time.
pub async fn list_live_sessions(
    tx: &Tx,
    account_id: Uuid,
    lifetime: Lifetime,
    now: Timestamp,
    page: &PageRequest,
) -> Result<(Vec<Session>, Option<i64>), Error> {
    let mut conditions = Conditions::new();
    conditions.and("account_id = {}", account_id);
    conditions.and("last_used_at > {}", now.minus(lifetime.idle).0);
    conditions.and("created_at > {}", now.minus(lifetime.absolute).0);
    let count = format!("SELECT COUNT(*) FROM sessions{}", conditions.sql());
    let total =
        if page.count { Some(tx.one(&count, conditions.args(), |row| row.get(0)).await?) } else { None };
    conditions.after(page);
    let (direction, limit) = (page.direction(), conditions.bind(page.fetch()));
    let sql = format!(
        "SELECT {SESSION} FROM sessions{} ORDER BY created_at {direction}, id {direction} LIMIT {limit}",
        conditions.sql()
    );
    Ok((tx.rows(&sql, conditions.args(), session).await?, total))
}

/// An account's sessions behind one, by their ids, past their time or not.
pub(crate) async fn sessions_of(
    tx: &Tx,
    account: Uuid,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Session>, Error> {
    let sql =
        format!("SELECT {SESSION} FROM sessions WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    tx.rows(&sql, &[account.into(), after.into(), limit.into()], session).await
}

/// Stores a new session.
pub async fn insert_session(tx: &Tx, session: &Session) -> Result<(), Error> {
    let sql =
        "INSERT INTO sessions (id, account_id, generation, rotated_at, device, ip, created_at, last_used_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let args: [Value<'_>; 8] = [
        session.id.into(),
        session.account_id.into(),
        session.generation.into(),
        session.rotated_at.0.into(),
        session.device.as_ref().into(),
        session.ip.as_ref().into(),
        session.created_at.0.into(),
        session.last_used_at.0.into(),
    ];
    tx.execute(sql, &args).await.map(drop)
}

/// Moves a session on by one generation, if `generation` is still its own and it was not idle for too long; says whether it was.
pub async fn rotate_session(
    tx: &Tx,
    id: Uuid,
    generation: i64,
    now: Timestamp,
    limits: SessionLimits,
) -> Result<bool, Error> {
    let sql = "UPDATE sessions SET generation = generation + 1, rotated_at = $3, last_used_at = $3
               WHERE id = $1 AND generation = $2 AND last_used_at >
                     CASE (SELECT role FROM accounts WHERE accounts.id = sessions.account_id) WHEN 'admin' THEN CAST($5 AS BIGINT) ELSE CAST($4 AS BIGINT) END";
    let args: [Value<'_>; 5] = [
        id.into(),
        generation.into(),
        now.0.into(),
        now.minus(limits.people.idle).0.into(),
        now.minus(limits.admins.idle).0.into(),
    ];
    Ok(tx.execute(sql, &args).await? == 1)
}

/// Removes one session of an account; says whether there was one.
pub async fn delete_session(tx: &Tx, id: Uuid, account_id: Uuid) -> Result<bool, Error> {
    let sql = "DELETE FROM sessions WHERE id = $1 AND account_id = $2";
    Ok(tx.execute(sql, &[id.into(), account_id.into()]).await? == 1)
}

/// Removes an account's sessions, all but `keep`.
pub async fn delete_sessions(tx: &Tx, account_id: Uuid, keep: Option<Uuid>) -> Result<u64, Error> {
    // No id is nil, so nil keeps none.
    let sql = "DELETE FROM sessions WHERE account_id = $1 AND id <> $2";
    tx.execute(sql, &[account_id.into(), keep.unwrap_or(Uuid::nil()).into()]).await
}

/// Removes at most `limit` sessions that were not used since `idle_since`. One that is past its absolute time can't be
/// refreshed, so it goes idle soon.
pub async fn delete_idle_sessions(tx: &Tx, idle_since: Timestamp, limit: i64) -> Result<u64, Error> {
    let sql = "DELETE FROM sessions WHERE id IN
               (SELECT id FROM sessions WHERE last_used_at <= $1 ORDER BY last_used_at LIMIT $2)";
    tx.execute(sql, &[idle_since.0.into(), limit.into()]).await
}
