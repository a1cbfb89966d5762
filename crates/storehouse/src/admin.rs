//! `storehouse admin create` and `storehouse admin reset-totp`.

use std::io::{self, BufRead as _};

use accounts::{
    Credentials, Email, FirstAdmin, LiveSessions, NewAccount, Password, Passwords, Username, create_account,
    remove_factor, store,
};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures_util::FutureExt as _;
use kit::author::Author;
use kit::clock::Clock;
use kit::fields::Invalid;
use kit::identity::Role;
use kit::secret::Secret;

use crate::cli::NewAdmin;
use crate::migrate::{open_existing_migrated, open_migrated};
use crate::runtime::block_on;
use crate::settings::Settings;

/// Longer than any password that is taken.
const LONGEST_LINE: u64 = 8 * 1024;

/// Creates the account and says what was done, with the password if it was made here.
pub(crate) fn create(settings: &Settings, new: &NewAdmin) -> Result<String> {
    let username = new.username.as_deref().or(new.email.split('@').next()).unwrap_or_default();
    if new.password_stdin {
        insert(settings, &new.email, username, &password_line(io::stdin().lock())?)?;
        return Ok(format!("Created the administrator {}.\n", new.email));
    }
    let password = Secret::generate().context("can't make a password")?;
    insert(settings, &new.email, username, &password)?;
    Ok(format!(
        "Created the administrator {} with the password {} (it is not shown again).\n",
        new.email,
        password.expose()
    ))
}

/// The first line, without its end: a password may begin or end with spaces.
fn password_line(input: impl io::BufRead) -> Result<Secret> {
    let mut line = String::new();
    input.take(LONGEST_LINE).read_line(&mut line).context("can't read the password from standard input")?;
    let password =
        line.strip_suffix('\n').map_or(line.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    ensure!(!password.is_empty(), "standard input holds no password: write it on the first line");
    Ok(Secret::new(password))
}

fn insert(settings: &Settings, email: &str, username: &str, password: &Secret) -> Result<()> {
    let email: Email = email.parse().map_err(|invalid| refused("the email", &invalid))?;
    let username: Username =
        username.parse().map_err(|invalid| refused("the user name (see --username)", &invalid))?;
    let password: Password =
        password.expose().parse().map_err(|invalid| refused("the password", &invalid))?;
    block_on(insert_account(settings, email, username, password))
}

async fn insert_account(
    settings: &Settings,
    email: Email,
    username: Username,
    password: Password,
) -> Result<()> {
    let passwords = Passwords::new(settings.passwords.hash, settings.passwords.denylist)
        .context("can't start the threads that hash passwords")?;
    let checked = passwords.check(&password, email.as_str(), username.as_str());
    checked.map_err(|invalid| refused("the password", &invalid))?;
    let hash = passwords
        .hash(&password)
        .await
        .map_err(|problem| anyhow!("can't hash the password: {}", problem.code()))?;
    let new = NewAccount { role: Role::Admin, ..NewAccount::customer(email, username, hash) };
    let db = open_migrated(settings).await?;
    let known = db
        .lookup(new.email.clone(), |tx, email| store::find_credentials_by_email(tx, email.as_str()).boxed())
        .await;
    if let Ok(Some(Credentials { account, .. })) = known {
        db.close().await;
        bail!(email_taken(account.role));
    }
    let input = (new, Author::nobody(Clock::default().now()));
    let created = db
        .write(input, |tx, (new, author)| create_account(tx, new, FirstAdmin::NotPromoted, author).boxed())
        .await;
    db.close().await;
    match created {
        Ok(_) => Ok(()),
        Err(accounts::Error::EmailTaken) => bail!(email_taken(Role::Customer)),
        Err(accounts::Error::UsernameTaken) => {
            bail!("another account has this user name: choose one with --username")
        }
        Err(error) => bail!("can't store the account: {error:?}"),
    }
}

fn email_taken(role: Role) -> &'static str {
    match role {
        Role::Admin => {
            "an admin has this email already, and was left as it is; POST /auth/password/forgot leads to a new password"
        }
        Role::Staff | Role::Customer => {
            "another account has this email: an admin makes it one too with PUT /users/{id} and {\"role\": \"admin\"}"
        }
    }
}

/// Takes an account's second factor away, and says what was done.
pub(crate) fn reset_totp(settings: &Settings, email: &str) -> Result<String> {
    let (email, was_on) = block_on(take_factor(settings, email))?;
    Ok(if was_on {
        format!(
            "Took the second factor away from {email} and ended all sessions: the password alone is asked for now.\n"
        )
    } else {
        format!("{email} has no second factor: nothing was changed.\n")
    })
}

/// The account's email, as it is stored, and whether it had one.
async fn take_factor(settings: &Settings, email: &str) -> Result<(String, bool)> {
    let (db, clock) = (open_existing_migrated(settings).await?, Clock::default());
    // Of sessions this process knows nothing; the others hear of the end by the feed.
    let live = LiveSessions::new(db.clone(), clock.clone(), settings.session_limits);
    let input = (email.to_owned(), live, Author::nobody(clock.now()));
    let taken = db.write(input, |tx, (email, live, author)| {
        async move {
            let found: Option<Credentials> = store::find_credentials_by_email(tx, email).await?;
            let Some(Credentials { account, .. }) = found else { return Ok(None) };
            store::lock_account(tx, account.id).await?;
            let was_on = remove_factor(tx, live, account.id, None, author).await?;
            Ok::<_, accounts::Error>(Some((account.email, was_on)))
        }
        .boxed()
    });
    let taken = taken.await;
    db.close().await;
    match taken {
        Ok(Some(taken)) => Ok(taken),
        Ok(None) => bail!("no account has this email"),
        Err(error) => bail!("can't take the second factor away: {error:?}"),
    }
}

fn refused(what: &str, invalid: &Invalid) -> anyhow::Error {
    anyhow!("{what} {}", invalid.message)
}

#[cfg(test)]
mod tests {
    use super::password_line;

    #[test]
    fn the_password_is_the_first_line_as_typed() {
        for (input, password) in [("a b \r\nmore", "a b "), ("abc", "abc"), (" x\n", " x")] {
            assert_eq!(password_line(input.as_bytes()).unwrap().expose(), password);
        }
        assert!(password_line("\n".as_bytes()).is_err());
        assert!(password_line("".as_bytes()).is_err());
    }
}
