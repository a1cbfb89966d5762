//! What mails there are.

use db::{Column, Value};

/// What a mail tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Products fell to their reorder point.
    LowStock,
    /// A token that confirms the account's address.
    VerifyEmail,
    /// A token that sets a new password.
    ResetPassword,
    /// The password was changed.
    PasswordChanged,
    /// The address was changed; told to the former one.
    EmailChanged,
    /// The second factor or its recovery codes were changed.
    SecondFactorChanged,
    /// An API key was made.
    ApiKeyMade,
}

impl Kind {
    /// All of them, each with its word in storage and in the log.
    const ALL: &[(Self, &'static str)] = &[
        (Self::LowStock, "low_stock"),
        (Self::VerifyEmail, "verify_email"),
        (Self::ResetPassword, "reset_password"),
        (Self::PasswordChanged, "password_changed"),
        (Self::EmailChanged, "email_changed"),
        (Self::SecondFactorChanged, "second_factor_changed"),
        (Self::ApiKeyMade, "api_key_made"),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }
}

impl Column for Kind {
    fn from_value(value: Value<'_>) -> Option<Self> {
        let Value::Text(word) = value else { return None };
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)
    }
}
