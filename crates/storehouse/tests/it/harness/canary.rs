//! The tests' own passwords and secrets carry a mark, and those that the program makes begin in known ways: none of them may be found where it
//! has no business. Looked for at the end of every test, in what it has stored and logged.

use std::fs;
use std::path::Path;

/// A part of every password and secret of the tests.
pub(crate) const MARK: &str = "canary-4f1c";

/// How secrets begin that the program makes: an access token, a webhook's secret, an API key, and what an authenticator reads.
const MADE: [&str; 4] = ["eyJ0eXAiOiJKV1Qi", "whsec_", "sk_storehouse_", "otpauth://"];

/// What may be stored and never logged.
const HASHES: [&str; 3] = ["$argon2", "$2b$", "$2a$"];

/// All that must be in nothing that is stored.
pub(crate) fn unstorable() -> impl Iterator<Item = &'static str> {
    MADE.into_iter().chain([MARK])
}

/// Looks through what was stored.
pub(crate) fn check_stored(what: &str, bytes: &[u8]) {
    unstorable().for_each(|secret| check(what, bytes, secret));
}

/// Looks through what was logged, or told to everybody.
pub(crate) fn check_told(what: &str, text: &str) {
    unstorable().chain(HASHES).for_each(|secret| check(what, text.as_bytes(), secret));
}

/// Looks for one secret.
pub(crate) fn check(what: &str, bytes: &[u8], secret: impl AsRef<[u8]>) {
    let secret = secret.as_ref();
    let found = bytes.windows(secret.len()).position(|window| window == secret);
    if let Some(at) = found {
        let around = &bytes[at.saturating_sub(60)..bytes.len().min(at + 60)];
        let [secret, around] = [secret, around].map(String::from_utf8_lossy);
        panic!("{what} holds a secret ({secret}): {around:?}");
    }
}

/// Looks through a SQLite database and its log, as they lie there.
pub(crate) fn check_files(database: &Path) {
    for end in ["", "-wal"] {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        if let Ok(bytes) = fs::read(&name) {
            check_stored(&name.to_string_lossy(), &bytes);
        }
    }
}

/// A statement that finds rows of a PostgreSQL database that hold what can't be stored, also as bytes.
pub(crate) fn finding_rows(tables: &[String]) -> String {
    let hexadecimal = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let looks = tables.iter().flat_map(|table| {
        unstorable().map(move |secret| {
            let found = format!("SELECT '{table}', t::text FROM {table} t");
            format!("{found} WHERE t::text LIKE '%{secret}%' OR t::text LIKE '%{}%'", hexadecimal(secret))
        })
    });
    looks.collect::<Vec<_>>().join(" UNION ALL ")
}
