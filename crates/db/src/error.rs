//! What can go wrong with a database, in the words that callers act on.

/// A failure of the database. `Display` carries the cause, for the log; what a client may see is the caller's decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A named constraint refused the change: `table_column`, as in `accounts_email_key`; `foreign_key` for every foreign key.
    #[error("the constraint {0} was violated")]
    Constraint(String),
    /// The queue is full, or the database stayed locked: try again later (503).
    #[error("the database is busy")]
    Busy,
    /// The disk is full; nothing of the transaction was kept (507).
    #[error("the database's disk is full")]
    DiskFull,
    /// No connection, or it was lost before the commit, or the writer has stopped; nothing was kept (503).
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// COMMIT was sent and its answer never came: the work may have been kept (503).
    #[error("the outcome of a commit is unknown")]
    OutcomeUnknown,
    /// What a command asked for can't be done with this database or file. The text is for its operator.
    #[error("{0}")]
    Refused(String),
    /// A statement of this transaction failed before, so this one was not run.
    #[error("an earlier statement of this transaction failed")]
    Spent,
    /// The closure awaited something other than the database; its work was rolled back.
    #[error("a database closure awaited something other than the database")]
    Awaited,
    /// The closure panicked; its work was rolled back.
    #[error("a database closure panicked")]
    Panicked,
    /// Something isn't so that must be so whatever happens: a mistake of ours, or data that was changed past us. Which, and what was found.
    #[error("invariant violated: {0}: {1}")]
    Violated(&'static str, String),
    /// Anything else: a mistake in a statement, a damaged file. The text is for the log only.
    #[error("database error: {0}")]
    Internal(String),
}

impl Error {
    /// Was it this constraint that refused the change?
    pub fn violates(&self, constraint: &str) -> bool {
        matches!(self, Self::Constraint(name) if name == constraint)
    }
}

/// An error together with what the engine needs to know of its cause, which the closure's own error type hides.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) cause: Cause,
}

/// What the engine does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nothing but roll back.
    Plain,
    /// PostgreSQL chose this transaction as the loser of a conflict: the same work may succeed on a second attempt.
    Conflict,
    /// The operating system refused to make a write durable, after which nothing it says about that file can be trusted.
    SyncRefused,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, cause: Cause::Plain }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}
