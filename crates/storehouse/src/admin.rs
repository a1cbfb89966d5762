//! `storehouse admin create`.

use std::io::{self, BufRead as _};

use anyhow::{Context as _, Result, bail, ensure};
use kit::secret::Secret;

use crate::cli::NewAdmin;
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

fn insert(_settings: &Settings, _email: &str, _username: &str, _password: &Secret) -> Result<()> {
    bail!("this build has no accounts");
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
