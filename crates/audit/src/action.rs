//! The one list of all actions.

use db::{Column, Value};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// What was done or refused. An action, once released, keeps its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Somebody logged in.
    LoggedIn,
    /// Email or password were wrong; counted.
    LoginFailed,
    /// Somebody logged in gave a wrong current password; counted.
    PasswordFailed,
    /// Too many guesses, which were not looked at; counted.
    GuessingLimited,
    /// Something that the caller may not do, or not know of; counted.
    AccessDenied,
    /// One's own password was changed.
    PasswordChanged,
    /// A forgotten password was replaced, by a mailed token.
    PasswordReset,
    /// One session was ended.
    SessionEnded,
    /// All sessions of an account were ended.
    SessionsEnded,
    /// A refresh token came that was used before, so its session was ended.
    SessionReused,
    /// A second factor was turned on.
    TotpEnabled,
    /// A second factor was turned off, by its owner or an admin.
    TotpDisabled,
    /// An account was made.
    AccountCreated,
    /// An account was changed: its role, whether it is disabled, its email …
    AccountChanged,
    /// An account was removed.
    AccountDeleted,
    /// An API key was made.
    KeyCreated,
    /// An API key was revoked.
    KeyRevoked,
    /// A product's price or cost was changed.
    PriceChanged,
    /// Staff set a price of an order that no catalogue knows.
    OrderPriced,
    /// A level of stock was put right.
    StockCorrected,
    /// Counts of stock were imported.
    StockImported,
    /// Products were imported.
    ProductsImported,
    /// A process started with other settings than the one before.
    SettingsChanged,
    /// Data was taken along as a file.
    DataExported,
    /// A webhook was made.
    WebhookCreated,
    /// A webhook was changed.
    WebhookChanged,
    /// A webhook got another secret.
    WebhookRotated,
    /// A webhook was removed.
    WebhookDeleted,
    /// All recovery codes were replaced by new ones.
    RecoveryCodesRenewed,
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AuditObjectKind")]
pub enum ObjectKind {
    /// An account.
    User,
    /// A session.
    Session,
    /// An API key.
    Key,
    /// An order.
    Order,
    /// A product, its stock too.
    Product,
    /// A webhook.
    Webhook,
    /// Nothing that has an id.
    None,
}

impl ObjectKind {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Session => "session",
            Self::Key => "key",
            Self::Order => "order",
            Self::Product => "product",
            Self::Webhook => "webhook",
            Self::None => "none",
        }
    }
}

impl Action {
    /// All of them, each with its word and what it is about.
    pub const ALL: &[(Self, &'static str, ObjectKind)] = &[
        (Self::LoggedIn, "login", ObjectKind::User),
        (Self::LoginFailed, "login.failed", ObjectKind::User),
        (Self::PasswordFailed, "password.failed", ObjectKind::User),
        (Self::GuessingLimited, "login.limited", ObjectKind::User),
        (Self::AccessDenied, "access.denied", ObjectKind::None),
        (Self::PasswordChanged, "password.changed", ObjectKind::User),
        (Self::PasswordReset, "password.reset", ObjectKind::User),
        (Self::SessionEnded, "session.ended", ObjectKind::Session),
        (Self::SessionsEnded, "sessions.ended", ObjectKind::User),
        (Self::SessionReused, "session.reused", ObjectKind::Session),
        (Self::TotpEnabled, "totp.enabled", ObjectKind::User),
        (Self::TotpDisabled, "totp.disabled", ObjectKind::User),
        (Self::AccountCreated, "user.created", ObjectKind::User),
        (Self::AccountChanged, "user.changed", ObjectKind::User),
        (Self::AccountDeleted, "user.deleted", ObjectKind::User),
        (Self::KeyCreated, "key.created", ObjectKind::Key),
        (Self::KeyRevoked, "key.revoked", ObjectKind::Key),
        (Self::PriceChanged, "price.changed", ObjectKind::Product),
        (Self::OrderPriced, "order.priced", ObjectKind::Order),
        (Self::StockCorrected, "stock.corrected", ObjectKind::Product),
        (Self::StockImported, "stock.imported", ObjectKind::None),
        (Self::ProductsImported, "products.imported", ObjectKind::None),
        (Self::SettingsChanged, "settings.changed", ObjectKind::None),
        (Self::DataExported, "data.exported", ObjectKind::None),
        (Self::WebhookCreated, "webhook.created", ObjectKind::Webhook),
        (Self::WebhookChanged, "webhook.changed", ObjectKind::Webhook),
        (Self::WebhookRotated, "webhook.rotated", ObjectKind::Webhook),
        (Self::WebhookDeleted, "webhook.deleted", ObjectKind::Webhook),
        (Self::RecoveryCodesRenewed, "totp.codes_renewed", ObjectKind::User),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// What it is about.
    pub fn object_kind(self) -> ObjectKind {
        self.row().2
    }

    /// The action of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == word).map(|(found, ..)| *found)
    }

    /// The list stands in the order of the variants, which a test holds.
    fn row(self) -> &'static (Self, &'static str, ObjectKind) {
        &Self::ALL[self as usize]
    }
}

impl Column for Action {
    fn from_value(value: Value<'_>) -> Option<Self> {
        if let Value::Text(word) = value { Self::parse(word) } else { None }
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl JsonSchema for Action {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AuditAction".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = Self::ALL.iter().map(|(_, word, _)| *word).collect();
        json_schema!({"type": "string", "enum": words})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_stands_in_the_order_of_the_variants() {
        for (index, (action, word, kind)) in Action::ALL.iter().enumerate() {
            assert_eq!(*action as usize, index);
            assert_eq!((action.as_str(), action.object_kind()), (*word, *kind));
            assert_eq!(Action::parse(word), Some(*action));
        }
        assert_eq!(Action::parse("order.lost"), None);
    }
}
