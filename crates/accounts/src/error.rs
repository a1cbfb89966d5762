//! What can keep an operation on accounts from being done.

use kit::problem::Problem;

/// Why it was not done.
#[derive(Debug)]
pub enum Error {
    /// Another account has this email.
    EmailTaken,
    /// Another account has this user name.
    UsernameTaken,
    /// There would be no admin left.
    LastAdmin,
    /// There is no such account or session.
    NotFound,
    /// There are as many API keys as there may be.
    TooManyKeys,
    /// The database failed.
    Database(db::Error),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        if error.violates("accounts_email_key") {
            Self::EmailTaken
        } else if error.violates("accounts_username_key") {
            Self::UsernameTaken
        } else {
            Self::Database(error)
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::EmailTaken => Self::conflict("email_taken", "Another account has this email."),
            Error::UsernameTaken => Self::conflict("username_taken", "Another account has this user name."),
            Error::LastAdmin => {
                Self::conflict("last_admin", "There must be an admin left who is not disabled.")
            }
            Error::TooManyKeys => {
                Self::conflict("too_many_keys", "There are 1,000 API keys, which is as many as there may be.")
            }
            Error::NotFound => Self::not_found(),
            Error::Database(error) => error.into(),
        }
    }
}
