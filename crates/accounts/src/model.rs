//! Types that can only be valid.

use std::borrow::Cow;
use std::str::FromStr;

use email_address::{EmailAddress, Options};
use kit::clock::Timestamp;
use kit::fields::{Faults, FromJson, Invalid, read_text};
use kit::identity::Role;
use kit::json::Json;
use kit::secret::Secret;
use kit::text::{JsonObject, StoredJson, is_visible};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use crate::unique::{email_key, fold, is_domain};

/// A user's own settings: a JSON object of at most 16 KiB.
pub type Preferences = JsonObject<{ 16 * 1024 }>;

/// An email address (RFC 5321, RFC 6531): kept as it was sent; unique among all that look like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// As it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes it unique.
    pub fn key(&self) -> String {
        email_key(&self.0)
    }
}

impl FromStr for Email {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let options = Options::default().without_display_text().without_domain_literal();
        // The parser knows letters, but no marks that stand beside them; nor do mail servers.
        let composed: String = text.nfc().collect();
        let is_plain = composed.len() <= 254
            && composed.chars().all(|character| character != ' ' && is_visible(character))
            && composed.rsplit_once('@').is_some_and(|(_, domain)| is_domain(domain));
        match EmailAddress::parse_with_options(&composed, options) {
            Ok(_) if is_plain => Ok(Self(composed)),
            _ => Err(Invalid {
                code: "invalid_email",
                message: "must be an email address of at most 254 bytes".into(),
            }),
        }
    }
}

/// A user name: 3 to 64 letters, digits, `.`, `_`, `-`, or single spaces between them; unique among all that look like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// As it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes it unique.
    pub fn key(&self) -> String {
        fold(&self.0)
    }
}

impl FromStr for Username {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // Some fillers count as letters, and show as nothing.
        let is_letter = |character: char| character.is_alphanumeric() && is_visible(character);
        let is_allowed = |character: char| is_letter(character) || "._- ".contains(character);
        let is_spaced_well = text.trim() == text && !text.contains("  ");
        if !(3..=64).contains(&text.chars().count()) || !text.nfc().all(is_allowed) || !is_spaced_well {
            let message = "must have 3 to 64 letters, digits, `.`, `_`, `-`, or single spaces between them";
            return Err(Invalid { code: "invalid_username", message: message.into() });
        }
        Ok(Self(text.to_owned()))
    }
}

/// A new password: 8 to 256 characters, compared exactly as typed.
#[derive(Clone, Debug)]
pub struct Password(Secret);

impl Password {
    /// The secret itself.
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    /// Whether it is the email or the user name, which anybody would try first.
    pub(crate) fn repeats(&self, email: &str, username: &str) -> bool {
        [email, username].iter().any(|name| fold(name) == fold(self.0.expose()))
    }
}

impl FromStr for Password {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !(8..=256).contains(&text.chars().count()) || text.len() > 1024 {
            let message = "must have 8 to 256 characters, at most 1024 bytes";
            return Err(Invalid { code: "invalid_password", message: message.into() });
        }
        Ok(Self(Secret::new(text)))
    }
}

/// A password to compare: any text, since only a new one has rules.
#[derive(Clone, Debug)]
pub struct LoginPassword(pub Secret);

impl FromStr for LoginPassword {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.len() > 1024 {
            return Err(Invalid { code: "invalid_length", message: "must have at most 1024 bytes".into() });
        }
        Ok(Self(Secret::new(text)))
    }
}

/// Reads `customer`, `staff` or `admin`.
pub fn parse_role(text: &str) -> Result<Role, Invalid> {
    Role::parse(text).ok_or_else(|| Invalid::value("must be customer, staff or admin"))
}

impl FromJson for Email {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl FromJson for Username {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl FromJson for Password {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl FromJson for LoginPassword {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl JsonSchema for LoginPassword {
    fn schema_name() -> Cow<'static, str> {
        "LoginPassword".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "password", "maxLength": 1024, "writeOnly": true})
    }
}

impl JsonSchema for Email {
    fn schema_name() -> Cow<'static, str> {
        "Email".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "email", "minLength": 3, "maxLength": 254})
    }
}

