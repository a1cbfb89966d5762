//! Text that must not be seen: it has no `Display` and no `Serialize`, and its `Debug` says nothing of it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use subtle::ConstantTimeEq as _;

use crate::fields::{Faults, FromJson, Invalid, read_text};
use crate::json::Json;
use crate::text::Text;

/// A password, key or token. `expose` is the one way to its content, so that each use can be found by name.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// 32 bytes of the operating system's randomness, in hexadecimal.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Bytes of the operating system's randomness that needn't be kept secret, but which nobody can foretell.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn salt() -> std::io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Takes the same time wherever two texts of one length differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// A secret in an answer to the one it is for: it can be written there, and still not printed.
#[derive(Clone, Debug)]
pub struct Shown(Secret);

impl From<Secret> for Shown {
    fn from(secret: Secret) -> Self {
        Self(secret)
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl JsonSchema for Shown {
    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

/// A secret that a client sends: a text of 1 to `MAX` characters.
#[derive(Clone, Debug)]
pub struct Sent<const MAX: usize>(pub Secret);

impl<const MAX: usize> FromStr for Sent<MAX> {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text: Text<MAX> = text.parse()?;
        Ok(Self(Secret::new(text.as_str())))
    }
}

impl<const MAX: usize> FromJson for Sent<MAX> {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl<const MAX: usize> JsonSchema for Sent<MAX> {
    fn schema_name() -> Cow<'static, str> {
        Text::<MAX>::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Text::<MAX>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_nothing_and_compares_by_content() {
        let secret = Secret::new("swordfish");
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(format!("{:?}", Shown::from(secret.clone())), "Shown([secret])");
        assert_eq!(serde_json::to_string(&Shown::from(secret.clone())).unwrap(), "\"swordfish\"");
        let sent: Sent<20> = "swordfish".parse().unwrap();
        assert_eq!((format!("{sent:?}"), &sent.0), ("Sent([secret])".to_owned(), &secret));
        assert!("much too long a word".parse::<Sent<19>>().is_err());
        assert_eq!(secret, Secret::new("swordfish"));
        assert_ne!(secret, Secret::new("swordfisH"));
        assert_ne!(secret, Secret::new("sword"));
    }

    #[test]
    fn generated_ones_are_long_and_differ() {
        let (one, other) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_eq!(one.expose().len(), 64);
        assert_ne!(one, other);
    }
}
