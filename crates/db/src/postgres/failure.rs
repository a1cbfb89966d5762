//! What PostgreSQL's errors mean.

use std::error::Error as StdError;
use std::io;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::Error;
use crate::error::{Cause, Failure};

/// Sorts an error of a statement.
pub(super) fn failure(error: &tokio_postgres::Error) -> Failure {
    if let Some(refusal) = error.as_db_error() {
        return refused(refusal);
    }
    let lost = error.is_closed() || sources(error).any(|source| source.is::<io::Error>());
    let text = text(error);
    if lost { Error::Unavailable(text).into() } else { Error::Internal(text).into() }
}

fn refused(refusal: &DbError) -> Failure {
    let text = describe(refusal);
    let code = refusal.code();
    if matches!(*code, SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED) {
        return Failure { error: Error::Busy, cause: Cause::Conflict };
    }
    let error = match code.code() {
        "23502" => Error::Constraint(column(refusal)),
        // SQLite cannot say which foreign key it was.
        "23503" => Error::Constraint("foreign_key".to_owned()),
        state if state.starts_with("23") => {
            Error::Constraint(refusal.constraint().unwrap_or_default().to_owned())
        }
        // A lock, or the answer to a statement, was waited for too long.
        "55P03" | "57014" => Error::Busy,
        "53100" => Error::DiskFull,
        "25P02" => Error::Spent,
        state if state.starts_with("53") || state.starts_with("57P") || state.starts_with("08") => {
            Error::Unavailable(text)
        }
        _ if !ordinary(refusal) => Error::Unavailable(text),
        _ => Error::Internal(text),
    };
    error.into()
}

fn column(refusal: &DbError) -> String {
    format!("{}_{}", refusal.table().unwrap_or_default(), refusal.column().unwrap_or_default())
}

/// Did the server refuse and carry on? Otherwise it ended the connection, and says nothing certain about a commit.
pub(super) fn ordinary(refusal: &DbError) -> bool {
    refusal.parsed_severity() == Some(Severity::Error)
}

/// The server was asked and is silent.
pub(super) fn too_slow() -> Error {
    Error::Unavailable("the server did not answer in time".to_owned())
}

/// Sorts an error of the pool.
pub(super) fn pool_failure(error: PoolError) -> Error {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => Error::Busy,
        PoolError::Backend(error) => Error::Unavailable(text(&error)),
        other => Error::Unavailable(other.to_string()),
    }
}

/// The driver's message and its causes; of a refusal only the message, since its details quote the data.
pub(super) fn text(error: &tokio_postgres::Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        return describe(refusal);
    }
    sources(error).fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

fn describe(refusal: &DbError) -> String {
    format!("{} ({})", refusal.message(), refusal.code().code())
}

fn sources(error: &tokio_postgres::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}