impl JsonSchema for Username {
    fn schema_name() -> Cow<'static, str> {
        "Username".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 3, "maxLength": 64, "examples": ["testuser"]})
    }
}

impl JsonSchema for Password {
    fn schema_name() -> Cow<'static, str> {
        "Password".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "password", "minLength": 8, "maxLength": 256, "writeOnly": true})
    }
}

/// An account as it may be shown: never a password or hash.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "User")]
pub struct Account {
    /// The id.
    pub id: Uuid,
    /// The address to log in with.
    pub email: String,
    /// The name that others see.
    pub username: String,
    /// What the account may do.
    pub role: Role,
    /// The person's name.
    pub full_name: Option<String>,
    /// The person's telephone number.
    pub phone: Option<String>,
    /// The person's postal address.
    pub address: Option<String>,
    /// The person's own settings.
    pub preferences: StoredJson,
    /// Whether logging in is refused.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Rises with each change.
    pub version: i64,
    /// Whether the person has shown to read what comes to the email.
    pub email_verified: bool,
}

impl Account {
    /// Whether it counts as one of the admins that there must be.
    pub fn is_active_admin(&self) -> bool {
        self.role == Role::Admin && !self.disabled
    }
}

/// An account and what proves a login.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The account.
    pub account: Account,
    /// The stored hash; an account without one can't log in.
    pub password_hash: Option<Secret>,
}

/// A session: one login, kept alive by refreshing.
#[derive(Clone, Debug)]
pub struct Session {
    /// The id.
    pub id: Uuid,
    /// Whose it is.
    pub account_id: Uuid,
    /// How often it was refreshed.
    pub generation: i64,
    /// When it was last refreshed.
    pub rotated_at: Timestamp,
    /// What the client called itself.
    pub device: Option<String>,
    /// From where it was started.
    pub ip: Option<String>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it was last started or refreshed.
    pub last_used_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_unique_without_case() {
        let email: Email = "Ada@Example.com".parse().unwrap();
        assert_eq!((email.as_str(), email.key().as_str()), ("Ada@Example.com", "ada@example.com"));
        for refused in [
            "",
            "ada",
            "@x.com",
            "a b@x.com",
            "a@",
            "Ada <a@x.com>",
            "a@x.com\0",
            "a@x.com\n",
            "a@[127.0.0.1]",
            "a@x.com.",
            "a\u{200b}@x.com",
            "a@x\u{200b}.com",
            "a\u{202e}@x.com",
            "a@x_y.com",
        ] {
            assert!(refused.parse::<Email>().is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_username_has_three_to_sixty_four_plain_characters() {
        for taken in ["testuser", "Ada Lovelace", "Ærøskøbing", "a.b", "Ange\u{301}lique", "किशोर"]
        {
            assert!(taken.parse::<Username>().is_ok(), "{taken}");
        }
        for refused in [
            "ab",
            " abc",
            "abc ",
            "a  b",
            "a\tbc",
            "<abc>",
            "abc\u{202e}",
            "abc\u{200d}",
            "abc\u{3164}",
            &"a".repeat(65),
        ] {
            assert!(refused.parse::<Username>().is_err(), "{refused:?}");
        }
        assert_eq!("ＡＤＡ".parse::<Username>().unwrap().key(), "ada");
    }

    #[test]
    fn a_password_is_measured_in_characters_and_kept_as_typed() {
        for taken in ["password123", " 8 chars ", &"é".repeat(256), "🦀🦀🦀🦀🦀🦀🦀🦀"] {
            assert_eq!(taken.parse::<Password>().unwrap().secret().expose(), taken);
        }
        for refused in ["", "1234567", &"a".repeat(257), &"🦀".repeat(257)] {
            assert!(refused.parse::<Password>().is_err());
        }
        assert!("Testuser1".parse::<Password>().unwrap().repeats("x@y.z", "testuser1"));
    }
}
