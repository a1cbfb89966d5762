//! Migrations: one ordered list, which only grows.

use crate::Error;

/// One step of the schema. Once released, its number, name and text stay as they are.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its place in the list; numbers only rise.
    pub number: u32,
    /// What it does, in a few words.
    pub name: &'static str,
    /// The text for SQLite.
    pub sqlite: &'static str,
    /// The text for PostgreSQL.
    pub postgres: &'static str,
}

pub(crate) const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)";
pub(crate) const APPLIED: &str = "SELECT number, name FROM schema_migrations ORDER BY number";
pub(crate) const RECORD: &str = "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)";

impl Migration {
    /// A migration with one text for both engines.
    pub const fn portable(number: u32, name: &'static str, sql: &'static str) -> Self {
        Self { number, name, sqlite: sql, postgres: sql }
    }

    /// The text to run on PostgreSQL; a text that was written for PostgreSQL alone stays as it is.
    pub(crate) fn for_postgres(&self) -> String {
        if self.sqlite == self.postgres { adapt(self.postgres) } else { self.postgres.to_owned() }
    }

    /// The triggers that a text makes.
    pub(crate) fn triggers(sql: &'static str) -> impl Iterator<Item = &'static str> {
        sql.split("CREATE TRIGGER ").skip(1).filter_map(|rest| rest.split_whitespace().next())
    }

    /// What an operator reads when this one fails.
    pub(crate) fn failed(&self, error: Error) -> Error {
        let Self { number, name, .. } = self;
        match error {
            Error::Busy | Error::DiskFull | Error::Unavailable(_) | Error::OutcomeUnknown => error,
            other => {
                Error::Internal(format!("migration {number} ({name}) failed and was rolled back: {other}"))
            }
        }
    }
}

/// The end of the list that the database does not have yet, if what it has is the beginning of the list.
pub(crate) fn missing<'a>(
    applied: &[(i64, String)],
    migrations: &'a [Migration],
) -> Result<&'a [Migration], Error> {
    if !migrations.is_sorted_by(|one, next| one.number < next.number) {
        return Err(Error::Internal("the list of migrations is out of order".to_owned()));
    }
    for (index, (number, name)) in applied.iter().enumerate() {
        match migrations.get(index) {
            Some(known) if i64::from(known.number) == *number && known.name == name => {}
            Some(known) => return Err(other_history(*number, name, known)),
            None => {
                return Err(Error::Internal(format!(
                    "this database was made by a newer Storehouse (it has migration {number}, {name}): \
                     start that version or a later one, or restore a backup made before the update"
                )));
            }
        }
    }
    Ok(migrations.get(applied.len()..).unwrap_or_default())
}

fn other_history(number: i64, name: &str, known: &Migration) -> Error {
    Error::Internal(format!(
        "this database has migration {number} ({name}) where this Storehouse has {} ({}): \
         it was made by another program or a development build, so give another database or restore a backup",
        known.number, known.name
    ))
}

/// Makes a portable text fit PostgreSQL: text is compared byte by byte, as on SQLite, whatever the server's language; BLOB is called BYTEA.
fn adapt(sql: &str) -> String {
    let mut adapted = String::with_capacity(sql.len() * 2);
    let mut previous = "";
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = token_length(rest, first);
        let (token, after) = rest.split_at(length);
        match token {
            // In a CAST the type cannot name a collation, nor need it.
            "TEXT" if !previous.eq_ignore_ascii_case("AS") => adapted.push_str("TEXT COLLATE \"C\""),
            "BLOB" => adapted.push_str("BYTEA"),
            _ => adapted.push_str(token),
        }
        if is_word(first) {
            previous = token;
        }
        rest = after;
    }
    adapted
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The length of the word, quoted text, comment or single character at the beginning.
fn token_length(sql: &str, first: char) -> usize {
    let end = |found: Option<usize>| found.unwrap_or(sql.len());
    match first {
        _ if is_word(first) => end(sql.find(|letter| !is_word(letter))),
        '\'' | '"' => end(sql.get(1..).and_then(|rest| rest.find(first)).map(|at| at + 2)),
        '-' if sql.starts_with("--") => end(sql.find('\n')),
        _ => first.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_column_types_are_adapted() {
        let cases = [
            ("name TEXT NOT NULL", "name TEXT COLLATE \"C\" NOT NULL"),
            ("(a TEXT,b TEXT)", "(a TEXT COLLATE \"C\",b TEXT COLLATE \"C\")"),
            ("TEXTUAL BIGINT, CONTEXT BIGINT", "TEXTUAL BIGINT, CONTEXT BIGINT"),
            ("CHECK (kind <> 'A TEXT') -- TEXT", "CHECK (kind <> 'A TEXT') -- TEXT"),
            ("\"TEXT\" BLOB", "\"TEXT\" BYTEA"),
            ("CAST(n AS TEXT)", "CAST(n AS TEXT)"),
            ("DEFAULT 'it''s TEXT' TEXT", "DEFAULT 'it''s TEXT' TEXT COLLATE \"C\""),
        ];
        for (portable, expected) in cases {
            assert_eq!(adapt(portable), expected);
        }
    }
}
