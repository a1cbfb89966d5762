//! What SQLite's errors mean.

use rusqlite::{ErrorCode, ffi};

use crate::Error;
use crate::error::{Cause, Failure};

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let text = text(&error);
        let Some(code) = error.sqlite_error() else { return Error::Internal(text).into() };
        let cause = match code.extended_code {
            ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => Cause::SyncRefused,
            _ => Cause::Plain,
        };
        let error = match (code.code, code.extended_code) {
            (ErrorCode::ConstraintViolation, kind) => Error::Constraint(constraint(kind, &text)),
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Error::Busy,
            // The shared index beside the log could not grow, which a full disk shows as an I/O error.
            (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => Error::DiskFull,
            (ErrorCode::DatabaseCorrupt, _) => {
                Error::Internal(format!("the database is damaged ({text}): restore a backup"))
            }
            (ErrorCode::NotADatabase, _) => Error::Internal(format!(
                "this is no SQLite database ({text}): name another file with DATABASE_URL or, if it was Storehouse's and is damaged, restore a backup"
            )),
            (ErrorCode::SystemIoFailure | ErrorCode::CannotOpen, _) => Error::Unavailable(text),
            _ => Error::Internal(text),
        };
        Self { error, cause }
    }
}

/// What is wrong, and with which statement; of a long one only where in it, since a migration's whole text would be pages.
fn text(error: &rusqlite::Error) -> String {
    const WHOLE: usize = 300;
    let rusqlite::Error::SqlInputError { msg, sql, offset, .. } = error else { return error.to_string() };
    if sql.len() <= WHOLE {
        return format!("{msg} in {sql}");
    }
    let rest = usize::try_from(*offset).ok().and_then(|at| sql.get(at..)).unwrap_or(sql);
    let words: Vec<&str> = rest.split_whitespace().take(8).collect();
    format!("{msg} at {} …", words.join(" "))
}

/// The portable name of a constraint, from a text such as `UNIQUE constraint failed: accounts.email_key`.
fn constraint(kind: i32, text: &str) -> String {
    if kind == ffi::SQLITE_CONSTRAINT_FOREIGNKEY {
        return "foreign_key".to_owned();
    }
    let subject = text.split_once("constraint failed: ").map_or(text, |(_, subject)| subject);
    match subject.strip_prefix("index '").and_then(|rest| rest.strip_suffix('\'')) {
        Some(index) => index.to_owned(),
        None => join_columns(subject),
    }
}

/// `stock.product_id, stock.location_id` becomes `stock_product_id_location_id`.
fn join_columns(subject: &str) -> String {
    let mut columns = subject.split(", ");
    let first = columns.next().unwrap_or_default().replace('.', "_");
    columns.fold(first, |name, column| {
        let column = column.rsplit_once('.').map_or(column, |(_, column)| column);
        format!("{name}_{column}")
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_faulty_text_is_told_by_its_place_alone() {
        let connection = Connection::open_in_memory().unwrap();
        let columns: Vec<String> = (0..500).map(|number| format!("column_{number} BIGINT")).collect();
        let sql = format!("CREATE TABLE wide (\n    {}\n)", columns.join(",\n    "));
        connection.execute_batch(&sql).unwrap();
        let Error::Internal(text) = Failure::from(connection.execute_batch(&sql).unwrap_err()).error else {
            panic!("another error")
        };
        assert!(text.contains("wide already exists") && text.len() < 200 && !text.contains('\n'), "{text}");
    }

    #[test]
    fn constraints_have_one_name_on_both_engines() {
        let unique = |text: &str| constraint(ffi::SQLITE_CONSTRAINT_UNIQUE, text);
        assert_eq!(unique("UNIQUE constraint failed: accounts.email_key"), "accounts_email_key");
        assert_eq!(
            unique("UNIQUE constraint failed: stock.product, stock.location"),
            "stock_product_location"
        );
        assert_eq!(unique("UNIQUE constraint failed: index 'accounts_first_admin'"), "accounts_first_admin");
        assert_eq!(unique("CHECK constraint failed: stock_on_hand"), "stock_on_hand");
        assert_eq!(
            constraint(ffi::SQLITE_CONSTRAINT_FOREIGNKEY, "FOREIGN KEY constraint failed"),
            "foreign_key"
        );
        assert_eq!(constraint(ffi::SQLITE_CONSTRAINT_TRIGGER, "movements_are_final"), "movements_are_final");
    }
}
